//! Downloads: what arrives is noted as intended, published, and noted as done, batch by batch.
//!
//! One transaction per batch: it holds what the last batch published and what this one is about to
//! publish. A crash in between leaves files whose intent is in state, so they are known as ours.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Applier, Remote};
use crate::error::SyncError;
use crate::plan::{Download, Target};
use crate::progress::Event;
use crate::store::{Staged, Stamp};
use crate::transfer::{self, Arrival, Context, Outcome};

/// How many staged files may wait for their batch. They lie at the destination, not in memory.
const WAITING: usize = 256;

impl Applier {
    pub(super) async fn download(
        &mut self,
        downloads: Vec<Download>,
        remote: Remote,
    ) -> Result<(), SyncError> {
        if downloads.is_empty() {
            remote.client.close().await;
            return Ok(());
        }
        // A child, so that a full destination stops the transfer and nothing else.
        let stop = self.stop.child_token();
        let (sender, mut arrivals) = mpsc::channel(WAITING);
        let context = Arc::new(Context::new(
            remote.connector,
            remote.cipher,
            Arc::clone(&self.placer),
            remote.budget,
            remote.connections,
            remote.version,
            stop.clone(),
            remote.finishing,
            sender,
        ));
        let transfer = transfer::run(context, remote.client, downloads);
        let receive = async {
            let result = self.receive(&mut arrivals).await;
            // Whoever still sends must not wait for a receiver that has given up.
            stop.cancel();
            while arrivals.recv().await.is_some() {}
            result
        };
        let (transferred, received) = tokio::join!(transfer, receive);
        received?;
        transferred?;
        // What was on its way may have been the last.
        if self.stop.is_cancelled() && self.ledger.outstanding() > 0 {
            Err(SyncError::Stopped)
        } else {
            Ok(())
        }
    }

    async fn receive(&mut self, arrivals: &mut mpsc::Receiver<Arrival>) -> Result<(), SyncError> {
        let mut batch: Vec<(Target, Staged, bool)> = Vec::new();
        loop {
            let due = self.ledger.due();
            let arrival = tokio::select! {
                arrival = arrivals.recv() => arrival,
                () = tokio::time::sleep_until(due), if !batch.is_empty() => {
                    self.publish(&mut batch).await?;
                    continue;
                }
            };
            let Some(Arrival {
                target,
                fetched,
                outcome,
            }) = arrival
            else {
                break;
            };
            match outcome {
                Outcome::Staged(staged) => batch.push((target, staged, fetched)),
                Outcome::Placed(stamp) => {
                    self.arrived(&target, stamp, fetched);
                    self.ledger.commit_if_due().await?;
                }
                Outcome::Store(error) => {
                    if let Err(end) = self.survive(&error) {
                        // What lies staged is whole and checked: it still goes to its place.
                        self.publish(&mut batch).await?;
                        return Err(end);
                    }
                    self.target_failed(&target, &error);
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
            if batch.len() >= self.ledger.batch_size() {
                self.publish(&mut batch).await?;
            }
        }
        self.publish(&mut batch).await
    }

    async fn publish(&mut self, batch: &mut Vec<(Target, Staged, bool)>) -> Result<(), SyncError> {
        if batch.is_empty() {
            return Ok(());
        }
        let intend = batch
            .iter()
            .map(|(target, ..)| (target.path.clone(), target.meta()))
            .collect();
        self.ledger.commit_with(intend).await?;
        for (target, staged, fetched) in batch.drain(..) {
            match self.placer.place(&target, staged).await {
                Ok(stamp) => self.arrived(&target, stamp, fetched),
                Err(error) => {
                    self.survive(&error)?;
                    self.target_failed(&target, &error);
                }
            }
        }
        Ok(())
    }

    fn arrived(&mut self, target: &Target, stamp: Stamp, fetched: bool) {
        if fetched {
            self.tally.downloaded += 1;
            self.tally.bytes += target.size();
            self.placer.progress.event(Event::Downloaded(&target.path));
        } else {
            self.tally.moved += 1;
            self.placer.progress.event(Event::Moved(&target.path));
        }
        self.ledger.placed(target, stamp);
    }
}
