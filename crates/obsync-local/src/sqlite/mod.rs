//! [`SqliteStateStore`]: sync state in a SQLite file.
//!
//! The file is in WAL mode with `synchronous = FULL`, and each batch is one transaction. A run
//! that only reads leaves it untouched. How runs went is in a small JSON file beside it.

mod open;
mod read;
mod status;
#[cfg(test)]
mod tests;
mod write;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use obsync_core::{
    Batch, Contents, Counts, FileMeta, Header, RunStatus, StateStore, StoreError, StoreErrorKind,
    Unapplied, VaultPath,
};
use rusqlite::Connection;

use crate::blocking;
use crate::error::Context as _;
use crate::lock::RunLock;
use crate::paths::{About, StatePaths};
use crate::private;

/// Sync state of one vault at one destination.
#[derive(Debug)]
pub struct SqliteStateStore {
    paths: StatePaths,
    access: Access,
}

#[derive(Debug)]
enum Access {
    /// The one run that may write.
    Write(Arc<Mutex<Writer>>),
    /// Looks without a lock, and creates nothing. Each call opens the file anew.
    Read,
}

/// Dropped in this order: the lock must outlive the connection.
#[derive(Debug)]
struct Writer {
    connection: Connection,
    _lock: RunLock,
}

impl SqliteStateStore {
    /// Takes the lock and opens the state for a run, creating it where missing.
    ///
    /// # Errors
    /// [`StoreErrorKind::Busy`] when another run holds the lock; [`StoreErrorKind::Unusable`] when
    /// the state is damaged, written by a newer obsync, or another vault's.
    pub fn open(paths: &StatePaths, about: &About) -> Result<Self, StoreError> {
        let what = format!("the copy in {}", about.destination);
        let lock = RunLock::take(&paths.lock, &what)?;
        let connection = open::to_write(paths, about)?;
        let writer = Writer {
            connection,
            _lock: lock,
        };
        let access = Access::Write(Arc::new(Mutex::new(writer)));
        Ok(Self {
            paths: paths.clone(),
            access,
        })
    }

    /// Opens the state to look at, without the lock; for `status` and dry runs. Where there is
    /// none, all answers are those of a fresh one. Writing fails.
    pub fn open_read_only(paths: &StatePaths) -> Self {
        Self {
            paths: paths.clone(),
            access: Access::Read,
        }
    }

    /// Which vault and destination this is; `None` when there is no state.
    ///
    /// # Errors
    /// When it can't be told, from the state or from what lies beside it.
    pub async fn about(&self) -> Result<Option<About>, StoreError> {
        let told = self
            .read(|connection| read::about(connection).map(Some), None)
            .await;
        if matches!(told, Ok(Some(_))) {
            return told;
        }
        // Of a state that can't be read, the note on its runs still tells.
        let status = status::read(&self.paths.status)?;
        if status.vault_id.is_empty() {
            return told;
        }
        let RunStatus {
            vault_id,
            vault_name,
            destination,
            ..
        } = status;
        Ok(Some(About {
            vault_id,
            vault_name,
            destination,
        }))
    }

    /// Removes a state, which may be a damaged one. `Ok(false)`: there was none.
    ///
    /// # Errors
    /// [`StoreErrorKind::Busy`] when a run is using it.
    pub fn reset(paths: &StatePaths) -> Result<bool, StoreError> {
        let [wal, shm] = paths.side_files();
        let files = [&paths.db, &wal, &shm, &paths.status];
        if !files.iter().any(|file| file.exists()) {
            return Ok(false);
        }
        let _lock = RunLock::take(&paths.lock, &format!("the state {}", paths.db.display()))?;
        for file in files {
            private::remove(file).context(|| format!("can't remove {}", file.display()))?;
        }
        Ok(true)
    }

    /// Runs a query; `missing` answers where there is no database.
    async fn read<T: Send + 'static>(
        &self,
        query: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
        missing: T,
    ) -> Result<T, StoreError> {
        let paths = self.paths.clone();
        match &self.access {
            Access::Write(writer) => {
                let writer = Arc::clone(writer);
                blocking::run(move || {
                    let writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                    query(&writer.connection).map_err(|error| open::failed(&paths, None, error))
                })
                .await
            }
            Access::Read => {
                blocking::run(move || Ok(open::to_read(&paths, query)?.unwrap_or(missing))).await
            }
        }
    }
}

#[async_trait]
impl StateStore for SqliteStateStore {
    async fn header(&self) -> Result<Header, StoreError> {
        self.read(read::header, Header::default()).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.read(read::counts, Counts::default()).await
    }

    async fn load(&self) -> Result<Contents, StoreError> {
        self.read(read::entries, Contents::default()).await
    }

    async fn intents(&self) -> Result<Vec<(VaultPath, FileMeta)>, StoreError> {
        self.read(read::intents, Vec::new()).await
    }

    async fn unapplied(&self) -> Result<Vec<Unapplied>, StoreError> {
        self.read(read::unapplied, Vec::new()).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let Access::Write(writer) = &self.access else {
            return Err(read_only());
        };
        let (writer, paths) = (Arc::clone(writer), self.paths.clone());
        blocking::run(move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            write::commit(&mut writer.connection, &batch)
                .map_err(|error| open::failed(&paths, None, error))
        })
        .await
    }

    async fn status(&self) -> Result<RunStatus, StoreError> {
        let path = self.paths.status.clone();
        blocking::run(move || status::read(&path)).await
    }

    async fn set_status(&self, status: &RunStatus) -> Result<(), StoreError> {
        let Access::Write(_) = &self.access else {
            return Err(read_only());
        };
        let (path, status) = (self.paths.status.clone(), status.clone());
        blocking::run(move || status::write(&path, &status)).await
    }
}

fn read_only() -> StoreError {
    StoreError::new(
        StoreErrorKind::Denied,
        "the sync state was opened to look at only",
    )
}
