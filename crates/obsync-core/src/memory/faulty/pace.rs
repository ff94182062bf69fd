//! How long effects take, and how many of them there are at once.

use std::collections::HashMap;
use std::time::Duration;

use super::{Faults, Op};
use crate::memory::lock;

#[derive(Default)]
pub(super) struct Pace {
    takes: HashMap<Op, Duration>,
    /// What a writer claims to hold in memory.
    pub(super) holds: u64,
    /// How many there are now, and the most that there ever were.
    running: HashMap<Op, (usize, usize)>,
}

/// An effect that is under way.
pub(super) struct Running {
    faults: Faults,
    op: Op,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((now, _)) = lock(&self.faults.0).pace.running.get_mut(&self.op) {
            *now -= 1;
        }
    }
}

impl Faults {
    /// Lets every `op` take so long from here on.
    pub fn takes(&self, op: Op, time: Duration) {
        lock(&self.0).pace.takes.insert(op, time);
    }

    /// Lets every writer of a stream claim so much memory.
    pub fn writers_hold(&self, bytes: u64) {
        lock(&self.0).pace.holds = bytes;
    }

    pub(super) fn held(&self) -> u64 {
        lock(&self.0).pace.holds
    }

    /// The most of `op` that were ever under way side by side. [`Op::StageStream`] is under way while
    /// its writer lives.
    pub fn most_at_once(&self, op: Op) -> usize {
        let most = lock(&self.0).pace.running.get(&op).map(|(_, most)| *most);
        most.unwrap_or(0)
    }

    /// Begins an effect, which is under way until the answer is dropped.
    pub(super) async fn begin(&self, op: Op) -> Running {
        let time = {
            let pace = &mut lock(&self.0).pace;
            let (now, most) = pace.running.entry(op).or_default();
            *now += 1;
            *most = (*most).max(*now);
            pace.takes.get(&op).copied()
        };
        let running = Running {
            faults: self.clone(),
            op,
        };
        if let Some(time) = time {
            tokio::time::sleep(time).await;
        }
        running
    }
}
