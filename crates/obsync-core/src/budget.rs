//! The memory budget: how many bytes of content may be in flight (invariant 8).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore};

/// Bytes of content that may be held in memory at once. Cheap to clone; clones share the bytes, so
/// that several runs side by side keep below one limit.
///
/// A share is held from before a file is asked for until it is staged at the destination, so that
/// a slow store holds the network back and never the memory.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    blocks: Arc<Semaphore>,
    total: u32,
    paused: AtomicBool,
    /// One at a time looks whether it may enter, in the order of coming.
    gate: Mutex<()>,
    /// A share came back, or the pause ended.
    changed: Notify,
}

/// A share of the budget, given back on drop.
#[derive(Debug)]
pub struct Share {
    permit: Option<OwnedSemaphorePermit>,
    budget: Arc<Inner>,
}

/// Granularity in bytes. Small files cost a task and a buffer each, so none counts for less.
const BLOCK: u64 = 8 * 1024;

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes.div_ceil(BLOCK))
            .unwrap_or(u32::MAX)
            .max(1);
        // A semaphore holds less than usize::MAX >> 3 permits; u32 is far below.
        Self(Arc::new(Inner {
            blocks: Arc::new(Semaphore::new(total as usize)),
            total,
            paused: AtomicBool::new(false),
            gate: Mutex::new(()),
            changed: Notify::new(),
        }))
    }

    /// Waits for room. What is larger than the whole budget gets all of it, alone.
    pub async fn take(&self, bytes: u64) -> Share {
        let inner = &self.0;
        let blocks = u32::try_from(bytes.div_ceil(BLOCK))
            .unwrap_or(u32::MAX)
            .clamp(1, inner.total);
        let _gate = inner.gate.lock().await;
        while self.is_paused() && self.in_flight() > 0 {
            inner.changed.notified().await;
        }
        // The semaphore is never closed; without a permit the share is merely empty.
        let permit = Arc::clone(&inner.blocks).acquire_many_owned(blocks).await;
        Share {
            permit: permit.ok(),
            budget: Arc::clone(inner),
        }
    }

    /// Lets nobody in but one at a time: for when the process as a whole holds too much. A run then
    /// creeps, and does not stand still.
    pub fn pause(&self) {
        self.0.paused.store(true, Ordering::SeqCst);
    }

    /// Ends a [`Budget::pause`].
    pub fn resume(&self) {
        self.0.paused.store(false, Ordering::SeqCst);
        self.0.changed.notify_one();
    }

    /// Whether intake is held back.
    pub fn is_paused(&self) -> bool {
        self.0.paused.load(Ordering::SeqCst)
    }

    /// Bytes that are taken now, in whole blocks.
    pub fn in_flight(&self) -> u64 {
        let free = self.0.blocks.available_permits() as u64;
        (u64::from(self.0.total) - free) * BLOCK
    }
}

impl Default for Budget {
    /// Enough to keep sixteen connections busy on a computer.
    fn default() -> Self {
        Self::new(32 * 1024 * 1024)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // Given back first: whoever is woken looks at what is in flight.
        self.permit.take();
        self.budget.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn holds_back_when_full_and_lets_go() {
        let budget = Budget::new(10 * BLOCK);
        let first = budget.take(7 * BLOCK).await;
        let mut second = tokio_test_poll(budget.clone(), 4 * BLOCK);
        assert!(second.try_now().is_none(), "no room for both");
        drop(first);
        assert!(second.try_now().is_some());
    }

    #[tokio::test]
    async fn what_is_larger_than_all_passes_alone() {
        let budget = Budget::new(BLOCK);
        drop(budget.take(u64::MAX).await);
        drop(budget.take(0).await);
    }

    #[tokio::test]
    async fn a_paused_budget_lets_one_at_a_time_in() {
        let budget = Budget::new(10 * BLOCK);
        budget.pause();
        let first = budget.take(BLOCK).await;
        assert_eq!(budget.in_flight(), BLOCK);
        let mut second = tokio_test_poll(budget.clone(), BLOCK);
        assert!(second.try_now().is_none(), "one is in");
        drop(first);
        let second = second.try_now();
        assert!(second.is_some(), "nothing else is in flight");
        let mut third = tokio_test_poll(budget.clone(), BLOCK);
        assert!(third.try_now().is_none());
        budget.resume();
        assert!(third.try_now().is_some(), "the pause is over");
    }

    #[tokio::test]
    async fn whoever_gives_up_waiting_holds_nobody_back() {
        let budget = Budget::new(2 * BLOCK);
        let first = budget.take(2 * BLOCK).await;
        let mut second = tokio_test_poll(budget.clone(), BLOCK);
        assert!(second.try_now().is_none());
        drop(second);
        drop(first);
        assert!(tokio_test_poll(budget, 2 * BLOCK).try_now().is_some());
    }

    struct Waiting(std::pin::Pin<Box<dyn Future<Output = Share> + Send>>);

    fn tokio_test_poll(budget: Budget, bytes: u64) -> Waiting {
        Waiting(Box::pin(async move { budget.take(bytes).await }))
    }

    impl Waiting {
        fn try_now(&mut self) -> Option<Share> {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match self.0.as_mut().poll(&mut context) {
                std::task::Poll::Ready(share) => Some(share),
                std::task::Poll::Pending => None,
            }
        }
    }
}
