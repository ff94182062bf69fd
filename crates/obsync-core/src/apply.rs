//! Carrying out a plan: small, boring, in the plan's own order.
//!
//! Each step either succeeds and is noted in the [`Ledger`], or fails and is listed; only a full
//! destination, a broken state or the service's final word end a run early.

mod arrivals;

use std::sync::Arc;
use std::time::Duration;

use obsidian_sync::client::{Connector, SyncClient};
use obsidian_sync::crypto::VaultCipher;
use obsidian_sync::{Uid, VaultVersion};
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::commit::Ledger;
use crate::error::SyncError;
use crate::path::VaultPath;
use crate::place::Placer;
use crate::plan::{Clear, Download, Mode, Plan, Removal, Reuse, Target};
use crate::progress::Event;
use crate::record::{Change, Record};
use crate::report::{Problem, ProblemKind};
use crate::state::{Entry, FileEntry};
use crate::store::{FileMeta, Found, Stamp, StoreError, StoreErrorKind, VaultStore};

/// What a run has done so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) downloaded: u64,
    pub(crate) moved: u64,
    pub(crate) deleted: u64,
    pub(crate) bytes: u64,
    pub(crate) kept: Vec<Problem>,
}

/// What downloads need.
pub(crate) struct Remote {
    pub(crate) connector: Connector,
    pub(crate) cipher: VaultCipher,
    pub(crate) client: SyncClient,
    pub(crate) version: VaultVersion,
    pub(crate) connections: usize,
    pub(crate) budget: Budget,
    pub(crate) finishing: Duration,
}

pub(crate) struct Applier {
    pub(crate) placer: Arc<Placer>,
    pub(crate) ledger: Ledger,
    pub(crate) tally: Tally,
    pub(crate) stop: CancellationToken,
}

impl Applier {
    /// Applies all of a plan that [`Applier::note`] has taken its part of, or as much as can be until
    /// something ends the run. Whatever was done is noted; the caller closes the ledger in either case.
    pub(crate) async fn apply(&mut self, plan: Plan, remote: Remote) -> Result<(), SyncError> {
        let Plan {
            clear,
            folders,
            reuse,
            mut downloads,
            mut removals,
            folder_removals,
            ..
        } = plan;
        for clear in clear {
            self.check()?;
            self.clear(clear).await?;
        }
        for (path, uid) in folders {
            self.check()?;
            self.create_folder(path, uid).await?;
        }
        self.reuse(reuse, &mut downloads, &mut removals).await?;
        self.download(downloads, remote).await?;
        self.remove_all(removals).await?;
        for (path, uid) in folder_removals {
            self.check()?;
            self.remove_folder(path, uid).await?;
        }
        Ok(())
    }

    /// Takes what changes only the state out of a plan. It belongs into the first commit: the cursor
    /// that is stored with it passes these records.
    pub(crate) fn note(&mut self, plan: &mut Plan) {
        for (path, entry) in std::mem::take(&mut plan.adopt) {
            self.ledger.set(path, entry);
        }
        for path in std::mem::take(&mut plan.forget) {
            self.ledger.forget(path);
        }
        for item in std::mem::take(&mut plan.list) {
            self.ledger.list(item);
        }
        for name in std::mem::take(&mut plan.unlist) {
            self.ledger.unlist(&name);
        }
        for (path, uid) in std::mem::take(&mut plan.kept) {
            self.kept_edit(&path, uid);
        }
    }

    fn check(&self) -> Result<(), SyncError> {
        if self.stop.is_cancelled() {
            Err(SyncError::Stopped)
        } else {
            Ok(())
        }
    }

    async fn clear(&mut self, clear: Clear) -> Result<(), SyncError> {
        match clear {
            Clear::File(removal) => self.remove(removal).await,
            Clear::Folder(path, uid) => self.remove_folder(path, uid).await,
            Clear::SetAside(path, uid) => {
                match self.placer.set_aside(&path).await {
                    Ok(()) => {
                        self.ledger.forget(path);
                        self.ledger.done(uid);
                    }
                    // What could not make way makes the folder fail, with a message of its own.
                    Err(error) => {
                        self.survive(&error)?;
                        self.ledger.done(uid);
                    }
                }
                Ok(self.ledger.commit_if_due().await?)
            }
        }
    }

    async fn create_folder(&mut self, path: VaultPath, uid: Uid) -> Result<(), SyncError> {
        let store = &self.placer.store;
        let mut created = store.create_folder(&path).await;
        if let Err(error) = &created
            && !error.kind.ends_all()
            && let Ok(Found::Folder) = store.inspect(&path, None).await
        {
            // Its reply was all that was lost.
            created = Ok(());
        }
        match created {
            Ok(()) => {
                self.ledger.set(path, Entry::Folder { uid });
                self.ledger.done(uid);
            }
            Err(error) => {
                self.survive(&error)?;
                self.failed(
                    Record {
                        uid,
                        path,
                        change: Change::Folder,
                    },
                    &error,
                );
            }
        }
        Ok(self.ledger.commit_if_due().await?)
    }

    /// Moves and copies. What can't be reused after all is fetched.
    async fn reuse(
        &mut self,
        reuse: Vec<Reuse>,
        downloads: &mut Vec<Download>,
        removals: &mut Vec<Removal>,
    ) -> Result<(), SyncError> {
        let (moves, copies): (Vec<_>, Vec<_>) = reuse
            .into_iter()
            .partition(|reuse| reuse.moved_by.is_some());
        // Copies first: a copy's source may be what a move takes away.
        for copy in copies {
            self.check()?;
            if !self.copy(&copy).await? {
                downloads.push(Download {
                    target: copy.target,
                    also: Vec::new(),
                });
            }
        }
        let size = self.ledger.batch_size();
        let mut moves = moves.into_iter().peekable();
        while moves.peek().is_some() {
            self.check()?;
            let batch: Vec<Reuse> = moves.by_ref().take(size).collect();
            if !self.placer.store.marks_own_files() {
                let intend = batch
                    .iter()
                    .map(|reuse| (reuse.target.path.clone(), reuse.target.meta()))
                    .collect();
                self.ledger.commit_with(intend).await?;
            }
            for reuse in batch {
                self.rename(reuse, downloads, removals).await?;
            }
        }
        Ok(())
    }

    async fn rename(
        &mut self,
        reuse: Reuse,
        downloads: &mut Vec<Download>,
        removals: &mut Vec<Removal>,
    ) -> Result<(), SyncError> {
        let Reuse {
            target,
            from,
            from_stamp,
            moved_by,
        } = reuse;
        let placer = Arc::clone(&self.placer);
        let meta = target.meta();
        let renamed = placer.store.rename(&from, &from_stamp, &target.path, &meta);
        let error = match renamed.await {
            Ok(stamp) => {
                self.moved(&target, stamp);
                self.ledger.forget(from);
                if let Some(uid) = moved_by {
                    self.ledger.done(uid);
                }
                return Ok(());
            }
            Err(error) => error,
        };
        let done = placer.done_all_the_same(&target, &target.over, &error);
        match done.await {
            Some(stamp) => self.moved(&target, stamp),
            None => {
                self.survive(&error)?;
                downloads.push(Download {
                    target,
                    also: Vec::new(),
                });
            }
        }
        let uid = moved_by.unwrap_or_default();
        let retire = placer.mode.retire();
        removals.push(Removal {
            path: from,
            uid,
            stamp: from_stamp,
            retire,
        });
        Ok(())
    }

    fn moved(&mut self, target: &Target, stamp: Stamp) {
        self.tally.moved += 1;
        self.placer.progress.event(Event::Moved(&target.path));
        self.ledger.placed(target, stamp);
    }

    /// Copies one file; `false` if its source turned out to be something else.
    async fn copy(&mut self, copy: &Reuse) -> Result<bool, SyncError> {
        let Reuse {
            target,
            from,
            from_stamp,
            ..
        } = copy;
        let store = &self.placer.store;
        let staged = match store
            .stage_copy(from, from_stamp, &target.path, target.meta())
            .await
        {
            Ok(staged) => staged,
            Err(error) => {
                self.survive(&error)?;
                return Ok(false);
            }
        };
        if !store.marks_own_files() {
            self.ledger
                .commit_with(vec![(target.path.clone(), target.meta())])
                .await?;
        }
        match self.placer.place(target, staged).await {
            Ok(stamp) => {
                self.moved(target, stamp);
            }
            Err(error) => {
                self.survive(&error)?;
                self.target_failed(target, &error);
            }
        }
        Ok(true)
    }

    /// Removes files, a batch at a time.
    async fn remove_all(&mut self, removals: Vec<Removal>) -> Result<(), SyncError> {
        let size = self.ledger.batch_size();
        let mut removals = removals.into_iter().peekable();
        while removals.peek().is_some() {
            self.check()?;
            let batch: Vec<Removal> = removals.by_ref().take(size).collect();
            let asked: Vec<_> = batch
                .iter()
                .map(|removal| (&removal.path, &removal.stamp, removal.retire))
                .collect();
            let results = self.placer.store.remove_files(&asked).await;
            let mut ended = Ok(());
            for (removal, result) in batch.into_iter().zip(results) {
                // What was removed is noted, also beside one that ends the run.
                let noted = self.removed(removal, result);
                ended = ended.and(noted);
            }
            ended?;
            self.ledger.commit_if_due().await?;
        }
        Ok(())
    }

    async fn remove(&mut self, removal: Removal) -> Result<(), SyncError> {
        let store = &self.placer.store;
        let result = store.remove_file(&removal.path, &removal.stamp, removal.retire);
        let result = result.await;
        self.removed(removal, result)?;
        Ok(self.ledger.commit_if_due().await?)
    }

    /// Notes what became of a removal.
    fn removed(
        &mut self,
        removal: Removal,
        result: Result<(), StoreError>,
    ) -> Result<(), SyncError> {
        let Removal { path, uid, .. } = removal;
        match result {
            Ok(()) => {
                self.tally.deleted += 1;
                self.placer.progress.event(Event::Deleted(&path));
                self.ledger.forget(path);
                self.ledger.done(uid);
            }
            Err(error) if error.kind == StoreErrorKind::Changed => {
                // Edited since the plan was made. It stays, and is no longer ours.
                if self.placer.mode == Mode::Pull {
                    self.kept_edit(&path, uid);
                }
                self.ledger.forget(path);
                self.ledger.done(uid);
            }
            Err(error) => {
                self.survive(&error)?;
                let change = Change::Deleted { folder: false };
                self.failed(Record { uid, path, change }, &error);
            }
        }
        Ok(())
    }

    async fn remove_folder(&mut self, path: VaultPath, uid: Uid) -> Result<(), SyncError> {
        match self.placer.store.remove_folder(&path).await {
            // One that is not empty holds what is not the vault's, and stays.
            Ok(_) => {
                self.ledger.forget(path);
                self.ledger.done(uid);
            }
            Err(error) => {
                self.survive(&error)?;
                let change = Change::Deleted { folder: true };
                self.failed(Record { uid, path, change }, &error);
            }
        }
        Ok(self.ledger.commit_if_due().await?)
    }

    /// Lets a run go on after one file's failure, but not after one that every file would meet.
    fn survive(&self, error: &StoreError) -> Result<(), SyncError> {
        if error.kind.ends_all() {
            return Err(StoreError::new(error.kind, error.message.clone()).into());
        }
        Ok(())
    }

    fn failed(&mut self, record: Record, error: &StoreError) {
        let message = error.to_string();
        self.placer.progress.event(Event::Failed {
            path: &record.path,
            message: &message,
        });
        self.ledger.failed_record(record, message);
    }

    fn target_failed(&mut self, target: &Target, error: &StoreError) {
        let message = error.to_string();
        self.placer.progress.event(Event::Failed {
            path: &target.path,
            message: &message,
        });
        self.ledger.failed(target, message);
    }

    fn kept_edit(&mut self, path: &VaultPath, uid: Uid) {
        self.tally.kept.push(Problem {
            path: path.as_str().to_owned(),
            uid,
            kind: ProblemKind::Kept,
            message: "deleted in the vault, but edited here: your file stays".to_owned(),
        });
    }
}

/// What a crashed run published without having noted it: its intent tells us the file is ours.
/// Returns the entries to add, by looking at each path that was about to be published.
pub(crate) async fn recover(
    store: &dyn VaultStore,
    intents: Vec<(VaultPath, FileMeta)>,
) -> Result<Vec<(VaultPath, Entry)>, StoreError> {
    let mut recovered = Vec::new();
    for (path, meta) in intents {
        let Found::File { size, .. } = store.inspect(&path, None).await? else {
            continue;
        };
        if size != meta.size {
            continue;
        }
        if let Some((hash, stamp)) = store.hash(&path).await?
            && hash == meta.hash
        {
            let file = FileEntry {
                uid: meta.uid,
                hash,
                size,
                mtime: meta.mtime,
                stamp,
            };
            recovered.push((path, Entry::File(file)));
        }
    }
    Ok(recovered)
}
