//! From a vault's name to an opened vault: chosen, its key derived, its password confirmed by the
//! service, and everything ready to connect.

use obsidian_sync::client::Connector;
use obsidian_sync::crypto::VaultCipher;
use obsidian_sync::rest::RestClient;
use obsidian_sync::{EncryptionVersion, Error, Kind, Vault};

use crate::account::{Account, AccountError};
use crate::credentials::Credentials;
use crate::error::ConfigError;
use crate::vault_keys::VaultKeys;
use crate::vault_password::{PasswordFlag, Prompt, vault_password};
use crate::vaults::{self, VaultChoiceError};

/// What opens a vault.
#[derive(Debug, Clone)]
pub struct OpenVault {
    /// Its keys.
    pub cipher: VaultCipher,
    /// How to reach it.
    pub connector: Connector,
}

/// Why a vault can't be found or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No vault, or several, go by the name.
    #[error(transparent)]
    Choice(#[from] VaultChoiceError),
    /// Its password was not given, or can't be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The account, the service, or a wrong password.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl OpenError {
    /// A stable word for the kind, for JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Choice(error) => error.word(),
            Self::Config(error) => error.word(),
            Self::Account(error) => error.word(),
        }
    }
}

/// Where the password of a vault may come from.
#[derive(Clone, Copy)]
pub struct PasswordSources<'a> {
    /// The command line.
    pub flag: Option<&'a PasswordFlag>,
    /// The settings.
    pub credentials: &'a Credentials,
    /// A person.
    pub prompt: &'a dyn Prompt,
}

/// Finds the vault that goes by an id or a name.
///
/// # Errors
/// When none or several do, or the service can't be asked.
pub async fn find_vault(
    account: &Account,
    rest: &RestClient,
    wanted: &str,
) -> Result<Vault, OpenError> {
    let vaults = account
        .with_token(async |token| rest.vaults(&token).await)
        .await?;
    Ok(vaults::choose(&vaults, wanted)?.clone())
}

/// Derives a vault's key and has the service confirm it.
///
/// # Errors
/// When the password is missing or wrong, the vault's scheme is unknown, or the service can't be
/// asked.
pub async fn open_vault(
    account: &Account,
    rest: &RestClient,
    vault: &Vault,
    passwords: PasswordSources<'_>,
) -> Result<OpenVault, OpenError> {
    open_vault_with(account, rest, vault, passwords, &VaultKeys::default()).await
}

/// As [`open_vault`], with the keys that were derived before.
///
/// # Errors
/// As [`open_vault`].
pub async fn open_vault_with(
    account: &Account,
    rest: &RestClient,
    vault: &Vault,
    passwords: PasswordSources<'_>,
    keys: &VaultKeys,
) -> Result<OpenVault, OpenError> {
    let version = EncryptionVersion::from_number(vault.encryption_version).ok_or_else(|| {
        let number = vault.encryption_version;
        let message = format!("the vault uses encryption version {number}, which is not known");
        AccountError::from(Error::new(Kind::UnsupportedEncryption, message))
    })?;
    let PasswordSources {
        flag,
        credentials,
        prompt,
    } = passwords;
    let password = vault_password(vault, flag, credentials, prompt)?.value;
    let cipher = keys.of(vault, version, &password).await;
    let check = async |token| rest.access(&token, vault, cipher.keyhash()).await;
    account.with_token(check).await?;
    let token = account.token().await?;
    let connector = Connector::new(vault, token, &cipher).map_err(AccountError::from)?;
    Ok(OpenVault { cipher, connector })
}
