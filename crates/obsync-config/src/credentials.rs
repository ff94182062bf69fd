//! Credentials: who signs in, and the passwords of vaults.
//!
//! The combined credentials are
//! `{"auth": {"email", "password", "totp_secret"}, "vaults": {"<id or name>": {"password"}}}`: a
//! file, or a text that was fetched from a store of secrets ([`CombinedText`]).

use std::path::{Path, PathBuf};

use obsidian_sync::{Password, Token};
use zeroize::Zeroizing;

use crate::env_vars;
use crate::error::{ConfigError, ConfigErrorKind};
use crate::json::Text;
use crate::keys;
use crate::layers::Layers;
use crate::origin::{Origin, Sourced};
use crate::secret_file;
use crate::values;

/// Combined credentials that were fetched, instead of lying in a file.
#[derive(Debug, Clone)]
pub struct CombinedText {
    /// What it is called in complaints and origins, such as `secret obsync/prod`.
    pub name: String,
    /// The text, as the file would hold it.
    pub text: Password,
}

/// All credentials that were given, each with its origin.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The account's e-mail address.
    pub email: Option<Sourced<String>>,
    /// The account's password.
    pub password: Option<Sourced<Password>>,
    /// The account's two-factor secret, not yet read; see [`crate::totp::TotpSecret`].
    pub totp_secret: Option<Sourced<Password>>,
    /// A token to use as it is.
    pub auth_token: Option<Sourced<Token>>,
    /// The password of the vault at hand, from the environment.
    pub vault_password: Option<Sourced<Password>>,
    /// Passwords of vaults by id or name, from the combined file.
    pub vaults: Vec<(String, Sourced<Password>)>,
}

impl Credentials {
    pub(crate) fn gather(
        layers: &Layers<'_>,
        file: Option<&Sourced<PathBuf>>,
        fetched: Option<&CombinedText>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut credentials = match (file, fetched) {
            (Some(file), Some(fetched)) => {
                return Err(ConfigError::invalid(format!(
                    "there are combined credentials in the {} and in a file that {} names; keep \
                     the one that is meant",
                    fetched.name, file.origin
                )));
            }
            (Some(file), None) => read_combined(file, warnings)?,
            (None, Some(fetched)) => {
                parse_combined(Text::new(Path::new(&fetched.name), fetched.text.expose()))?
            }
            (None, None) => Self::default(),
        };
        let email = layers.pick(&keys::EMAIL, values::text)?;
        // The combined file lies above the config file and below the rest.
        match email {
            Some(email)
                if credentials.email.is_none() || !matches!(email.origin, Origin::File { .. }) =>
            {
                credentials.email = Some(email);
            }
            _ => {}
        }
        let secret = |name| secret_variable(layers, name);
        let password = secret(env_vars::OBSIDIAN_PASSWORD)?;
        credentials.password = password.or(credentials.password);
        let totp_secret = secret(env_vars::OBSIDIAN_TOTP_SECRET)?;
        credentials.totp_secret = totp_secret.or(credentials.totp_secret);
        credentials.auth_token = secret(env_vars::OBSIDIAN_AUTH_TOKEN)?
            .map(|token| Sourced::new(Token::new(token.value.expose().trim()), token.origin));
        credentials.vault_password = secret(env_vars::OBSIDIAN_VAULT_PASSWORD)?;
        Ok(credentials)
    }

    /// The combined file's password for a vault: by id, then by name.
    pub fn of_vault(&self, id: &str, name: &str) -> Option<&Sourced<Password>> {
        let by = |key: &str| self.vaults.iter().find(|(vault, _)| vault == key);
        by(id).or_else(|| by(name)).map(|(_, password)| password)
    }

    /// Each secret's name and where it came from, for `config show`.
    pub(crate) fn secrets(&self) -> Vec<(String, Option<&Origin>)> {
        let mut secrets = vec![
            (
                "password".to_owned(),
                self.password.as_ref().map(|s| &s.origin),
            ),
            (
                "totp_secret".to_owned(),
                self.totp_secret.as_ref().map(|s| &s.origin),
            ),
            (
                "auth_token".to_owned(),
                self.auth_token.as_ref().map(|s| &s.origin),
            ),
            (
                "vault_password".to_owned(),
                self.vault_password.as_ref().map(|s| &s.origin),
            ),
        ];
        secrets.extend(
            self.vaults
                .iter()
                .map(|(vault, password)| (format!("vaults.{vault}"), Some(&password.origin))),
        );
        secrets
    }
}

/// A secret from `NAME`, or from the file that `NAME_FILE` names; not both, since it would be
/// unclear which was meant.
fn secret_variable(
    layers: &Layers<'_>,
    name: &'static str,
) -> Result<Option<Sourced<Password>>, ConfigError> {
    let file_name = env_vars::file_form(name);
    let direct = layers.environment.text(name)?;
    match (direct, layers.environment.get(&file_name)) {
        (Some(_), Some(_)) => Err(ConfigError::invalid(format!(
            "{name} and {file_name} are both set; keep the one that is meant"
        ))),
        (Some(secret), None) => Ok(Some(Sourced::new(
            Password::new(secret),
            Origin::Variable(name),
        ))),
        (None, Some(path)) => {
            secret_file::read(&layers.environment.at_home(path), &file_name).map(Some)
        }
        (None, None) => Ok(None),
    }
}

fn read_combined(
    file: &Sourced<PathBuf>,
    warnings: &mut Vec<String>,
) -> Result<Credentials, ConfigError> {
    let path = &file.value;
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!(
            "can't read the credentials file {} that {} names",
            path.display(),
            file.origin
        );
        ConfigError::new(ConfigErrorKind::Unreadable, message).with_source(error)
    });
    let text = Zeroizing::new(text?);
    if secret_file::others_can_read(path) {
        warnings.push(format!(
            "other users can read the credentials file {}; chmod 600 mends it",
            path.display()
        ));
    }
    parse_combined(Text::new(path, &text))
}

fn parse_combined(text: Text<'_>) -> Result<Credentials, ConfigError> {
    let mut credentials = Credentials::default();
    for top in text.root()? {
        match top.name.as_str() {
            "auth" => {
                for member in text.members(top.value, "auth")? {
                    let key = format!("auth.{}", member.name);
                    let value = || -> Result<_, ConfigError> {
                        let origin = text.origin(member.value, key.as_str());
                        Ok(text
                            .string(member.value, &key)?
                            .map(|s| Sourced::new(s, origin)))
                    };
                    match member.name.as_str() {
                        "email" => credentials.email = value()?,
                        "password" => credentials.password = value()?.map(secret),
                        "totp_secret" => credentials.totp_secret = value()?.map(secret),
                        _ => {
                            let known = ["email", "password", "totp_secret"];
                            return Err(text.unknown(&member, &known));
                        }
                    }
                }
            }
            "vaults" => {
                for vault in text.members(top.value, "vaults")? {
                    let what = format!("vaults.{}", vault.name);
                    for member in text.members(vault.value, &what)? {
                        if member.name != "password" {
                            return Err(text.unknown(&member, &["password"]));
                        }
                        let key = format!("{what}.password");
                        if let Some(value) = text.string(member.value, &key)? {
                            let origin = text.origin(member.value, key);
                            let password = secret(Sourced::new(value, origin));
                            credentials.vaults.push((vault.name.clone(), password));
                        }
                    }
                }
            }
            _ => return Err(text.unknown(&top, &["auth", "vaults"])),
        }
    }
    Ok(credentials)
}

fn secret(text: Sourced<String>) -> Sourced<Password> {
    Sourced::new(Password::new(text.value), text.origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::layers::Flags;
    use crate::settings::Settings;

    fn parse(text: &str) -> Result<Credentials, ConfigError> {
        parse_combined(Text::new(Path::new("c.json"), text))
    }

    #[test]
    fn reads_the_combined_form() {
        let credentials = parse(
            r#"{"auth": {"email": "a@example.org", "password": "p", "totp_secret": null},
                "vaults": {"id1": {"password": "one"}, "My vault": {"password": "two"}}}"#,
        )
        .unwrap();
        assert_eq!(credentials.email.as_ref().unwrap().value, "a@example.org");
        assert_eq!(credentials.password.as_ref().unwrap().value.expose(), "p");
        assert!(credentials.totp_secret.is_none());
        let found = |id, name| {
            credentials
                .of_vault(id, name)
                .map(|s| s.value.expose().to_owned())
        };
        assert_eq!(
            found("id1", "My vault").as_deref(),
            Some("one"),
            "the id goes first"
        );
        assert_eq!(found("id2", "My vault").as_deref(), Some("two"));
        assert_eq!(found("id2", "Other"), None);
        assert!(!format!("{credentials:?}").contains("two"));
    }

    #[test]
    fn a_fetched_text_is_named_in_complaints() {
        let name = "secret obsync/prod".to_owned();
        let text = Password::new(r#"{"auth": {"pasword": "hunter2"}}"#);
        let fetched = CombinedText { name, text };
        let settings = Settings::load_with(&Flags::default(), &home(&[]), Some(&fetched));
        let error = settings.unwrap_err();
        assert_eq!(
            error.to_string(),
            "secret obsync/prod:1:11: unknown key 'pasword'"
        );
        assert!(!format!("{error:?} {fetched:?}").contains("hunter2"));
    }

    #[test]
    fn the_environment_wins_over_a_fetched_text() {
        let name = "secret obsync/prod".to_owned();
        let text = r#"{"auth": {"email": "a@example.org", "password": "fetched"},
            "vaults": {"Notes": {"password": "vault's"}}}"#;
        let text = Password::new(text);
        let fetched = CombinedText { name, text };
        let environment = home(&[("OBSIDIAN_PASSWORD", "direct")]);
        let settings = Settings::load_with(&Flags::default(), &environment, Some(&fetched));
        let credentials = settings.unwrap().credentials;
        assert_eq!(credentials.password.unwrap().value.expose(), "direct");
        let email = credentials.email.unwrap();
        assert_eq!(email.value, "a@example.org");
        assert_eq!(
            email.origin.to_string(),
            "secret obsync/prod:1:20: auth.email"
        );
        assert_eq!(credentials.vaults[0].1.value.expose(), "vault's");

        let environment = home(&[("OBSYNC_CREDENTIALS", "/x.json")]);
        let error = Settings::load_with(&Flags::default(), &environment, Some(&fetched));
        assert_eq!(
            error.unwrap_err().to_string(),
            "there are combined credentials in the secret obsync/prod and in a file that \
             OBSYNC_CREDENTIALS names; keep the one that is meant"
        );
    }

    fn home(variables: &[(&str, &str)]) -> Environment {
        let places = [("OBSYNC_STATE_DIR", "/nowhere")];
        places.iter().chain(variables).copied().collect()
    }

    #[test]
    fn complaints_quote_no_secret() {
        for (text, expected) in [
            (
                r#"{"vaults": {"My vault": "hunter2"}}"#,
                "c.json:1:25: vaults.My vault must be an object { … }",
            ),
            (
                r#"{"auth": {"password": ["hunter2"]}}"#,
                "c.json:1:23: auth.password must be a string that is not empty",
            ),
            (
                r#"{"auth": {"pasword": "hunter2"}}"#,
                "c.json:1:11: unknown key 'pasword'",
            ),
            (
                r#"{"auth": {"password": "hunter2}}"#,
                "c.json:1:32: EOF while parsing a string",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
