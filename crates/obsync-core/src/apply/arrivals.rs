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

/// What lies staged, and whether it was fetched for this very target.
type Waiting = (Target, Staged, bool);

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
            // Whoever still sends must not wait for a receiver that has given up. What is in its
            // place already is noted all the same.
            stop.cancel();
            while let Some(arrival) = arrivals.recv().await {
                let _ = self.take(arrival);
            }
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
            match self.take(arrival) {
                Ok(Some(staged)) => batch.push(staged),
                Ok(None) => self.ledger.commit_if_due().await?,
                Err(end) => {
                    // What lies staged is whole and checked: it still goes to its place.
                    self.publish(&mut batch).await?;
                    return Err(end);
                }
            }
            if batch.len() >= self.ledger.batch_size() {
                self.publish(&mut batch).await?;
            }
        }
        self.publish(&mut batch).await
    }

    /// Notes what became of a target. One that is staged comes back: a note of intent comes first.
    fn take(&mut self, arrival: Arrival) -> Result<Option<Waiting>, SyncError> {
        let Arrival {
            target,
            fetched,
            outcome,
        } = arrival;
        match outcome {
            Outcome::Staged(staged) => return Ok(Some((target, staged, fetched))),
            Outcome::Placed(stamp) => self.arrived(&target, stamp, fetched),
            Outcome::Store(error) => {
                self.survive(&error)?;
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
        Ok(None)
    }

    async fn publish(&mut self, batch: &mut Vec<Waiting>) -> Result<(), SyncError> {
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
            self.ledger.placed(target, stamp);
        } else {
            self.moved(target, stamp);
        }
    }
}
