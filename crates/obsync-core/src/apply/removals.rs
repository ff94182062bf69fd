//! Removals: only of what is still as the plan saw it.

use obsidian_sync::Uid;

use super::Applier;
use crate::error::SyncError;
use crate::path::VaultPath;
use crate::plan::{Mode, Removal};
use crate::progress::Event;
use crate::record::{Change, Record};
use crate::report::{Problem, ProblemKind};
use crate::store::{StoreError, StoreErrorKind};

impl Applier {
    /// Removes files, a batch at a time.
    pub(super) async fn remove_all(&mut self, removals: Vec<Removal>) -> Result<(), SyncError> {
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

    pub(super) async fn remove(&mut self, removal: Removal) -> Result<(), SyncError> {
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

    pub(super) fn kept_edit(&mut self, path: &VaultPath, uid: Uid) {
        self.tally.kept.push(Problem {
            path: path.as_str().to_owned(),
            uid,
            kind: ProblemKind::Kept,
            message: "deleted in the vault, but edited here: your file stays".to_owned(),
        });
    }
}
