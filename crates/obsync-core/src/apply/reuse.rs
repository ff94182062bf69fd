//! Content that is at the destination already: copies, then moves, side by side where that is safe.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::Applier;
use super::arrivals::Waiting;
use crate::error::SyncError;
use crate::path::VaultPath;
use crate::place::Placer;
use crate::plan::{Download, Removal, Reuse, Target, group};
use crate::progress::Event;
use crate::store::{Staged, Stamp, StoreError};
use crate::transfer::PUTS;

/// A file to copy from another path.
pub(super) struct Copy {
    pub(super) target: Target,
    pub(super) from: VaultPath,
    pub(super) from_stamp: Stamp,
}

/// What became of a copy.
enum Made {
    /// It waits for its note of intent.
    Staged(Staged),
    /// It is in its place: the store marks its own files.
    Placed(Stamp),
}

impl Applier {
    /// Moves and copies. What can't be reused after all is fetched.
    pub(super) async fn reuse(
        &mut self,
        reuse: Vec<Reuse>,
        downloads: &mut Vec<Download>,
        removals: &mut Vec<Removal>,
    ) -> Result<(), SyncError> {
        let (moves, copies): (Vec<_>, Vec<_>) = reuse
            .into_iter()
            .partition(|reuse| reuse.moved_by.is_some());
        // Copies first: a copy's source may be what a move takes away.
        let copies = copies.into_iter().map(|reuse| Copy {
            target: reuse.target,
            from: reuse.from,
            from_stamp: reuse.from_stamp,
        });
        let left = self.copy_all(copies.collect()).await?;
        downloads.extend(group(left.into_iter().map(alone).collect()));
        self.move_all(moves, downloads, removals).await
    }

    /// Copies files, a batch at a time. Gives those back that could not be copied, whatever the reason:
    /// another source, or the moves to come, may mend it.
    pub(super) async fn copy_all(&mut self, copies: Vec<Copy>) -> Result<Vec<Target>, SyncError> {
        let mut left = Vec::new();
        let mut copies = copies.into_iter().peekable();
        while copies.peek().is_some() {
            self.check()?;
            let batch: Vec<Copy> = copies.by_ref().take(self.ledger.batch_size()).collect();
            let stop = self.stop.child_token();
            let made = batch.into_iter().map(|copy| {
                let (placer, stop) = (Arc::clone(&self.placer), stop.clone());
                async move { make(&placer, &stop, copy).await }
            });
            let made: Vec<_> = stream::iter(made).buffered(PUTS).collect().await;
            let mut staged = Vec::new();
            let mut ended = Ok(());
            for (target, made) in made {
                match made {
                    // A stop came first: it is left for the next run.
                    None => {}
                    Some(Ok(Made::Placed(stamp))) => self.moved(&target, stamp),
                    Some(Ok(Made::Staged(content))) => {
                        let (fetched, rest) = (false, None);
                        staged.push(Waiting {
                            target,
                            staged: content,
                            fetched,
                            rest,
                        });
                    }
                    Some(Err(error)) => {
                        ended = ended.and(self.survive(&error));
                        left.push(target);
                    }
                }
            }
            for (target, _, error) in self.place_all(staged).await?.failed {
                ended = ended.and(self.survive(&error));
                left.push(target);
            }
            ended?;
            self.ledger.commit_if_due().await?;
        }
        Ok(left)
    }

    async fn move_all(
        &mut self,
        moves: Vec<Reuse>,
        downloads: &mut Vec<Download>,
        removals: &mut Vec<Removal>,
    ) -> Result<(), SyncError> {
        let store = Arc::clone(&self.placer.store);
        // Where there are folders, one move may need what another one takes away.
        let side_by_side = if store.has_folders() { 1 } else { PUTS };
        let mut moves = moves.into_iter().peekable();
        while moves.peek().is_some() {
            self.check()?;
            let batch: Vec<Reuse> = moves.by_ref().take(self.ledger.batch_size()).collect();
            if !store.marks_own_files() {
                let targets = batch.iter().map(|reuse| &reuse.target);
                let intend = targets.map(|target| (target.path.clone(), target.meta()));
                self.ledger.commit_with(intend.collect()).await?;
            }
            let stop = self.stop.child_token();
            let renamed = batch.into_iter().map(|reuse| {
                let (placer, stop) = (Arc::clone(&self.placer), stop.clone());
                async move { rename(&placer, &stop, reuse).await }
            });
            let renamed: Vec<_> = stream::iter(renamed).buffered(side_by_side).collect().await;
            let mut ended = Ok(());
            for (reuse, renamed) in renamed {
                // What was moved is noted, also beside one that ends the run.
                let noted = self.renamed(reuse, renamed, downloads, removals).await;
                ended = ended.and(noted);
            }
            ended?;
            self.ledger.commit_if_due().await?;
        }
        Ok(())
    }

    /// Notes what became of a move; nothing if a stop came first.
    async fn renamed(
        &mut self,
        reuse: Reuse,
        renamed: Option<Result<Stamp, StoreError>>,
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
        match renamed {
            None => return Ok(()),
            Some(Ok(stamp)) => {
                self.moved(&target, stamp);
                self.ledger.forget(from);
                if let Some(uid) = moved_by {
                    self.ledger.done(uid);
                }
                return Ok(());
            }
            Some(Err(error)) => {
                let done = placer.done_all_the_same(&target, &target.over, &error);
                match done.await {
                    Some(stamp) => self.moved(&target, stamp),
                    None => {
                        self.survive(&error)?;
                        downloads.push(alone(target));
                    }
                }
            }
        }
        removals.push(Removal {
            path: from,
            uid: moved_by.unwrap_or_default(),
            stamp: from_stamp,
            retire: placer.mode.retire(),
        });
        Ok(())
    }

    pub(super) fn moved(&mut self, target: &Target, stamp: Stamp) {
        self.tally.moved += 1;
        self.placer.progress.event(Event::Moved(&target.path));
        self.ledger.placed(target, stamp);
    }
}

fn alone(target: Target) -> Download {
    Download {
        target,
        also: Vec::new(),
    }
}

/// Copies one file; nothing after a stop, or after one that ends all.
async fn make(
    placer: &Placer,
    stop: &CancellationToken,
    copy: Copy,
) -> (Target, Option<Result<Made, StoreError>>) {
    let Copy {
        target,
        from,
        from_stamp,
    } = copy;
    if stop.is_cancelled() {
        return (target, None);
    }
    let made = async {
        let (store, meta) = (&placer.store, target.meta());
        let staged = store.stage_copy(&from, &from_stamp, &target.path, meta);
        let staged = staged.await?;
        if !store.marks_own_files() {
            return Ok(Made::Staged(staged));
        }
        Ok(Made::Placed(placer.place(&target, staged).await?))
    };
    let made = heed(made.await, stop);
    (target, Some(made))
}

/// Moves one file; nothing after a stop, or after one that ends all.
async fn rename(
    placer: &Placer,
    stop: &CancellationToken,
    reuse: Reuse,
) -> (Reuse, Option<Result<Stamp, StoreError>>) {
    if stop.is_cancelled() {
        return (reuse, None);
    }
    let Reuse {
        target,
        from,
        from_stamp,
        ..
    } = &reuse;
    let meta = target.meta();
    let renamed = placer.store.rename(from, from_stamp, &target.path, &meta);
    let renamed = heed(renamed.await, stop);
    (reuse, Some(renamed))
}

/// Lets the others of a batch be, if they would meet the same.
fn heed<T>(result: Result<T, StoreError>, stop: &CancellationToken) -> Result<T, StoreError> {
    if let Err(error) = &result
        && error.kind.ends_all()
    {
        stop.cancel();
    }
    result
}
