//! Keys: from a vault's password to everything that is derived from it.

use std::fmt;

use hkdf::Hkdf;
use scrypt::Params;
use sha2::{Digest as _, Sha256};
use unicode_normalization::{UnicodeNormalization as _, is_nfkc};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::secret::Password;
use crate::types::EncryptionVersion;

/// The key of a vault: scrypt of its password and salt. All other keys come from it.
///
/// It never prints, and its memory is wiped on drop. Deriving it takes about 85 ms of CPU and 33 MiB
/// of memory, so derive it once per vault, off the async threads, and keep it.
#[derive(Clone, ZeroizeOnDrop)]
pub struct VaultKey([u8; 32]);

impl VaultKey {
    /// Derives the key: scrypt (N = 32768, r = 8, p = 1) over both texts in NFKC form.
    pub fn derive(password: &Password, salt: &str) -> Self {
        let params = Params::new(15, 8, 1).expect("the protocol's scrypt parameters are valid");
        let password = nfkc(password.expose());
        let salt = nfkc(salt);
        let mut key = [0; 32];
        scrypt::scrypt(password.as_bytes(), salt.as_bytes(), &params, &mut key)
            .expect("32 bytes is a valid output length");
        Self(key)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A 32-byte key for one use, by HKDF-SHA-256.
    pub(super) fn expand(&self, salt: &[u8], info: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(salt), &self.0)
            .expand(info.as_bytes(), key.as_mut())
            .expect("32 bytes is a valid output length");
        key
    }

    /// What proves to the service that a client has the key, in hex.
    pub(super) fn keyhash(&self, version: EncryptionVersion, salt: &str) -> String {
        match version {
            EncryptionVersion::V0 => hex::encode(Sha256::digest(self.0)),
            EncryptionVersion::V2 | EncryptionVersion::V3 => {
                hex::encode(self.expand(salt.as_bytes(), "ObsidianKeyHash"))
            }
        }
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultKey(…)")
    }
}

/// The NFKC form, in memory that is wiped and never moved: a growing string would leave copies.
fn nfkc(text: &str) -> Zeroizing<String> {
    if is_nfkc(text) {
        return Zeroizing::new(text.to_owned());
    }
    // No character grows by more than 11 times.
    let mut normal = Zeroizing::new(String::with_capacity(text.len() * 11));
    normal.extend(text.nfkc());
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compatible_spellings_give_one_key() {
        let salt = "00112233445566778899aabbccddeeff";
        let ligature = VaultKey::derive(&Password::new("\u{fb01}le"), salt);
        let letters = VaultKey::derive(&Password::new("file"), salt);
        let other = VaultKey::derive(&Password::new("File"), salt);
        assert_eq!(ligature.bytes(), letters.bytes());
        assert_ne!(letters.bytes(), other.bytes());
    }

    #[test]
    fn the_longest_growth_fits_the_buffer() {
        // U+FDFA is the character that grows most.
        let grown = nfkc("\u{fdfa}\u{fdfa}");
        assert_eq!(grown.len(), 66);
        assert_eq!(grown.capacity(), 66);
    }

    #[test]
    fn a_key_does_not_print() {
        assert_eq!(format!("{:?}", VaultKey([7; 32])), "VaultKey(…)");
    }
}
