//! [`MemoryStateStore`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::lock;
use crate::path::VaultPath;
use crate::state::{Batch, Contents, Counts, Entry, Header, RunStatus, StateStore, Unapplied};
use crate::store::{FileMeta, StoreError};

/// Sync state in memory. Clones share it, as two openings of one database would.
#[derive(Clone, Debug, Default)]
pub struct MemoryStateStore {
    inner: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    header: Header,
    entries: BTreeMap<VaultPath, Entry>,
    intents: BTreeMap<VaultPath, FileMeta>,
    unapplied: BTreeMap<String, Unapplied>,
    status: RunStatus,
    commits: u64,
}

impl MemoryStateStore {
    /// The state before the first run.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many batches were written: an idle run adds none.
    pub fn commits(&self) -> u64 {
        lock(&self.inner).commits
    }
}

#[async_trait]
impl StateStore for MemoryStateStore {
    async fn header(&self) -> Result<Header, StoreError> {
        Ok(lock(&self.inner).header.clone())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        let state = lock(&self.inner);
        let files = state.entries.values().filter_map(Entry::file);
        Ok(files.fold(Counts::default(), |counts, file| Counts {
            files: counts.files + 1,
            bytes: counts.bytes.saturating_add(file.size),
        }))
    }

    async fn load(&self) -> Result<Contents, StoreError> {
        let entries = lock(&self.inner).entries.clone().into_iter().collect();
        Ok(Contents { entries })
    }

    async fn intents(&self) -> Result<Vec<(VaultPath, FileMeta)>, StoreError> {
        Ok(lock(&self.inner).intents.clone().into_iter().collect())
    }

    async fn unapplied(&self) -> Result<Vec<Unapplied>, StoreError> {
        Ok(lock(&self.inner).unapplied.values().cloned().collect())
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut state = lock(&self.inner);
        state.commits += 1;
        if let Some(header) = batch.header {
            state.header = header;
        }
        for path in &batch.forget {
            state.entries.remove(path);
        }
        state.entries.extend(batch.set);
        if batch.settle {
            state.intents.clear();
        }
        state.intents.extend(batch.intend);
        for name in &batch.unlist {
            state.unapplied.remove(name);
        }
        for unapplied in batch.list {
            state.unapplied.insert(unapplied.name.clone(), unapplied);
        }
        Ok(())
    }

    async fn status(&self) -> Result<RunStatus, StoreError> {
        Ok(lock(&self.inner).status.clone())
    }

    async fn set_status(&self, status: &RunStatus) -> Result<(), StoreError> {
        lock(&self.inner).status = status.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::StateHome;

    struct Home(MemoryStateStore);

    #[async_trait]
    impl StateHome for Home {
        async fn open(&self) -> Box<dyn StateStore> {
            Box::new(self.0.clone())
        }
    }

    async fn home() -> Home {
        Home(MemoryStateStore::new())
    }
    crate::state_store_tests!(home);
}
