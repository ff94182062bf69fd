//! Suites that every store must pass: one per trait, run by each implementation.
//!
//! A crate that implements [`VaultStore`] writes a [`VaultHome`] for it and calls
//! [`vault_store_tests!`](crate::vault_store_tests) in a test module; likewise [`StateHome`] and
//! [`state_store_tests!`](crate::state_store_tests) for a [`StateStore`].
//!
//! ```text
//! async fn home() -> MyHome {
//!     MyHome::fresh()
//! }
//! obsync_core::vault_store_tests!(home);
//! ```

// The suites are tests; they are compiled as a library only to be shared.
#![allow(clippy::unwrap_used)]

pub mod state;
pub mod vault;

use async_trait::async_trait;
use obsidian_sync::Millis;

use crate::state::StateStore;
use crate::store::VaultStore;

/// One place for a vault's files, empty at first, with hooks to change it behind the store's back.
#[async_trait]
pub trait VaultHome: Send + Sync {
    /// Opens a store on this place, as a new process would. The one before has been dropped.
    async fn open(&self) -> Box<dyn VaultStore>;

    /// Writes a file as another program would, with the folders above it.
    async fn write(&self, path: &str, content: &[u8]);

    /// Removes a file as another program would.
    async fn remove(&self, path: &str);

    /// A file's bytes as another program sees them; `None` when there is no such file.
    async fn read(&self, path: &str) -> Option<Vec<u8>>;

    /// A file's modification time as another program sees it.
    async fn mtime(&self, path: &str) -> Option<Millis>;

    /// The contents in the trash, in any order; `None` when this store has none.
    async fn trashed(&self) -> Option<Vec<Vec<u8>>>;

    /// Whether folders are things of their own: an empty one can be there, and none can share its
    /// name with a file. Not so on S3.
    fn has_folders(&self) -> bool {
        true
    }
}

/// One place for sync state, fresh at first.
#[async_trait]
pub trait StateHome: Send + Sync {
    /// Opens a store on this place, as a new process would. The one before has been dropped.
    async fn open(&self) -> Box<dyn StateStore>;
}
