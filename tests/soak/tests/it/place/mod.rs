//! Destinations, seen from both sides: as obsync opens them, and as a person finds them.

mod bucket;
mod folder;
mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use obsidian_sync::Millis;
use obsync_core::memory::{FailingStateStore, FailingVaultStore, Faults};
use obsync_core::{Folding, StateStore, VaultStore};

pub(crate) use bucket::Bucket;
pub(crate) use folder::Folder;
pub(crate) use memory::Memory;

/// Both stores of one run.
pub(crate) struct Stores {
    pub(crate) files: Arc<dyn VaultStore>,
    pub(crate) state: Arc<dyn StateStore>,
}

impl Stores {
    /// Wraps stores, so that they fail as `faults` say.
    pub(crate) fn new(
        files: impl VaultStore + 'static,
        state: impl StateStore + 'static,
        faults: &Faults,
    ) -> Self {
        Self {
            files: Arc::new(FailingVaultStore::new(files, faults.clone())),
            state: Arc::new(FailingStateStore::new(state, faults.clone())),
        }
    }
}

/// What file systems hold: parts of at most 255 bytes.
fn short_parts(path: &str) -> bool {
    path.split('/').all(|part| part.len() <= 255)
}

/// A destination with its sync state.
#[async_trait]
pub(crate) trait Place: Send + Sync {
    /// Whether it can hold a name.
    fn holds(&self) -> fn(&str) -> bool;

    /// Which names it takes for the same.
    fn folding(&self) -> Folding {
        Folding::default()
    }

    /// Whether there are folders at all.
    fn has_folders(&self) -> bool {
        true
    }

    /// Whether what obsync wrote can be told without its state.
    fn marks_files(&self) -> bool {
        false
    }

    /// Opens both stores, as a new process would.
    async fn open(&self, faults: &Faults) -> Stores;

    /// The run that used the stores is over; `died` says that nothing was put in order.
    async fn closed(&self, stores: Stores, died: bool);

    /// Throws the sync state away.
    async fn reset(&self);

    /// A person writes a file, with the folders above it. Nothing happens where that can't be.
    fn write(&self, path: &str, content: &Bytes);

    /// The same at one stroke, as editors save: for while a run is under way.
    fn replace(&self, path: &str, content: &Bytes) {
        self.write(path, content);
    }

    /// A person removes a file, if it is there.
    fn remove(&self, path: &str);

    /// A person writes the ignore file.
    fn ignore(&self, text: &str);

    /// When a file was last changed, as it says itself.
    fn mtime(&self, path: &str) -> Option<Millis>;

    /// A person makes a folder. Nothing happens where that can't be.
    fn make_folder(&self, path: &str);

    /// All files but obsync's own and the ignore file.
    fn files(&self) -> BTreeMap<String, Bytes>;

    /// All folders but obsync's own.
    fn folders(&self) -> Vec<String>;

    /// What is in the trash.
    fn trashed(&self) -> Vec<Bytes>;

    /// What a run left behind that it should not have.
    fn leftovers(&self) -> Vec<String>;

    /// A text that changes whenever anything is written, the run's status aside.
    fn print(&self) -> String;

    /// What of the surroundings is no longer what it was; empty is right.
    fn harm(&self) -> Vec<String>;
}
