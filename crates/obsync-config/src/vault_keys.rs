//! [`VaultKeys`]: keys that were derived before, so that a process derives each only once.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::{ContentHash, EncryptionVersion, Password, Vault};
use tokio::sync::Semaphore;

/// How many vaults' keys are kept.
const MOST: usize = 32;

/// The keys of vaults that were opened before. Derives one at a time: each derivation takes 33 MiB.
///
/// It holds no password, only what a password was when its key was derived, as a hash.
pub struct VaultKeys {
    known: Mutex<VecDeque<(ContentHash, VaultCipher)>>,
    turn: Semaphore,
}

impl Default for VaultKeys {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            turn: Semaphore::new(1),
        }
    }
}

impl std::fmt::Debug for VaultKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VaultKeys({})", self.lock().len())
    }
}

impl VaultKeys {
    /// The keys of a vault under a password: those that are known, or new ones.
    pub(crate) async fn of(
        &self,
        vault: &Vault,
        version: EncryptionVersion,
        password: &Password,
    ) -> VaultCipher {
        let mark = mark(vault, password);
        if let Some(cipher) = self.find(mark) {
            return cipher;
        }
        // Never closed; without a permit nothing is lost but the limit.
        let _turn = self.turn.acquire().await.ok();
        // Another task may have asked for the same.
        if let Some(cipher) = self.find(mark) {
            return cipher;
        }
        let (password, salt) = (password.clone(), vault.salt.clone());
        // The derivation takes a tenth of a second of CPU by design.
        let derived = tokio::task::spawn_blocking(move || {
            let key = VaultKey::derive(&password, &salt);
            VaultCipher::new(version, &key, &salt)
        });
        let cipher = derived.await.expect("the key derivation does not panic");
        tracing::debug!(vault_id = vault.id.as_str(), "derived the vault's key");
        let mut known = self.lock();
        if known.len() == MOST {
            known.pop_front();
        }
        known.push_back((mark, cipher.clone()));
        cipher
    }

    fn find(&self, mark: ContentHash) -> Option<VaultCipher> {
        let known = self.lock();
        let found = known.iter().find(|(known, _)| *known == mark);
        found.map(|(_, cipher)| cipher.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(ContentHash, VaultCipher)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a key is derived from, and for whom, as a hash.
fn mark(vault: &Vault, password: &Password) -> ContentHash {
    let number = vault.encryption_version.to_string();
    let parts = [vault.id.as_str(), &vault.salt, &number, password.expose()];
    // Each by itself, so that no two lists of parts read the same.
    let hashes = parts.map(|part| ContentHash::of(part.as_bytes()).0);
    ContentHash::of(&hashes.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use obsidian_sync::{Millis, VaultId};

    fn vault(id: &str, salt: &str) -> Vault {
        Vault {
            id: VaultId::new(id),
            name: String::new(),
            host: String::new(),
            region: String::new(),
            salt: salt.to_owned(),
            encryption_version: 3,
            created: Millis(0),
            size: 0,
            managed_password: None,
            shared: false,
        }
    }

    #[tokio::test]
    async fn a_key_is_derived_once_and_only_for_what_it_is_of() {
        let keys = VaultKeys::default();
        let of = async |vault: &Vault, password: &str| {
            let password = Password::new(password);
            let cipher = keys.of(vault, EncryptionVersion::V3, &password).await;
            cipher.keyhash().to_owned()
        };
        let first = vault("one", "salt");
        let hash = of(&first, "secret").await;
        assert_eq!(of(&first, "secret").await, hash);
        assert_eq!(keys.lock().len(), 1);
        assert_ne!(of(&first, "other").await, hash);
        assert_ne!(of(&vault("one", "other"), "secret").await, hash);
        assert_eq!(of(&vault("two", "salt"), "secret").await, hash);
        assert_eq!(keys.lock().len(), 4);
    }

    #[tokio::test]
    async fn the_oldest_key_goes_when_there_are_too_many() {
        let keys = VaultKeys::default();
        let password = Password::new("secret");
        let first = vault("one", "salt");
        let cipher = keys.of(&first, EncryptionVersion::V3, &password).await;
        {
            let mut known = keys.lock();
            for number in 1..MOST {
                let other = mark(&vault(&number.to_string(), "salt"), &password);
                known.push_back((other, cipher.clone()));
            }
        }
        keys.of(&vault("new", "salt"), EncryptionVersion::V3, &password)
            .await;
        assert_eq!(keys.lock().len(), MOST);
        assert!(keys.find(mark(&first, &password)).is_none());
    }
}
