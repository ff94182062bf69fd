//! Where a secret is asked for, and as whom.

use obsidian_sync::Password;
use obsync_config::Environment;

use super::error::{SecretError, SecretErrorKind};

/// The variables that name another service than AWS's, the nearest first.
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"];

/// Where a secret is asked for, and as whom.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) region: String,
    /// `None`: AWS's own.
    pub(super) endpoint: Option<String>,
    /// Access key, secret key, session token; the last may be empty.
    pub(super) credentials: [Password; 3],
}

impl Place {
    pub(super) fn of(name: &str, environment: &Environment) -> Result<Self, SecretError> {
        let text = |variable: &str| {
            let value = environment.text(variable);
            let value = value.map_err(|error| wrong(name, &error.to_string()))?;
            Ok(value.map(str::to_owned))
        };
        let mut endpoint = None;
        for variable in ENDPOINTS {
            if let Some(url) = text(variable)? {
                if !is_safe(&url) {
                    let message = format!(
                        "{variable} must be an https:// URL, or an http:// URL on this machine \
                         (loopback)"
                    );
                    return Err(wrong(name, &message));
                }
                endpoint = Some(url);
                break;
            }
        }
        let region = match region_of(name) {
            Some(region) => Some(region.to_owned()),
            None => text("AWS_REGION")?.or(text("AWS_DEFAULT_REGION")?),
        };
        let Some(region) = region else {
            return Err(wrong(
                name,
                "AWS_REGION is not set; set it, or name the secret by its ARN",
            ));
        };
        let needed = |variable: &str| {
            text(variable)?.ok_or_else(|| wrong(name, &format!("{variable} is not set")))
        };
        let credentials = [
            needed("AWS_ACCESS_KEY_ID")?,
            needed("AWS_SECRET_ACCESS_KEY")?,
            text("AWS_SESSION_TOKEN")?.unwrap_or_default(),
        ];
        Ok(Self {
            region,
            endpoint,
            credentials: credentials.map(Password::new),
        })
    }
}

/// The region in `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-abcdef`.
fn region_of(name: &str) -> Option<&str> {
    let mut parts = name.split(':');
    (parts.next() == Some("arn")).then_some(())?;
    parts.nth(2).filter(|region| !region.is_empty())
}

/// A secret goes only over TLS, or not over the network at all.
fn is_safe(url: &str) -> bool {
    obsidian_sync::host::api_base(url).is_ok()
}

fn wrong(name: &str, message: &str) -> SecretError {
    let message = format!("can't ask for the secret '{name}': {message}");
    SecretError::new(SecretErrorKind::Settings, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [(&str, &str); 3] = [
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "hidden"),
        ("AWS_SESSION_TOKEN", "token-text"),
    ];

    fn place(name: &str, more: &[(&str, &str)]) -> Result<Place, SecretError> {
        let variables = KEYS.iter().chain(more).copied();
        Place::of(name, &variables.collect())
    }

    #[test]
    fn the_region_is_that_of_the_arn_or_of_the_function() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:obsync-AbCdEf";
        for (name, region) in [
            ("obsync", "eu-central-1"),
            (arn, "eu-west-1"),
            ("arn", "eu-central-1"),
            ("arn:aws:x", "eu-central-1"),
        ] {
            let place = place(name, &[("AWS_REGION", "eu-central-1")]).unwrap();
            assert_eq!(place.region, region, "{name}");
        }
        let place = place("obsync", &[]);
        assert_eq!(
            place.unwrap_err().to_string(),
            "can't ask for the secret 'obsync': AWS_REGION is not set; set it, or name the secret \
             by its ARN"
        );
    }

    #[test]
    fn the_endpoint_is_safe_or_refused() {
        let region = ("AWS_REGION", "eu-central-1");
        let own = "AWS_ENDPOINT_URL_SECRETS_MANAGER";
        for (variables, endpoint) in [
            (&[][..], None),
            (
                &[("AWS_ENDPOINT_URL", "https://a.example.org")],
                Some("https://a.example.org"),
            ),
            (
                &[
                    ("AWS_ENDPOINT_URL", "https://a.example.org"),
                    (own, "http://127.0.0.1:4566"),
                ],
                Some("http://127.0.0.1:4566"),
            ),
        ] {
            let variables = [variables, &[region]].concat();
            let place = place("obsync", &variables).unwrap();
            assert_eq!(place.endpoint.as_deref(), endpoint);
        }
        let refused = place("obsync", &[region, (own, "http://a.example.org")]);
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), SecretErrorKind::Settings);
        assert!(refused.to_string().contains(own), "{refused}");
    }

    #[test]
    fn credentials_are_needed_and_do_not_print() {
        let region = ("AWS_REGION", "eu-central-1");
        let shown = format!("{:?}", place("obsync", &[region]).unwrap());
        assert!(!shown.contains("hidden") && !shown.contains("token-text"));
        let none = Place::of("obsync", &[region].into_iter().collect()).unwrap_err();
        assert!(none.to_string().contains("AWS_ACCESS_KEY_ID is not set"));
    }
}
