//! [`Slots`]: how many vaults are worked on side by side.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of one event, and those of the queue that it came in, which all its messages share.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    own: Arc<Semaphore>,
    shared: Option<Arc<Semaphore>>,
}

/// One slot. It is free again once it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    // Semaphores are never closed; without a permit nothing would be lost but the limit.
    _own: Option<OwnedSemaphorePermit>,
    _shared: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// So many for an event; of those that are `shared`, no more than there are.
    pub(crate) fn new(most: usize, shared: Option<&Arc<Semaphore>>) -> Self {
        Self {
            own: Arc::new(Semaphore::new(most)),
            shared: shared.map(Arc::clone),
        }
    }

    /// Waits for a slot. They are given in the order in which they are asked for.
    pub(crate) async fn take(&self) -> Slot {
        // The event's own first: who waits for one of these takes none from other events.
        let own = Arc::clone(&self.own).acquire_owned().await.ok();
        let shared = match &self.shared {
            Some(shared) => Arc::clone(shared).acquire_owned().await.ok(),
            None => None,
        };
        Slot {
            _own: own,
            _shared: shared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn both_limits_count() {
        let queue = Arc::new(Semaphore::new(2));
        let (one, other) = (Slots::new(1, Some(&queue)), Slots::new(5, Some(&queue)));
        let now = |slots: &Slots| slots.take().now_or_never();
        let first = now(&one).unwrap();
        assert!(now(&one).is_none(), "its own limit is one");
        let second = now(&other).unwrap();
        assert!(now(&other).is_none(), "the queue's is two");
        drop(first);
        let third = now(&other).unwrap();
        assert!(now(&one).is_none());
        drop((second, third));
        assert!(now(&one).is_some());
        assert!(now(&Slots::new(1, None)).is_some());
    }
}
