//! Carrying out a plan: small, boring, in the plan's own order.
//!
//! Each step either succeeds and is noted in the [`Ledger`], or fails and is listed; only a full
//! destination, a broken state or the service's final word end a run early.

mod arrivals;
mod recover;
mod removals;
mod reuse;

use std::sync::Arc;

use obsidian_sync::Uid;
use tokio_util::sync::CancellationToken;

use crate::commit::Ledger;
use crate::error::SyncError;
use crate::path::VaultPath;
use crate::place::Placer;
use crate::plan::{Clear, Plan, Target};
use crate::progress::Event;
use crate::record::{Change, Record};
use crate::report::Problem;
use crate::state::Entry;
use crate::store::{Found, StoreError};
use crate::transfer::{Idle, Remote};

pub(crate) use recover::recover;

/// What a run has done so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) downloaded: u64,
    pub(crate) moved: u64,
    pub(crate) deleted: u64,
    pub(crate) bytes: u64,
    pub(crate) kept: Vec<Problem>,
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
    pub(crate) async fn apply(
        &mut self,
        plan: Plan,
        remote: Remote,
        client: Idle,
    ) -> Result<(), SyncError> {
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
        self.download(downloads, remote, client).await?;
        self.remove_all(removals).await?;
        for (path, uid) in folder_removals {
            self.check()?;
            self.remove_folder(path, uid).await?;
        }
        // What was on its way at a stop may have been the last.
        match self.ledger.outstanding() {
            0 => Ok(()),
            _ => self.check(),
        }
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
}
