//! Downloads: what arrives is noted as intended, published, and noted as done, batch by batch.
//!
//! One transaction per batch: it holds what the last batch published and what this one is about to
//! publish. A crash in between leaves files whose intent is in state, so they are known as ours.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Applier;
use super::reuse::Copy;
use crate::error::SyncError;
use crate::path::VaultPath;
use crate::plan::{Download, Target};
use crate::progress::Event;
use crate::store::{Staged, Stamp, StoreError};
use crate::transfer::{self, Arrival, Context, Idle, Outcome, Remote, Rest};

/// How many staged files may wait for their batch. They lie at the destination, not in memory.
const WAITING: usize = 256;

/// What lies staged and waits for its note of intent.
pub(super) struct Waiting {
    pub(super) target: Target,
    pub(super) staged: Staged,
    /// Whether it was fetched for this very target.
    pub(super) fetched: bool,
    /// Others that are to be copied from it.
    pub(super) rest: Option<Rest>,
}

/// What became of a batch that was to be published.
#[derive(Default)]
pub(super) struct Placed {
    /// What could not be.
    pub(super) failed: Vec<(Target, Option<Rest>, StoreError)>,
    /// What others are to be copied from.
    sources: Vec<(Rest, VaultPath, Stamp)>,
}

impl Applier {
    pub(super) async fn download(
        &mut self,
        downloads: Vec<Download>,
        remote: Remote,
        client: Idle,
    ) -> Result<(), SyncError> {
        if downloads.is_empty() {
            client.close().await;
            return Ok(());
        }
        // One that was lost meanwhile is replaced, and no file pays for it.
        let first = client.wake().await.inspect_err(|error| {
            tracing::debug!(%error, "the first connection was lost while it was not needed");
        });
        // A child, so that a full destination stops the transfer and nothing else.
        let stop = self.stop.child_token();
        let (sender, mut arrivals) = mpsc::channel(WAITING);
        let placer = Arc::clone(&self.placer);
        let context = Arc::new(Context::new(remote, placer, stop.clone(), sender));
        let transfer = transfer::run(context, first.ok(), downloads);
        let receive = async {
            let result = self.receive(&mut arrivals).await;
            // Whoever still sends must not wait for a receiver that has given up. What is in its
            // place already is noted all the same.
            stop.cancel();
            while let Some(mut arrival) = arrivals.recv().await {
                arrival.rest = None;
                let _ = self.take(arrival).await;
            }
            result
        };
        let (transferred, received) = tokio::join!(transfer, receive);
        received?;
        Ok(transferred?)
    }

    async fn receive(&mut self, arrivals: &mut mpsc::Receiver<Arrival>) -> Result<(), SyncError> {
        let mut batch = Vec::new();
        loop {
            let due = self.ledger.due();
            let arrival = tokio::select! {
                arrival = arrivals.recv() => arrival,
                () = tokio::time::sleep_until(due), if !batch.is_empty() => {
                    self.publish(&mut batch).await?;
                    continue;
                }
            };
            let Some(arrival) = arrival else {
                break;
            };
            let mut at_once = false;
            match self.take(arrival).await {
                Ok(Some(waiting)) => {
                    // Others wait for it, and connections for them.
                    at_once = waiting.rest.is_some();
                    batch.push(waiting);
                }
                Ok(None) => self.ledger.commit_if_due().await?,
                Err(end) => {
                    // What lies staged is whole and checked: it still goes to its place.
                    self.publish(&mut batch).await?;
                    return Err(end);
                }
            }
            if at_once || batch.len() >= self.ledger.batch_size() {
                self.publish(&mut batch).await?;
            }
        }
        self.publish(&mut batch).await
    }

    /// Notes what became of a target. One that is staged comes back: a note of intent comes first.
    async fn take(&mut self, arrival: Arrival) -> Result<Option<Waiting>, SyncError> {
        let Arrival {
            target,
            fetched,
            outcome,
            rest,
        } = arrival;
        match outcome {
            Outcome::Staged(staged) => {
                return Ok(Some(Waiting {
                    target,
                    staged,
                    fetched,
                    rest,
                }));
            }
            Outcome::Placed(stamp) => {
                self.arrived(&target, stamp.clone(), fetched);
                if let Some(rest) = rest {
                    self.copy_rest(rest, &target.path, &stamp).await?;
                }
            }
            Outcome::Store(error) => {
                self.survive(&error)?;
                self.not_placed(&target, &error, rest);
            }
            Outcome::Failed(message) => {
                let path = &target.path;
                self.placer.progress.event(Event::Failed {
                    path,
                    message: &message,
                });
                self.ledger.failed(&target, message);
            }
            Outcome::Unfinished { whole } => self.ledger.unfinished(&target, whole),
        }
        Ok(None)
    }

    async fn publish(&mut self, batch: &mut Vec<Waiting>) -> Result<(), SyncError> {
        let Placed { failed, sources } = self.place_all(std::mem::take(batch)).await?;
        let mut ended = Ok(());
        for (target, rest, error) in failed {
            match self.survive(&error) {
                Ok(()) => self.not_placed(&target, &error, rest),
                end => ended = ended.and(end),
            }
        }
        ended?;
        for (rest, from, stamp) in sources {
            self.copy_rest(rest, &from, &stamp).await?;
        }
        Ok(())
    }

    /// Notes what is about to be published, and publishes it, up to one that ends the run.
    pub(super) async fn place_all(&mut self, batch: Vec<Waiting>) -> Result<Placed, SyncError> {
        let mut placed = Placed::default();
        if batch.is_empty() {
            return Ok(placed);
        }
        let targets = batch.iter().map(|waiting| &waiting.target);
        let intend = targets.map(|target| (target.path.clone(), target.meta()));
        self.ledger.commit_with(intend.collect()).await?;
        for waiting in batch {
            let Waiting {
                target,
                staged,
                fetched,
                rest,
            } = waiting;
            match self.placer.place(&target, staged).await {
                Ok(stamp) => {
                    self.arrived(&target, stamp.clone(), fetched);
                    let source = rest.map(|rest| (rest, target.path, stamp));
                    placed.sources.extend(source);
                }
                Err(error) => {
                    let ends = error.kind.ends_all();
                    placed.failed.push((target, rest, error));
                    if ends {
                        break;
                    }
                }
            }
        }
        Ok(placed)
    }

    /// Copies what is in its place now to the others that get it.
    async fn copy_rest(
        &mut self,
        mut rest: Rest,
        from: &VaultPath,
        stamp: &Stamp,
    ) -> Result<(), SyncError> {
        let copies = rest.take().into_iter().map(|target| Copy {
            target,
            from: from.clone(),
            from_stamp: stamp.clone(),
        });
        match self.copy_all(copies.collect()).await {
            Ok(left) => {
                rest.fetch(left);
                Ok(())
            }
            // What is on its way may still come to its end.
            Err(SyncError::Stopped) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn arrived(&mut self, target: &Target, stamp: Stamp, fetched: bool) {
        if fetched {
            self.tally.downloaded += 1;
            self.tally.bytes = self.tally.bytes.saturating_add(target.size());
            self.placer.progress.event(Event::Downloaded(&target.path));
            self.ledger.placed(target, stamp);
        } else {
            self.moved(target, stamp);
        }
    }

    /// Notes that a target did not get its content. Others that wait for it are fetched by themselves.
    fn not_placed(&mut self, target: &Target, error: &StoreError, rest: Option<Rest>) {
        self.target_failed(target, error);
        if let Some(rest) = rest {
            rest.fetch_all();
        }
    }
}
