//! Writing the document: conditional on the last version of it, and onto what another run wrote if need
//! be.

use std::sync::Arc;

use obsync_core::{StoreError, StoreErrorKind};

use super::form::{self, read_whole};
use super::{Core, Memory};
use crate::register::WriteFault;

/// How often a write is merged with another's and tried again.
const TRIES: u32 = 5;

impl Core {
    /// Writes what is pending, onto what another run wrote if need be.
    pub(super) async fn write(&self, memory: &mut Memory) -> Result<(), StoreError> {
        if memory.pending.is_empty() {
            return Ok(());
        }
        let fence = self.lease.held().await?;
        let Some(fence) = fence else {
            return Err(self.lease.lost());
        };
        for _ in 0..TRIES {
            let entries = self.entries(memory).await?;
            memory.head.fence = fence;
            let begun = memory.pace.begin();
            let text = form::text(memory.head.clone(), entries).await?;
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
                    memory.known = (fence, memory.head.header.clone());
                    memory.version = Some(version);
                    memory.pending.clear();
                    return Ok(());
                }
                Err(WriteFault::Failed(error)) => return Err(error),
                Err(WriteFault::Changed) => self.merge(memory, fence).await?,
            }
        }
        let what = format!("the state {} keeps changing", self.register.location());
        Err(StoreError::new(StoreErrorKind::Other, what))
    }

    /// Puts what is pending onto what somebody else wrote: the run that this one took over, whose last
    /// write landed late. Nothing else may have written.
    async fn merge(&self, memory: &mut Memory, fence: u64) -> Result<(), StoreError> {
        let found = read_whole(&self.register).await?;
        // If anything is wrong, nothing of what this run has in memory counts any more.
        memory.spoiled = true;
        let before = memory.version.take();
        let (known_fence, known_header) = std::mem::take(&mut memory.known);
        let pending = std::mem::take(&mut memory.pending);
        let at = self.register.location();
        let lost = |what: String| {
            // Nothing more may be done by what this run knows; it counts as one that died.
            self.lease.lost();
            Err(StoreError::new(StoreErrorKind::Unusable, what))
        };
        match &found {
            None if before.is_some() => {
                return lost(format!(
                    "the state {at} was deleted while this run worked on the vault: what it did is                      not noted, and the next run looks at everything anew; to go on from where it                      was, restore the state first"
                ));
            }
            Some(found) if found.head.fence > fence || found.head.prefix != self.fresh.prefix => {
                return Err(self.lease.lost());
            }
            Some(found)
                if found.head.fence < known_fence
                    || found.head.header.cursor < known_header.cursor =>
            {
                return lost(format!(
                    "an earlier version of the state {at} was restored while this run worked on the                      vault: it is left as it is, and the next run goes on from there"
                ));
            }
            _ => {}
        }
        memory.adopt(&self.fresh, found);
        let floor = memory.head.header.clone();
        let entries = Arc::make_mut(memory.entries.get_or_insert_default());
        memory.head.merge(entries, &pending);
        memory.floor = Some(floor);
        memory.pending = pending;
        Ok(())
    }
}
