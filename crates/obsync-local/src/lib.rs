//! Homes on this machine: a vault in a folder, its sync state in SQLite.
//!
//! - [`FolderStore`] keeps a vault's files under one folder and never reads or writes outside it.
//! - [`Trash`] keeps what `mirror` removes or replaces.
//! - [`SqliteStateStore`] keeps the sync state, behind a lock that the kernel releases.
//! - [`StateDir`] says where each of these lies.
//!
//! All of them fail with [`obsync_core::StoreError`], whose kind says what the caller does next.
//! The crate is for Unix: Linux and macOS.
//!
//! ```no_run
//! # async fn example() -> Result<(), obsync_core::StoreError> {
//! use obsync_core::{StateStore as _, VaultStore as _};
//! use obsync_local::{About, FolderOptions, FolderStore, SqliteStateStore, StateDir, destination};
//!
//! let vault = obsidian_sync::VaultId::new("0123abcd");
//! let folder = std::path::Path::new("notes");
//! let store = FolderStore::open(folder, FolderOptions::default())?;
//! store.lock()?;
//! let about = About::new(&vault, "My vault", destination(folder));
//! let state = SqliteStateStore::open(&StateDir::new("state").state(&about), &about)?;
//! println!("{:?}, empty: {}", state.header().await?, store.is_empty().await?);
//! # Ok(())
//! # }
//! ```

mod blocking;
mod confined;
mod durable;
mod error;
mod folder;
mod lock;
mod paths;
mod private;
mod sqlite;
mod state_check;
mod trash;

pub use folder::{FolderCheck, FolderOptions, FolderStore};
pub use lock::RunLock;
pub use paths::{About, StateDir, StatePaths, destination};
pub use sqlite::SqliteStateStore;
pub use state_check::StateDirCheck;
pub use trash::Trash;
