//! Other targets of a large content. Staging it for all of them at once would hold it in memory, or on a
//! line, as often; so they wait until the first is in its place, and are copied from there.

use std::sync::Arc;

use super::queue::Queue;
use crate::plan::{Download, Target};

/// The other targets of a content. While it lives, the queue has not come to its end.
pub(crate) struct Rest {
    targets: Vec<Target>,
    queue: Arc<Queue>,
}

impl Rest {
    /// Nothing where there are none.
    pub(super) fn new(targets: &[Target], queue: &Arc<Queue>) -> Option<Self> {
        if targets.is_empty() {
            return None;
        }
        queue.hold();
        Some(Self {
            targets: targets.to_vec(),
            queue: Arc::clone(queue),
        })
    }

    pub(crate) fn take(&mut self) -> Vec<Target> {
        std::mem::take(&mut self.targets)
    }

    /// Has these fetched: they could not be copied.
    pub(crate) fn fetch(&self, mut targets: Vec<Target>) {
        if targets.is_empty() {
            return;
        }
        let target = targets.remove(0);
        let also = targets;
        self.queue.add(Download { target, also });
    }

    /// Has all of them fetched.
    pub(crate) fn fetch_all(mut self) {
        let targets = self.take();
        self.fetch(targets);
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.queue.done();
    }
}
