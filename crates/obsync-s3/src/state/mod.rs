//! [`S3StateStore`]: the state of one vault as one document in the bucket.
//!
//! Commits are gathered in memory and written now and then, so that writing state takes no more
//! than a tenth of a run; what a crash loses of them the objects' own marks give back. Every write
//! is conditional on the last one and carries the writer's fencing number. A run begins with the
//! document's head; the entries are read when it turns out that there is work.

mod begin;
mod document;
mod entries;
mod form;
mod pace;
mod strays;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use obsync_core::{
    Batch, Contents, Counts, FileMeta, Header, RunStatus, StateStore, StoreError, StoreErrorKind,
    Unapplied, VaultPath,
};
use tokio::sync::{Mutex, MutexGuard};

use crate::bucket::Bucket;
use crate::gate::Gate;
use crate::homes::Held;
use crate::lease::{Holder, Lease};
use crate::register::{Register, Version};
pub(crate) use document::Head;
use entries::Entries;
pub(crate) use form::{Found, read, read_status, read_whole, write_status};
use pace::Pace;

/// The state of one vault as one document in the bucket. Clones are one store.
#[derive(Clone)]
pub struct S3StateStore(Held<Core>);

pub(crate) struct Core {
    bucket: Bucket,
    register: Register,
    status: Register,
    lease: Lease,
    /// Whether all is done that comes between the lease and the first effect.
    open: AtomicBool,
    /// Where the document begins, before the first write.
    fresh: Head,
    memory: Mutex<Memory>,
}

struct Memory {
    head: Head,
    /// `None`: not read yet. Shared with whoever writes them out.
    entries: Option<Arc<Entries>>,
    /// The version that was read or written last; `None` before the first.
    version: Option<Version>,
    /// The fencing number and the header in that version.
    known: (u64, Header),
    /// Below this the cursor does not move any more: another run had it there.
    floor: Option<Header>,
    /// Committed and not written yet.
    pending: Vec<Batch>,
    /// The files of a dead run, with its fencing number: what this run was told of.
    strays: Option<(u64, Vec<(VaultPath, FileMeta)>)>,
    /// Whose the lease was when the document was read, until it is asked for.
    holder: Option<Holder>,
    pace: Pace,
    /// Whether the document was read since the last run began.
    current: bool,
    /// Whether it holds what could not be written.
    spoiled: bool,
    /// Whether it was said that the bucket keeps no versions.
    warned: bool,
}

impl Memory {
    fn new(fresh: &Head, found: Option<Found>) -> Self {
        let mut memory = Self {
            head: fresh.clone(),
            entries: None,
            version: None,
            known: Default::default(),
            floor: None,
            pending: Vec::new(),
            strays: None,
            holder: None,
            pace: Pace::default(),
            current: true,
            spoiled: false,
            warned: false,
        };
        memory.adopt(fresh, found);
        memory
    }

    /// Takes what was found in the bucket.
    fn adopt(&mut self, fresh: &Head, found: Option<Found>) {
        (self.head, self.entries, self.version) = match found {
            Some(found) => (found.head, found.entries.map(Arc::new), Some(found.version)),
            None => (fresh.clone(), Some(Arc::default()), None),
        };
        self.known = (self.head.fence, self.head.header.clone());
        self.spoiled = false;
    }

    /// Applies a batch. The entries have been read.
    fn apply(&mut self, batch: &Batch) {
        let entries = Arc::make_mut(self.entries.get_or_insert_default());
        self.head.apply(entries, batch);
        if let Some(floor) = &self.floor {
            self.head.raise(floor);
        }
    }
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
        [state, status]: [Register; 2],
        lease: Lease,
        fresh: Head,
        found: Option<Found>,
        holder: Option<Holder>,
    ) -> Self {
        let mut memory = Memory::new(&fresh, found);
        memory.holder = holder;
        Self {
            bucket: bucket.clone(),
            register: state,
            status,
            lease,
            open: AtomicBool::new(false),
            fresh,
            memory: Mutex::new(memory),
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
        memory.floor = None;
        memory.strays = None;
        memory.holder = None;
        self.refresh(&mut memory).await?;
        Ok(memory.head.prefix == self.fresh.prefix)
    }

    async fn close(&self) -> Result<(), StoreError> {
        let mut memory = self.memory.lock().await;
        memory.current = false;
        if !self.open.swap(false, Ordering::AcqRel) {
            // Cut off before it had noted what a dead run left: the next one is to look for that.
            memory.spoiled |= !memory.pending.is_empty();
            memory.pending.clear();
            self.lease.abandon();
            return Ok(());
        }
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
        if memory.head.prefix != self.fresh.prefix {
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
            memory.adopt(&self.fresh, read(&self.register).await?);
        }
        memory.current = true;
        Ok(())
    }

    /// The entries, read now if only the head was read before.
    async fn entries(&self, memory: &mut Memory) -> Result<Arc<Entries>, StoreError> {
        if let Some(entries) = &memory.entries {
            return Ok(Arc::clone(entries));
        }
        let version = memory.version.as_ref();
        let version = version.expect("what was never written has all its entries");
        match form::read_rest(&self.register, version).await {
            Ok(found) => {
                let entries: Arc<Entries> = Arc::new(found.entries.unwrap_or_default());
                memory.head.counts = entries.counts();
                memory.entries = Some(Arc::clone(&entries));
                Ok(entries)
            }
            Err(error) => {
                // What was read of it belongs to nothing any more.
                memory.current = error.kind != StoreErrorKind::Busy;
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Gate for Core {
    async fn enter(&self) -> Result<(), StoreError> {
        if self.is_open().await? {
            return Ok(());
        }
        self.begin(true).await
    }

    async fn confirm(&self) -> Result<(), StoreError> {
        self.lease.confirm().await
    }
}

#[async_trait]
impl StateStore for S3StateStore {
    async fn header(&self) -> Result<Header, StoreError> {
        Ok(self.0.memory().await?.head.header.clone())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        Ok(self.0.memory().await?.head.counts)
    }

    async fn load(&self) -> Result<Contents, StoreError> {
        let mut memory = self.0.memory().await?;
        let entries = self.0.entries(&mut memory).await?;
        Ok(Contents {
            entries: entries.iter().collect(),
        })
    }

    /// Also the files that a run put which died before it wrote state: their marks tell. While another
    /// run is at work, what it puts is not looked for: this one comes no further than that.
    async fn intents(&self) -> Result<Vec<(VaultPath, FileMeta)>, StoreError> {
        let mut memory = self.0.memory().await?;
        let mut intents = memory.head.intents.clone();
        let holder = match memory.holder.take() {
            Some(holder) => holder,
            None => self.0.lease.holder().await?,
        };
        if let Holder::Dead(fence) = holder {
            let strays = self.0.strays(&mut memory).await?;
            intents.extend(strays.iter().cloned());
            memory.strays = Some((fence, strays));
        }
        Ok(intents.into_iter().collect())
    }

    async fn unapplied(&self) -> Result<Vec<Unapplied>, StoreError> {
        let memory = self.0.memory().await?;
        Ok(memory.head.unapplied.values().cloned().collect())
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        if !self.0.is_open().await? {
            self.0.begin(false).await?;
        }
        let mut memory = self.0.memory().await?;
        self.0.entries(&mut memory).await?;
        memory.apply(&batch);
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
        write_status(&self.0.status, status).await
    }
}
