//! [`S3Settings`]: which bucket, how to reach it, and how objects are written.

use std::time::Duration;

use http::HeaderValue;
use obsync_core::{StoreError, StoreErrorKind};
use url::Url;

/// Server-side encryption that is asked for with each object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Whatever the bucket does by itself.
    #[default]
    Bucket,
    /// Keys that S3 manages (`AES256`).
    S3,
    /// Keys of AWS KMS (`aws:kms`): this one, or the account's own for S3.
    Kms(Option<String>),
}

/// Which bucket, how to reach it, and how objects are written.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// Its region. Needed on AWS; with an endpoint of one's own `us-east-1` will do.
    pub region: Option<String>,
    /// An S3-compatible service instead of AWS; reached path style.
    pub endpoint: Option<Url>,
    /// Whether `endpoint` may be plain `http` beyond this machine.
    pub allow_http: bool,
    /// Prefix of vault files, `vaults/` by default.
    pub prefix: String,
    /// Prefix of state objects, `state/` by default.
    pub state_prefix: String,
    /// Server-side encryption.
    pub encryption: Encryption,
    /// Storage class of a vault's objects.
    pub storage_class: Option<String>,
    /// Tags of a vault's objects.
    pub tags: Vec<(String, String)>,
    /// Whether what is removed or replaced for good is kept below `.obsync/trash/`.
    pub trash: bool,
    /// The account that must own the bucket; others are refused by S3 itself.
    pub expected_owner: Option<String>,
    /// How often a request is tried in all.
    pub attempts: u32,
    /// The pause before the second try; the later ones are longer.
    pub first_pause: Duration,
    /// How long S3 may be silent. A request that sends much may take longer by the time that its body
    /// takes on a slow line.
    pub patience: Duration,
}

impl S3Settings {
    /// The defaults for a bucket.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            region: None,
            endpoint: None,
            allow_http: false,
            prefix: "vaults/".to_owned(),
            state_prefix: "state/".to_owned(),
            encryption: Encryption::Bucket,
            storage_class: None,
            tags: Vec::new(),
            trash: true,
            expected_owner: None,
            attempts: 3,
            first_pause: Duration::from_millis(300),
            patience: Duration::from_secs(60),
        }
    }

    /// Reads the variables `S3_*`, `AWS_REGION` (or `AWS_DEFAULT_REGION`) and
    /// `AWS_ENDPOINT_URL_S3` (or `AWS_ENDPOINT_URL`). `variable` gives the value of one; empty
    /// counts as not set.
    ///
    /// # Errors
    /// When the bucket is missing or a value makes no sense; the message names the variable.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut settings = Self::new(get("S3_BUCKET").ok_or_else(|| {
            wrong("S3_BUCKET is not set: it names the bucket for files and state")
        })?);
        settings.region = get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION"));
        if let Some(text) = get("AWS_ENDPOINT_URL_S3").or_else(|| get("AWS_ENDPOINT_URL")) {
            // Not shown: it may hold a password.
            let url = Url::parse(&text).map_err(|_| {
                wrong("AWS_ENDPOINT_URL_S3 is not a URL, as in https://s3.example.org")
            })?;
            settings.endpoint = Some(url);
        }
        if let Some(prefix) = variable("S3_PREFIX") {
            settings.prefix = folder(prefix);
        }
        if let Some(prefix) = variable("S3_STATE_PREFIX") {
            settings.state_prefix = folder(prefix);
        }
        settings.encryption = encryption(get("S3_SSE").as_deref(), get("S3_SSE_KMS_KEY_ID"))?;
        settings.storage_class = get("S3_STORAGE_CLASS");
        settings.expected_owner = get("S3_EXPECTED_OWNER");
        if let Some(owner) = &settings.expected_owner
            && !(owner.len() == 12 && owner.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return Err(wrong(
                "S3_EXPECTED_OWNER must be the 12 digits of an AWS account",
            ));
        }
        settings.allow_http = match get("S3_ALLOW_HTTP").as_deref() {
            None | Some("0" | "false") => false,
            Some("1" | "true") => true,
            Some(other) => {
                return Err(wrong(format!(
                    "S3_ALLOW_HTTP must be 1 or 0, not '{other}'"
                )));
            }
        };
        if let Some(tags) = get("S3_TAGS") {
            settings.tags = url::form_urlencoded::parse(tags.as_bytes())
                .into_owned()
                .collect();
        }
        Ok(settings)
    }

    /// Whether the bucket can be reached at all by these settings; asks nobody.
    ///
    /// # Errors
    /// When the bucket's name or the region can't be one, a region is missing, the endpoint is not safe,
    /// or what is to be sent can't be.
    pub fn check(&self) -> Result<(), StoreError> {
        self.storage_class_header()?;
        self.tags_header()?;
        self.address().map(drop)
    }

    pub(crate) fn storage_class_header(&self) -> Result<Option<HeaderValue>, StoreError> {
        let class = self.storage_class.as_deref();
        class
            .map(|class| header("S3_STORAGE_CLASS", class))
            .transpose()
    }

    pub(crate) fn tags_header(&self) -> Result<Option<HeaderValue>, StoreError> {
        if self.tags.is_empty() {
            return Ok(None);
        }
        let mut tags = url::form_urlencoded::Serializer::new(String::new());
        tags.extend_pairs(&self.tags);
        header("S3_TAGS", &tags.finish()).map(Some)
    }

    /// Where requests go.
    pub(crate) fn address(&self) -> Result<Address, StoreError> {
        // It becomes part of a host's name.
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if self.bucket.is_empty() || !self.bucket.chars().all(good) {
            let name = obsync_core::escape_name(&self.bucket);
            return Err(wrong(format!("'{name}' can't be the name of a bucket")));
        }
        // It becomes part of a host's name, and of signatures.
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if let Some(region) = &self.region
            && (region.is_empty() || !region.chars().all(good))
        {
            let name = obsync_core::escape_name(region);
            return Err(wrong(format!("'{name}' can't be a region (AWS_REGION)")));
        }
        if let Some(endpoint) = &self.endpoint {
            if !endpoint.username().is_empty() || endpoint.password().is_some() {
                return Err(wrong(
                    "the S3 endpoint's URL holds a user name or password: leave them out; requests are \
                     signed with the AWS credentials",
                ));
            }
            let local = match endpoint.host() {
                Some(url::Host::Domain(name)) => name == "localhost",
                Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
                Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
                None => false,
            };
            match endpoint.scheme() {
                "https" => {}
                "http" if local || self.allow_http => {}
                _ => {
                    return Err(wrong(format!(
                        "the S3 endpoint {} must be https; http is for this machine only, or \
                         with S3_ALLOW_HTTP=1 for a network that you trust",
                        endpoint.origin().ascii_serialization()
                    )));
                }
            }
            let base = endpoint.as_str().trim_end_matches('/').to_owned();
            return Ok(Address {
                bucket_url: format!("{base}/{}", self.bucket),
                region: self
                    .region
                    .clone()
                    .unwrap_or_else(|| "us-east-1".to_owned()),
            });
        }
        let Some(region) = self.region.clone() else {
            return Err(wrong(
                "AWS_REGION is not set: it must name the region of the bucket",
            ));
        };
        let domain = if region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        // A wildcard certificate does not cover a bucket name with dots.
        if self.bucket.contains('.') {
            return Ok(Address {
                bucket_url: format!("https://s3.{region}.{domain}/{}", self.bucket),
                region,
            });
        }
        Ok(Address {
            bucket_url: format!("https://{}.s3.{region}.{domain}", self.bucket),
            region,
        })
    }
}

/// Where a bucket is reached.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) bucket_url: String,
    pub(crate) region: String,
}

/// A setting's value as a header.
fn header(name: &str, value: &str) -> Result<HeaderValue, StoreError> {
    let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    HeaderValue::from_str(value)
        .ok()
        .filter(|_| plain)
        .ok_or_else(|| wrong(format!("{name} holds characters that S3 can't take")))
}

fn wrong(message: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Unusable, message)
}

/// A prefix that ends in a slash and starts without one; empty is the bucket's root.
pub(crate) fn folder(prefix: impl AsRef<str>) -> String {
    let inner = prefix.as_ref().trim_matches('/');
    if inner.is_empty() {
        String::new()
    } else {
        format!("{inner}/")
    }
}

fn encryption(kind: Option<&str>, key: Option<String>) -> Result<Encryption, StoreError> {
    match (kind, key) {
        (None | Some("none"), None) => Ok(Encryption::Bucket),
        (Some("AES256"), None) => Ok(Encryption::S3),
        (Some("aws:kms"), key) => Ok(Encryption::Kms(key)),
        (None | Some("none" | "AES256"), Some(_)) => {
            Err(wrong("S3_SSE_KMS_KEY_ID needs S3_SSE=aws:kms"))
        }
        (Some(other), _) => Err(wrong(format!(
            "S3_SSE must be AES256, aws:kms or none, not '{other}'"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<S3Settings, StoreError> {
        S3Settings::from_variables(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn variables_are_read() {
        let settings = read(&[
            ("S3_BUCKET", "b"),
            ("S3_PREFIX", "/my vaults"),
            ("S3_STATE_PREFIX", ""),
            ("AWS_REGION", "eu-central-1"),
            ("S3_SSE", "aws:kms"),
            ("S3_SSE_KMS_KEY_ID", "key"),
            ("S3_TAGS", "a=b&c=d%20e"),
            ("S3_EXPECTED_OWNER", "111122223333"),
            ("S3_ALLOW_HTTP", "1"),
        ])
        .unwrap();
        assert_eq!(settings.prefix, "my vaults/");
        assert_eq!(settings.state_prefix, "");
        assert_eq!(settings.encryption, Encryption::Kms(Some("key".into())));
        let tags = [("a", "b"), ("c", "d e")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(settings.tags, tags);
        assert_eq!(settings.expected_owner.as_deref(), Some("111122223333"));
        assert!(settings.allow_http);
        let address = settings.address().unwrap();
        assert_eq!(
            address.bucket_url,
            "https://b.s3.eu-central-1.amazonaws.com"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (variables, word) in [
            (&[][..], "S3_BUCKET"),
            (&[("S3_BUCKET", "b"), ("S3_SSE", "DES")], "S3_SSE"),
            (
                &[("S3_BUCKET", "b"), ("S3_EXPECTED_OWNER", "me")],
                "S3_EXPECTED_OWNER",
            ),
            (
                &[("S3_BUCKET", "b"), ("S3_ALLOW_HTTP", "perhaps")],
                "S3_ALLOW_HTTP",
            ),
            (
                &[("S3_BUCKET", "b"), ("S3_SSE_KMS_KEY_ID", "k")],
                "S3_SSE_KMS_KEY_ID",
            ),
            (
                &[("S3_BUCKET", "b"), ("AWS_ENDPOINT_URL_S3", "here")],
                "AWS_ENDPOINT_URL_S3",
            ),
        ] {
            assert!(
                read(variables).unwrap_err().message.contains(word),
                "{word}"
            );
        }
        let mut settings = S3Settings::new("b");
        for name in ["", "a/b", "a b", "evil.example?"] {
            let error = S3Settings::new(name).check().unwrap_err();
            assert!(error.message.contains("name of a bucket"), "{error}");
        }
        assert!(
            settings
                .check()
                .is_err_and(|error| error.message.contains("AWS_REGION"))
        );
        for (endpoint, allowed) in [
            ("http://127.0.0.1:9000", true),
            ("http://[::1]:9000", true),
            ("http://localhost", true),
            ("https://s3.example.org/", true),
            ("http://s3.example.org", false),
            ("ftp://127.0.0.1", false),
        ] {
            settings.endpoint = Some(endpoint.parse().unwrap());
            assert_eq!(settings.address().is_ok(), allowed, "{endpoint}");
        }
        // A password is neither used nor shown.
        for endpoint in [
            "https://me:hidden@s3.example.org",
            "http://:hidden@s3.example.org",
        ] {
            let read = read(&[("S3_BUCKET", "b"), ("AWS_ENDPOINT_URL_S3", endpoint)]);
            let error = read.unwrap().check().unwrap_err();
            assert!(error.message.contains("password"), "{error}");
            assert!(!error.message.contains("hidden"), "{error}");
        }
        let broken = read(&[("S3_BUCKET", "b"), ("AWS_ENDPOINT_URL_S3", "me:hidden@:x")]);
        assert!(broken.is_ok_and(|settings| settings.check().is_err()));
        let broken = read(&[("S3_BUCKET", "b"), ("AWS_ENDPOINT_URL_S3", "//me:hidden@x")]);
        assert!(!broken.unwrap_err().message.contains("hidden"));
        settings.endpoint = Some("http://127.0.0.1".parse().unwrap());
        for (class, region, word) in [
            ("A\nB", "eu-north-1", "S3_STORAGE_CLASS"),
            ("STANDARD", "eu\n", "AWS_REGION"),
            ("STANDARD", "é", "AWS_REGION"),
        ] {
            settings.storage_class = Some(class.into());
            settings.region = Some(region.into());
            let error = settings.check().unwrap_err();
            assert!(error.message.contains(word), "{error}");
        }
        settings.region = None;
        settings.endpoint = Some("http://s3.example.org".parse().unwrap());
        settings.allow_http = true;
        let address = settings.address().unwrap();
        assert_eq!(address.bucket_url, "http://s3.example.org/b");
    }
}
