//! What REST calls take and give.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::crypto::VaultCipher;
use crate::error::{Error, Kind};
use crate::loose;
use crate::secret::{Password, Token};
use crate::types::{EncryptionVersion, Millis, Vault, VaultId};

/// A successful sign-in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The token for all further calls. It lasts until it is signed out or revoked.
    pub token: Token,
    /// The account's name.
    pub name: String,
    /// The account's e-mail address.
    pub email: String,
}

/// An account, as `/user/info` describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct UserInfo {
    /// Its id.
    #[serde(default, deserialize_with = "loose::text")]
    pub uid: String,
    /// Its name.
    #[serde(default, deserialize_with = "loose::text")]
    pub name: String,
    /// Its e-mail address.
    #[serde(default, deserialize_with = "loose::text")]
    pub email: String,
    /// Whether it has two-factor authentication.
    #[serde(default, deserialize_with = "loose::flag")]
    pub mfa: bool,
    /// Its licence; empty where it has none.
    #[serde(default, deserialize_with = "loose::text")]
    pub license: String,
}

/// A region in which a vault may be kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Region {
    /// What [`NewVault`] takes.
    #[serde(default, deserialize_with = "loose::text")]
    pub value: String,
    /// What people call it.
    #[serde(default, deserialize_with = "loose::text")]
    pub name: String,
}

/// A vault to create.
#[derive(Clone, Serialize)]
pub struct NewVault {
    name: String,
    #[serde(serialize_with = "expose_option")]
    pub(super) keyhash: Option<Token>,
    salt: Option<String>,
    region: String,
    encryption_version: u64,
}

impl NewVault {
    /// A vault whose password the service keeps ("standard" encryption).
    pub fn managed(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            keyhash: None,
            salt: None,
            region: String::new(),
            encryption_version: EncryptionVersion::LATEST.number(),
        }
    }

    /// A vault that only its password opens. `cipher` was made with `salt`, which should be 32 random
    /// hex digits, in [`EncryptionVersion::LATEST`].
    pub fn end_to_end(
        name: impl Into<String>,
        salt: impl Into<String>,
        cipher: &VaultCipher,
    ) -> Self {
        Self {
            keyhash: Some(Token::new(cipher.keyhash())),
            salt: Some(salt.into()),
            encryption_version: cipher.version().number(),
            ..Self::managed(name)
        }
    }

    /// Chooses a region; without it the service does.
    #[must_use]
    pub fn region(mut self, value: impl Into<String>) -> Self {
        self.region = value.into();
        self
    }
}

impl fmt::Debug for NewVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewVault")
            .field("name", &self.name)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

fn expose_option<S: Serializer>(secret: &Option<Token>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Token::expose).serialize(serializer)
}

#[derive(Deserialize)]
pub(super) struct WireSignedIn {
    #[serde(default, deserialize_with = "loose::text")]
    token: String,
    #[serde(default, deserialize_with = "loose::text")]
    name: String,
    #[serde(default, deserialize_with = "loose::text")]
    email: String,
}

impl TryFrom<WireSignedIn> for SignedIn {
    type Error = Error;

    fn try_from(wire: WireSignedIn) -> Result<Self, Error> {
        if wire.token.is_empty() {
            return Err(Error::new(
                Kind::Protocol,
                "the sign-in was accepted without a token",
            ));
        }
        Ok(Self {
            token: Token::new(wire.token),
            name: wire.name,
            email: wire.email,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct RegionList {
    #[serde(default, deserialize_with = "loose::list")]
    pub(super) regions: Vec<Region>,
}

#[derive(Deserialize)]
pub(super) struct WireVaults {
    // Not optional: an empty answer must not look like an account without vaults.
    #[serde(deserialize_with = "loose::list")]
    vaults: Vec<WireVault>,
    #[serde(default, deserialize_with = "loose::list")]
    shared: Vec<WireVault>,
}

impl TryFrom<WireVaults> for Vec<Vault> {
    type Error = Error;

    fn try_from(wire: WireVaults) -> Result<Self, Error> {
        let owned = wire.vaults.into_iter().map(|vault| vault.into_vault(false));
        let shared = wire.shared.into_iter().map(|vault| vault.into_vault(true));
        owned.chain(shared).collect()
    }
}

/// A vault as the service describes it.
#[derive(Deserialize)]
pub(super) struct WireVault {
    #[serde(default, deserialize_with = "loose::text")]
    id: String,
    #[serde(default, deserialize_with = "loose::text")]
    name: String,
    #[serde(default, deserialize_with = "loose::text")]
    host: String,
    #[serde(default, deserialize_with = "loose::text")]
    region: String,
    #[serde(default, deserialize_with = "loose::text")]
    salt: String,
    /// Vaults from before there were versions have none.
    #[serde(default, deserialize_with = "loose::count")]
    encryption_version: u64,
    #[serde(default, deserialize_with = "loose::millis")]
    created: Millis,
    #[serde(default, deserialize_with = "loose::count")]
    size: u64,
    #[serde(default, deserialize_with = "loose::text")]
    password: String,
}

impl WireVault {
    pub(super) fn into_vault(self, shared: bool) -> Result<Vault, Error> {
        if self.id.is_empty() {
            return Err(Error::new(
                Kind::Protocol,
                "the service described a vault without an id",
            ));
        }
        let password = Some(self.password).filter(|password| !password.is_empty());
        Ok(Vault {
            id: VaultId::new(self.id),
            name: self.name,
            host: self.host,
            region: self.region,
            salt: self.salt,
            encryption_version: self.encryption_version,
            created: self.created,
            size: self.size,
            managed_password: password.map(Password::new),
            shared,
        })
    }
}
