//! The password of one vault, and asking a person.

use std::io;
use std::path::PathBuf;

use obsidian_sync::{Password, Vault};

use crate::credentials::Credentials;
use crate::error::{ConfigError, ConfigErrorKind};
use crate::origin::{Origin, Sourced};
use crate::secret_file;

/// Somebody to ask. The front end has the terminal.
pub trait Prompt: Send + Sync {
    /// Asks for a line; `None` when there is nobody to ask.
    ///
    /// # Errors
    /// When the terminal fails.
    fn line(&self, question: &str) -> io::Result<Option<String>>;

    /// Asks for a secret, without echo; `None` when there is nobody to ask.
    ///
    /// # Errors
    /// When the terminal fails.
    fn secret(&self, question: &str) -> io::Result<Option<Password>>;
}

/// Nobody to ask: Lambda, cron, tests.
#[derive(Debug, Clone, Copy)]
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn line(&self, _question: &str) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn secret(&self, _question: &str) -> io::Result<Option<Password>> {
        Ok(None)
    }
}

/// A password that the command line gives.
#[derive(Debug, Clone)]
pub enum PasswordFlag {
    /// `--password-file F`.
    File(PathBuf),
    /// `--password-file -`.
    Stdin,
    /// `--password P`: other users can see it in the process list.
    Plain(Password),
}

impl PasswordFlag {
    /// The flags' values as one.
    pub fn from_flags(file: Option<PathBuf>, plain: Option<Password>) -> Option<Self> {
        match file {
            Some(file) if file.as_os_str() == "-" => Some(Self::Stdin),
            Some(file) => Some(Self::File(file)),
            None => plain.map(Self::Plain),
        }
    }

    /// The password.
    ///
    /// # Errors
    /// When the file or standard input holds none.
    pub fn read(&self) -> Result<Sourced<Password>, ConfigError> {
        match self {
            Self::File(path) => secret_file::read(path, "--password-file"),
            Self::Stdin => secret_file::read_stdin(io::stdin().lock()),
            Self::Plain(password) => Ok(Sourced::new(password.clone(), Origin::Flag("--password"))),
        }
    }

    /// What to say of a careless form.
    pub fn warning(&self) -> Option<&'static str> {
        matches!(self, Self::Plain(_)).then_some(
            "--password shows the password in the process list and the shell's history; \
             use --password-file",
        )
    }
}

/// Finds the password to derive a vault's key from. A managed vault brings its own; else the first
/// of: flag, environment, combined credentials file by id, by name, and a person.
///
/// # Errors
/// [`ConfigErrorKind::Missing`] when it is given nowhere and nobody can be asked.
pub fn vault_password(
    vault: &Vault,
    flag: Option<&PasswordFlag>,
    credentials: &Credentials,
    prompt: &dyn Prompt,
) -> Result<Sourced<Password>, ConfigError> {
    if let Some(managed) = &vault.managed_password {
        return Ok(Sourced::default_value(managed.clone()));
    }
    if let Some(flag) = flag {
        return flag.read();
    }
    if let Some(password) = &credentials.vault_password {
        return Ok(password.clone());
    }
    if let Some(password) = credentials.of_vault(vault.id.as_str(), &vault.name) {
        return Ok(password.clone());
    }
    let name = &vault.name;
    let asked = prompt.secret(&format!("Encryption password of the vault '{name}': "));
    match asked.map_err(unanswered)? {
        Some(password) if !password.is_empty() => Ok(Sourced::new(password, Origin::Prompt)),
        _ => Err(ConfigError::new(
            ConfigErrorKind::Missing,
            format!("the vault '{name}' is encrypted end to end and its password was not given"),
        )
        .hint("give it with --password-file FILE, OBSIDIAN_VAULT_PASSWORD or a credentials file")
        .hint("it is the vault's encryption password, not the account's")),
    }
}

/// The terminal failed while a person was asked.
pub(crate) fn unanswered(error: io::Error) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Missing, "can't ask for it on the terminal")
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use obsidian_sync::{Millis, VaultId};

    struct Answers(&'static str);

    impl Prompt for Answers {
        fn line(&self, _question: &str) -> io::Result<Option<String>> {
            Ok(Some(self.0.to_owned()))
        }

        fn secret(&self, _question: &str) -> io::Result<Option<Password>> {
            Ok(Some(Password::new(self.0)))
        }
    }

    fn vault(managed: Option<&str>) -> Vault {
        Vault {
            id: VaultId::new("id1"),
            name: "My vault".to_owned(),
            host: String::new(),
            region: String::new(),
            salt: String::new(),
            encryption_version: 3,
            created: Millis(0),
            size: 0,
            managed_password: managed.map(Password::new),
            shared: false,
        }
    }

    fn given(text: &str) -> Sourced<Password> {
        Sourced::default_value(Password::new(text))
    }

    #[test]
    fn the_nearest_source_wins() {
        let flag = PasswordFlag::Plain(Password::new("flag"));
        let mut credentials = Credentials {
            vault_password: Some(given("environment")),
            vaults: vec![
                ("My vault".to_owned(), given("name")),
                ("id1".to_owned(), given("id")),
            ],
            ..Credentials::default()
        };
        let found = |vault: &Vault, flag, credentials: &Credentials| {
            let password = vault_password(vault, flag, credentials, &Answers("typed"));
            password.unwrap().value.expose().to_owned()
        };
        let end_to_end = vault(None);
        assert_eq!(
            found(&vault(Some("managed")), Some(&flag), &credentials),
            "managed"
        );
        assert_eq!(found(&end_to_end, Some(&flag), &credentials), "flag");
        assert_eq!(found(&end_to_end, None, &credentials), "environment");
        credentials.vault_password = None;
        assert_eq!(found(&end_to_end, None, &credentials), "id");
        credentials.vaults.pop();
        assert_eq!(found(&end_to_end, None, &credentials), "name");
        credentials.vaults.pop();
        assert_eq!(found(&end_to_end, None, &credentials), "typed");
    }

    #[test]
    fn given_nowhere_it_is_missing() {
        let missing = vault_password(&vault(None), None, &Credentials::default(), &NoPrompt);
        assert_eq!(missing.unwrap_err().kind(), ConfigErrorKind::Missing);
    }
}
