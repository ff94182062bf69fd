//! What comes before the first effect: the lease, whether what is known is still so, and what a dead run
//! left.

use std::sync::atomic::Ordering;

use obsync_core::{Batch, FileMeta, StoreError, StoreErrorKind, VaultPath};

use super::{Core, Memory, strays};
use crate::lease::Taken;

/// What of a dead run would be forgotten if the lease were let go.
enum Left {
    /// There was none.
    Nothing,
    /// Its files are in the state.
    Noted,
    /// Its files, which the next run is to look for.
    Strays,
}

impl Core {
    /// Whether effects may follow; renews the lease if need be.
    pub(super) async fn is_open(&self) -> Result<bool, StoreError> {
        let held = self.lease.held().await?.is_some();
        Ok(held && self.open.load(Ordering::Acquire))
    }

    /// Takes the lease, if what this run knows of the state is still so. `touches_files`: what comes
    /// next changes files, and not only the state.
    pub(super) async fn begin(&self, touches_files: bool) -> Result<(), StoreError> {
        let mut memory = self.memory().await?;
        memory.holder = None;
        if self.is_open().await? {
            return Ok(());
        }
        let taken = self.lease.take(memory.head.fence + 1).await?;
        match self.begun(&mut memory, taken, touches_files).await {
            Ok(()) => {
                self.open.store(true, Ordering::Release);
                Ok(())
            }
            Err((error, left @ (Left::Nothing | Left::Noted))) => {
                if let Err(error) = self.lease.release().await {
                    tracing::warn!(%error, "the lease could not be let go; it runs out by itself");
                }
                if matches!(left, Left::Noted) {
                    // No effect may follow in this run, whoever asks.
                    self.lease.lost();
                }
                Err(error)
            }
            Err((error, Left::Strays)) => {
                self.lease.abandon();
                Err(error)
            }
        }
    }

    /// What comes before the first effect, under the lease.
    async fn begun(
        &self,
        memory: &mut Memory,
        taken: Taken,
        touches_files: bool,
    ) -> Result<(), (StoreError, Left)> {
        let kept = |error| (error, Left::Strays);
        let there = self.register.stamp().await.map_err(kept)?;
        if there.as_ref() != memory.version.as_ref().map(|version| &version.stamp) {
            memory.current = false;
            let what = "another run has worked on this vault meanwhile: run again";
            let error = StoreError::new(StoreErrorKind::Busy, what);
            return Err(match taken.unreleased {
                None => (error, Left::Nothing),
                Some(_) => kept(error),
            });
        }
        let Some(dead) = taken.unreleased else {
            return Ok(());
        };
        // Its run may still live: from here on its writes of the state fail. What it left is noted with
        // the first of ours, so that it is known however this run ends.
        let told = memory.strays.take().filter(|(fence, _)| *fence == dead);
        let (strays, told) = match told {
            Some((_, strays)) => (strays, true),
            None => (self.strays(memory).await.map_err(kept)?, false),
        };
        let surprise = touches_files && !told && !strays.is_empty();
        self.entries(memory).await.map_err(kept)?;
        let batch = Batch {
            intend: strays,
            ..Batch::default()
        };
        memory.apply(&batch);
        memory.pending.push(batch);
        if let Err(error) = self.write(memory).await {
            memory.pending.clear();
            memory.spoiled = true;
            memory.current = false;
            return Err(kept(error));
        }
        if surprise {
            memory.current = false;
            let what = "files of a run that died have turned up: run again";
            return Err((StoreError::new(StoreErrorKind::Busy, what), Left::Noted));
        }
        Ok(())
    }

    pub(super) async fn strays(
        &self,
        memory: &mut Memory,
    ) -> Result<Vec<(VaultPath, FileMeta)>, StoreError> {
        let entries = self.entries(memory).await?;
        strays::find(&self.bucket, &memory.head.prefix, &entries).await
    }
}
