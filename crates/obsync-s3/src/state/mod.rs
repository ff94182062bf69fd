//! [`S3StateStore`]: the state of one vault as one document in the bucket.
//!
//! Commits are gathered in memory and written now and then, so that writing state takes no more
//! than a tenth of a run; what a crash loses of them the objects' own marks give back. Every write
//! is conditional on the last one and carries the writer's fencing number.

mod document;
mod entries;
mod form;
mod pace;
mod strays;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use obsync_core::clock::Clock;
use obsync_core::{
    Batch, Contents, Counts, FileMeta, Header, RunStatus, StateStore, StoreError, StoreErrorKind,
    Unapplied, VaultPath,
};
use tokio::sync::{Mutex, MutexGuard};

use crate::bucket::Bucket;
use crate::gate::Gate;
use crate::homes::Held;
use crate::lease::Lease;
use crate::register::{Register, Version, WriteFault};
pub(crate) use document::Document;
pub(crate) use form::{read, read_status};
use pace::Pace;

/// How often a write is merged with another's and tried again.
const TRIES: u32 = 5;

/// The state of one vault as one document in the bucket. Clones are one store.
#[derive(Clone)]
pub struct S3StateStore(Held<Core>);

pub(crate) struct Core {
    bucket: Bucket,
    register: Register,
    status: Register,
    lease: Lease,
    /// Where the document begins, before the first write.
    fresh: Document,
    memory: Mutex<Memory>,
}

struct Memory {
    document: Document,
    /// The version that was read or written last; `None` before the first.
    version: Option<Version>,
    /// Committed and not written yet.
    pending: Vec<Batch>,
    pace: Pace,
    /// Whether the document was read since the last run began.
    current: bool,
    /// Whether it holds what could not be written.
    spoiled: bool,
    /// Whether it was said that the bucket keeps no versions.
    warned: bool,
}

impl std::fmt::Debug for S3StateStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "S3StateStore({})", self.0.register.location())
    }
}

impl S3StateStore {
    pub(crate) fn new(held: Held<Core>) -> Self {
        Self(held)
    }

    /// S3's id of the last version of the state that was read or written; `None` before the
    /// first, and in a bucket that keeps no versions.
    pub async fn version_id(&self) -> Option<String> {
        let memory = self.0.memory.lock().await;
        memory
            .version
            .as_ref()
            .and_then(|version| version.id.clone())
    }

    /// Whether a run works on it just now, here or elsewhere.
    ///
    /// # Errors
    /// When the lease can't be read.
    pub async fn is_leased(&self) -> Result<bool, StoreError> {
        self.0.lease.is_held_by_anyone().await
    }

    /// Writes what is pending and lets other runs in. Front ends call it once a run's stores are
    /// no longer needed, also after a failed run.
    ///
    /// # Errors
    /// When the state can't be written; the lease then runs out by itself.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.0.close().await
    }
}

impl Core {
    pub(crate) fn new(
        bucket: &Bucket,
        [state, status, lease]: [Register; 3],
        clock: Arc<dyn Clock>,
        fresh: Document,
        found: Option<(Document, Version)>,
    ) -> Self {
        let (document, version) = match found {
            Some((document, version)) => (document, Some(version)),
            None => (fresh.clone(), None),
        };
        Self {
            bucket: bucket.clone(),
            register: state,
            status,
            lease: Lease::new(lease, clock),
            fresh,
            memory: Mutex::new(Memory {
                document,
                version,
                pending: Vec::new(),
                pace: Pace::default(),
                current: true,
                spoiled: false,
                warned: false,
            }),
        }
    }

    /// A new run begins with what the last one left in memory: asks S3 whether that is still so, and
    /// reads it again if not. `false`: the vault's prefix is another one by now.
    pub(crate) async fn restart(&self) -> Result<bool, StoreError> {
        let leftover = !self.memory.lock().await.pending.is_empty();
        // The last run was dropped before it could close.
        if (leftover || !self.lease.is_free())
            && let Err(error) = self.close().await
        {
            tracing::warn!(%error, "what the last run left could not be written");
        }
        let mut memory = self.memory.lock().await;
        memory.current = false;
        self.refresh(&mut memory).await?;
        Ok(memory.document.prefix == self.fresh.prefix)
    }

    async fn close(&self) -> Result<(), StoreError> {
        let mut memory = self.memory.lock().await;
        memory.current = false;
        if let Err(error) = self.write(&mut memory).await {
            // As if this run had died here: what it did is known by the objects' own marks.
            memory.pending.clear();
            memory.spoiled = true;
            self.lease.abandon();
            return Err(error);
        }
        self.lease.release().await
    }

    /// The state in memory, read again if another run may have written since.
    async fn memory(&self) -> Result<MutexGuard<'_, Memory>, StoreError> {
        let mut memory = self.memory.lock().await;
        self.refresh(&mut memory).await?;
        if memory.document.prefix != self.fresh.prefix {
            let what = "another run has set this vault up at another prefix meanwhile: run again";
            return Err(StoreError::new(StoreErrorKind::Busy, what));
        }
        Ok(memory)
    }

    async fn refresh(&self, memory: &mut Memory) -> Result<(), StoreError> {
        if memory.current {
            return Ok(());
        }
        let there = self.register.stamp().await?;
        let known = memory.version.as_ref().map(|version| &version.stamp);
        if memory.spoiled || there.as_ref() != known {
            self.reload(memory).await?;
            memory.spoiled = false;
        }
        memory.current = true;
        Ok(())
    }

    async fn reload(&self, memory: &mut Memory) -> Result<(), StoreError> {
        (memory.document, memory.version) = match read(&self.register).await? {
            Some((document, version)) => (document, Some(version)),
            None => (self.fresh.clone(), None),
        };
        Ok(())
    }

    /// Writes what is pending, onto what another run wrote if need be.
    async fn write(&self, memory: &mut Memory) -> Result<(), StoreError> {
        if memory.pending.is_empty() {
            return Ok(());
        }
        let fence = self.lease.held().await?;
        let Some(fence) = fence else {
            return Err(self.lease.lost());
        };
        for _ in 0..TRIES {
            memory.document.fence = fence;
            let begun = memory.pace.begin();
            let text = form::text(&memory.document)?;
            let before = memory.version.as_ref();
            match self.register.write(text, before).await {
                Ok(version) => {
                    memory.pace.end(begun);
                    if version.id.is_none() && !memory.warned {
                        memory.warned = true;
                        tracing::warn!(
                            bucket = self.bucket.name(),
                            "the bucket keeps no versions: turn versioning on to be able to go back"
                        );
                    }
                    memory.version = Some(version);
                    memory.pending.clear();
                    return Ok(());
                }
                Err(WriteFault::Failed(error)) => return Err(error),
                Err(WriteFault::Changed) => {
                    self.reload(memory).await?;
                    let moved = memory.document.prefix != self.fresh.prefix;
                    if memory.document.fence > fence || moved {
                        memory.pending.clear();
                        return Err(self.lease.lost());
                    }
                    let Memory {
                        document, pending, ..
                    } = memory;
                    document.merge(pending);
                }
            }
        }
        let what = format!("the state {} keeps changing", self.register.location());
        Err(StoreError::new(StoreErrorKind::Other, what))
    }

    /// Takes the lease, if what this run knows of the state is still so.
    async fn begin(&self) -> Result<(), StoreError> {
        let mut memory = self.memory().await?;
        if self.lease.held().await?.is_some() {
            return Ok(());
        }
        let taken = self.lease.take(memory.document.fence + 1).await?;
        let there = self.register.stamp().await?;
        if there.as_ref() != memory.version.as_ref().map(|version| &version.stamp) {
            memory.current = false;
            self.lease.release().await?;
            let what = "another run has worked on this vault meanwhile: run again";
            return Err(StoreError::new(StoreErrorKind::Busy, what));
        }
        if taken.unreleased {
            // Its run may still live: from here on its writes of the state fail.
            memory.pending.push(Batch::default());
            self.write(&mut memory).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Gate for Core {
    async fn enter(&self) -> Result<(), StoreError> {
        if self.lease.held().await?.is_some() {
            return Ok(());
        }
        self.begin().await
    }

    async fn confirm(&self) -> Result<(), StoreError> {
        self.lease.confirm().await
    }
}

#[async_trait]
impl StateStore for S3StateStore {
    async fn header(&self) -> Result<Header, StoreError> {
        Ok(self.0.memory().await?.document.header.clone())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        Ok(self.0.memory().await?.document.entries.counts())
    }

    async fn load(&self) -> Result<Contents, StoreError> {
        let memory = self.0.memory().await?;
        Ok(Contents {
            entries: memory.document.entries.iter().collect(),
        })
    }

    /// Also the files that a run put which died before it wrote state: their marks tell.
    async fn intents(&self) -> Result<Vec<(VaultPath, FileMeta)>, StoreError> {
        let memory = self.0.memory().await?;
        let mut intents = memory.document.intents.clone();
        if self.0.lease.is_unreleased().await? {
            let (bucket, document) = (&self.0.bucket, &memory.document);
            intents.extend(strays::find(bucket, document).await?);
        }
        Ok(intents.into_iter().collect())
    }

    async fn unapplied(&self) -> Result<Vec<Unapplied>, StoreError> {
        let memory = self.0.memory().await?;
        Ok(memory.document.unapplied.values().cloned().collect())
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.0.enter().await?;
        let mut memory = self.0.memory().await?;
        memory.document.apply(batch.clone());
        memory.pending.push(batch);
        if memory.pace.is_due() {
            self.0.write(&mut memory).await?;
        }
        Ok(())
    }

    async fn checkpoint(&self) -> Result<(), StoreError> {
        self.close().await
    }

    async fn status(&self) -> Result<RunStatus, StoreError> {
        read_status(&self.0.status).await
    }

    async fn set_status(&self, status: &RunStatus) -> Result<(), StoreError> {
        let text = serde_json::to_vec(status).expect("a status is plain JSON");
        self.0.status.overwrite(Bytes::from(text)).await
    }
}
