//! [`Rota`]: which vault comes first, and what is told to one whose turn did not come.
//!
//! A caller sends an event again while the answer is `partial`. That has to come to an end, whatever
//! vaults hang and however long others take, though nobody remembers one invocation in the next:
//!
//! - A vault whose turn did not come is `partial` only if another one got further in the same
//!   invocation; else it is `failed`, and says that the time went to others in vain. So each
//!   `partial` stands for a run that got further than the one before it, or for another invocation
//!   that is at work. There are only so many of these: as many as there is work, and then the answer
//!   is another one, also where each invocation's time is enough for one vault only and each event
//!   begins anew (`full_sync`).
//! - Vaults begin at another one of the event's list in each invocation, so that one which takes all
//!   the time there is, or hangs, does not take it from the same others each time.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Who is at work in an invocation, and whether anyone got further.
#[derive(Debug)]
pub(crate) struct Rota {
    at_work: watch::Sender<usize>,
    further: AtomicBool,
}

/// One that is at work, until it is dropped.
#[derive(Debug)]
pub(crate) struct AtWork(Arc<Rota>);

/// What became of the time of a vault whose turn did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    /// Others got further with it.
    ToGoodUse,
    /// Nobody did.
    InVain,
}

/// Which of so many vaults begins. Lambda's request ids are random, and so this needs no memory: a
/// process that was just started begins elsewhere than the one before it.
pub(crate) fn first_of(count: usize, request_id: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    request_id.hash(&mut hasher);
    let count = u64::try_from(count.max(1)).unwrap_or(u64::MAX);
    usize::try_from(hasher.finish() % count).unwrap_or_default()
}

impl Rota {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            at_work: watch::Sender::new(0),
            further: AtomicBool::new(false),
        })
    }

    /// One more is at work.
    pub(crate) fn begin(self: &Arc<Self>) -> AtWork {
        self.at_work.send_modify(|count| *count += 1);
        AtWork(Arc::clone(self))
    }

    /// What became of the time, once all who are at work have ended.
    pub(crate) async fn missed(&self) -> Missed {
        let mut at_work = self.at_work.subscribe();
        // The sender is our own: it does not go while this waits.
        let _ = at_work.wait_for(|count| *count == 0).await;
        match self.further.load(Ordering::SeqCst) {
            true => Missed::ToGoodUse,
            false => Missed::InVain,
        }
    }
}

impl AtWork {
    /// It ends, and got further than its last run or did not.
    pub(crate) fn end(self, further: bool) {
        self.0.further.fetch_or(further, Ordering::SeqCst);
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.at_work.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vault_comes_first_in_its_time() {
        let ids = (0..64).map(|number| format!("8476a536-e9f4-11e8-9739-{number:012x}"));
        let mut firsts = [0; 3];
        for id in ids {
            firsts[first_of(3, &id)] += 1;
        }
        assert!(firsts.iter().all(|count| *count > 10), "{firsts:?}");
        assert_eq!((first_of(0, "x"), first_of(1, "x")), (0, 0));
    }

    #[tokio::test]
    async fn whether_the_time_was_put_to_use_is_known_when_all_have_ended() {
        let rota = Rota::new();
        assert_eq!(rota.missed().await, Missed::InVain);
        let (one, other) = (rota.begin(), rota.begin());
        let waiting = tokio::spawn({
            let rota = Arc::clone(&rota);
            async move { rota.missed().await }
        });
        one.end(true);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        // One that panics has ended, too.
        drop(other);
        assert_eq!(waiting.await.unwrap(), Missed::ToGoodUse);
        rota.begin().end(false);
        assert_eq!(rota.missed().await, Missed::ToGoodUse, "it stays so");
    }
}
