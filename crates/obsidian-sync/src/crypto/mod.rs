//! Encryption of names and content (protocol section 3).
//!
//! [`VaultKey`] is derived once from a password; [`VaultCipher`] holds all expanded keys of a vault and
//! is cheap to clone and to share between threads.

mod content;
mod key;
mod siv;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub use self::content::ContentOpener;
use self::content::{ContentKey, IV_LEN, TAG_LEN, content_corrupt};
pub use self::key::VaultKey;
use self::siv::Siv;
use crate::error::{Error, Kind};
use crate::types::{ContentHash, EncodedName, EncryptionVersion};

/// How much longer sealed content is than its plaintext (an empty file is not sealed at all).
pub const SEAL_OVERHEAD: u64 = (IV_LEN + TAG_LEN) as u64;

/// Encrypts and decrypts what a vault holds, in any of its three schemes.
///
/// Clones share the keys. Names never come in two forms: one plaintext gives one encoded name.
#[derive(Clone)]
pub struct VaultCipher(Arc<Keys>);

struct Keys {
    version: EncryptionVersion,
    keyhash: Zeroizing<String>,
    /// `None` in version 0, where one key does both jobs.
    names: Option<Siv>,
    content: ContentKey,
}

impl VaultCipher {
    /// Expands all keys of a vault.
    pub fn new(version: EncryptionVersion, key: &VaultKey, salt: &str) -> Self {
        let (names, content) = match version {
            EncryptionVersion::V0 => (None, Zeroizing::new(*key.bytes())),
            EncryptionVersion::V2 | EncryptionVersion::V3 => {
                let encryption = key.expand(salt.as_bytes(), "ObsidianAesSivEnc");
                let mac = key.expand(salt.as_bytes(), "ObsidianAesSivMac");
                (
                    Some(Siv::new(&encryption, &mac)),
                    key.expand(b"", "ObsidianAesGcm"),
                )
            }
        };
        Self(Arc::new(Keys {
            version,
            keyhash: Zeroizing::new(key.keyhash(version, salt)),
            names,
            content: ContentKey::new(content),
        }))
    }

    /// The scheme.
    pub fn version(&self) -> EncryptionVersion {
        self.0.version
    }

    /// What proves to the service that the password is right, in hex. Never log it.
    pub fn keyhash(&self) -> &str {
        &self.0.keyhash
    }

    /// Encodes a path, whole, with its `/` separators.
    pub fn encode_name(&self, plain: &str) -> EncodedName {
        let sealed = match &self.0.names {
            Some(siv) => siv.seal(plain.as_bytes()),
            None => {
                let digest: [u8; 32] = Sha256::digest(plain).into();
                let mut iv = [0; IV_LEN];
                iv.copy_from_slice(&digest[..IV_LEN]);
                self.0.content.seal(plain.as_bytes(), iv)
            }
        };
        EncodedName::new(hex::encode(sealed))
    }

    /// Decodes a path. A leading byte-order mark is dropped, invalid UTF-8 becomes U+FFFD, as in the
    /// service's own clients.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when the name is not hex, was changed, or belongs to another key.
    pub fn decode_name(&self, name: &EncodedName) -> Result<String, Error> {
        let corrupt = || {
            Error::new(
                Kind::Corrupt,
                "an encrypted name failed its authenticity check: it was damaged or encrypted with \
                 another key",
            )
        };
        let sealed = faster_hex::hex_decode_vec(name.as_str().as_bytes()).map_err(|_| corrupt())?;
        let plain = match &self.0.names {
            Some(siv) => siv.open(sealed),
            None => self.0.content.open(sealed),
        }
        .ok_or_else(corrupt)?;
        Ok(lossy_text(plain))
    }

    /// Encodes a content hash; `None` (a folder, a deletion) is the empty name.
    pub fn encode_hash(&self, hash: Option<ContentHash>) -> EncodedName {
        hash.map(|hash| self.encode_name(&hash.to_hex()))
            .unwrap_or_default()
    }

    /// Decodes a content hash; the empty name is `None`.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when it fails its check, or does not hold 64 hex digits.
    pub fn decode_hash(&self, name: &EncodedName) -> Result<Option<ContentHash>, Error> {
        if name.is_empty() {
            return Ok(None);
        }
        let hash = ContentHash::from_hex(&self.decode_name(name)?).ok_or_else(|| {
            Error::new(
                Kind::Corrupt,
                "a record's content hash is not a SHA-256 in hex",
            )
        })?;
        Ok(Some(hash))
    }

    /// Encrypts content under a random IV. Empty content stays empty.
    ///
    /// # Panics
    /// When the operating system has no random bytes to give.
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut iv = [0; IV_LEN];
        getrandom::fill(&mut iv).expect("the operating system gives random bytes");
        self.seal_with_iv(plain, iv)
    }

    /// Encrypts content under an IV of the caller's choice: for known answers and for servers that
    /// must be reproducible. **Never use an IV twice with one key.**
    pub fn seal_with_iv(&self, plain: &[u8], iv: [u8; 12]) -> Vec<u8> {
        if plain.is_empty() {
            return Vec::new();
        }
        self.0.content.seal(plain, iv)
    }

    /// Decrypts content in place. Nothing, and an IV alone, are an empty file.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when the content was cut short, changed, or sealed with another key.
    pub fn open(&self, sealed: Vec<u8>) -> Result<Vec<u8>, Error> {
        if sealed.is_empty() || sealed.len() == IV_LEN {
            return Ok(Vec::new());
        }
        self.0.content.open(sealed).ok_or_else(content_corrupt)
    }

    /// Starts to decrypt content that is too large to hold in memory.
    pub fn opener(&self) -> ContentOpener {
        self.0.content.opener()
    }
}

impl fmt::Debug for VaultCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultCipher")
            .field("version", &self.0.version)
            .finish_non_exhaustive()
    }
}

/// What a text decoder of the web makes of bytes.
fn lossy_text(bytes: Vec<u8>) -> String {
    let mut text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    text
}
