//! From a vault's name to an opened vault: chosen, its key derived, its password confirmed by the
//! service, and everything ready to connect.

use obsidian_sync::client::Connector;
use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::rest::RestClient;
use obsidian_sync::{EncryptionVersion, Error, Kind, Vault};

use crate::account::{Account, AccountError};
use crate::credentials::Credentials;
use crate::error::ConfigError;
use crate::vault_password::{PasswordFlag, Prompt, vault_password};
use crate::vaults::{self, VaultChoiceError};

/// A vault that can be connected to.
#[derive(Debug, Clone)]
pub struct OpenVault {
    /// The vault.
    pub vault: Vault,
    /// Its keys.
    pub cipher: VaultCipher,
    /// How to reach it.
    pub connector: Connector,
}

/// Why a vault can't be opened.
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

/// What says which vault, and what its password is.
#[derive(Clone, Copy)]
pub struct OpenRequest<'a> {
    /// The vault's id or name.
    pub wanted: &'a str,
    /// The password that the command line gives.
    pub password: Option<&'a PasswordFlag>,
    /// The passwords of the settings.
    pub credentials: &'a Credentials,
    /// Whom to ask.
    pub prompt: &'a dyn Prompt,
}

/// Opens a vault.
///
/// # Errors
/// Why it can't be.
pub async fn open_vault(
    account: &Account,
    rest: &RestClient,
    request: OpenRequest<'_>,
) -> Result<OpenVault, OpenError> {
    let vaults = account
        .with_token(async |token| rest.vaults(&token).await)
        .await?;
    let vault = vaults::choose(&vaults, request.wanted)?.clone();
    let version = EncryptionVersion::from_number(vault.encryption_version).ok_or_else(|| {
        let number = vault.encryption_version;
        let message = format!("the vault uses encryption version {number}, which is not known");
        AccountError::from(Error::new(Kind::UnsupportedEncryption, message))
    })?;
    let password = vault_password(
        &vault,
        request.password,
        request.credentials,
        request.prompt,
    )?
    .value;
    let salt = vault.salt.clone();
    // The derivation takes a tenth of a second of CPU by design.
    let derived = tokio::task::spawn_blocking(move || {
        let key = VaultKey::derive(&password, &salt);
        VaultCipher::new(version, &key, &salt)
    });
    let cipher = derived.await.expect("the key derivation does not panic");
    let check = async |token| rest.access(&token, &vault, cipher.keyhash()).await;
    account.with_token(check).await?;
    let token = account.token().await?;
    let connector = Connector::new(&vault, token, &cipher).map_err(AccountError::from)?;
    Ok(OpenVault {
        vault,
        cipher,
        connector,
    })
}
