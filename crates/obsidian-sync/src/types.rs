//! The nouns of the protocol: identifiers, versions, times and vaults.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::secret::Password;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The number of one record of a vault. It grows with every change; its content never changes.
    Uid(u64)
);
number!(
    /// A vault's version: the uid of the last record that a client has taken in. 0 for a new client.
    VaultVersion(u64)
);
number!(
    /// A time in whole milliseconds since the Unix epoch. The service sends 0 where it knows none.
    Millis(i64)
);

impl From<Uid> for VaultVersion {
    fn from(uid: Uid) -> Self {
        Self(uid.0)
    }
}

/// The id of a vault, as the service names it (`id` in a vault list, `vault_uid` in REST calls).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VaultId(String);

impl VaultId {
    /// Takes an id as the service gave it.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path or content hash as it travels: encrypted and hex-encoded (protocol section 3).
///
/// An empty one stands for "none": the hash of a folder or of a deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EncodedName(String);

impl EncodedName {
    /// Takes an encoded name as it was received or as the cipher made it.
    pub fn new(hex: impl Into<String>) -> Self {
        Self(hex.into())
    }

    /// The hex text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no name at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The SHA-256 of a file's plaintext.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// Hashes content that lies in memory.
    pub fn of(content: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(content).into())
    }

    /// Reads the 64 hex digits that a decoded record hash holds.
    pub fn from_hex(text: &str) -> Option<Self> {
        faster_hex::hex_decode_array(text.as_bytes()).ok().map(Self)
    }

    /// The 64 lower-case hex digits that clients encode and send.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({})", self.to_hex())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl Serialize for ContentHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("not 64 hex digits"))
    }
}

/// The encryption scheme of a vault (protocol section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncryptionVersion {
    /// The original scheme: one AES-GCM key for names and content.
    V0,
    /// AES-SIV names, HKDF keys.
    V2,
    /// The same algorithms as version 2 under a new number.
    V3,
}

impl EncryptionVersion {
    /// The newest scheme, which new vaults get.
    pub const LATEST: Self = Self::V3;

    /// Reads the wire number; `None` for a scheme that this crate does not know.
    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::V0),
            2 => Some(Self::V2),
            3 => Some(Self::V3),
            _ => None,
        }
    }

    /// The number on the wire.
    pub fn number(self) -> u64 {
        match self {
            Self::V0 => 0,
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// One vault of an account, from `/vault/list`.
#[derive(Debug, Clone)]
pub struct Vault {
    /// The id by which all calls name it.
    pub id: VaultId,
    /// The name its owner gave it. Not unique.
    pub name: String,
    /// The sync server, `host` or `host:port`. Not trusted: see [`crate::host`].
    pub host: String,
    /// The region it is kept in; empty where the service does not say.
    pub region: String,
    /// The salt of the key derivation; empty for a managed vault that has none.
    pub salt: String,
    /// The number of its encryption scheme, as the service sent it; see [`EncryptionVersion`].
    pub encryption_version: u64,
    /// When it was made.
    pub created: Millis,
    /// Its size in bytes on the service.
    pub size: u64,
    /// The password of a managed ("standard" encryption) vault; `None` with end-to-end encryption.
    pub managed_password: Option<Password>,
    /// Whether somebody else owns it and shares it with this account.
    pub shared: bool,
}
