//! The memory budget: how many bytes of content may be in flight (invariant 8).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of content that may be held in memory at once. Cheap to clone; clones share the bytes.
///
/// A share is held from before a file is asked for until it is staged at the destination, so that
/// a slow store holds the network back and never the memory.
#[derive(Debug, Clone)]
pub struct Budget {
    blocks: Arc<Semaphore>,
    total: u32,
}

/// A share of the budget, given back on drop.
#[derive(Debug)]
pub struct Share {
    _permit: Option<OwnedSemaphorePermit>,
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
        Self {
            blocks: Arc::new(Semaphore::new(total as usize)),
            total,
        }
    }

    /// Waits for room. What is larger than the whole budget gets all of it, alone.
    pub async fn take(&self, bytes: u64) -> Share {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK))
            .unwrap_or(u32::MAX)
            .clamp(1, self.total);
        // The semaphore is never closed; without a permit the share is merely empty.
        Share {
            _permit: Arc::clone(&self.blocks)
                .acquire_many_owned(blocks)
                .await
                .ok(),
        }
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
