//! Waiting to a fraction of a millisecond, for simulated latency.
//!
//! The runtime's own timer rounds up to whole milliseconds: of a 30 ms round trip that would be
//! some 4 % that no network adds. One thread with a heap of deadlines does better.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use tokio::sync::oneshot;

/// Lets tasks wait for an instant. The thread starts with the first one that waits.
#[derive(Debug, Default)]
pub(crate) struct Pace(OnceLock<Sender<Job>>);

impl Pace {
    /// Returns at once where the instant has passed.
    pub(crate) async fn until(&self, at: Instant) {
        if at <= Instant::now() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        let jobs = self.0.get_or_init(|| {
            let (jobs, queue) = channel();
            std::thread::spawn(move || keep_time(&queue));
            jobs
        });
        // Both fail only when the thread is gone, and then there is nothing to wait for.
        if jobs.send(Job { at, wake }).is_ok() {
            let _ = woken.await;
        }
    }
}

#[derive(Debug)]
struct Job {
    at: Instant,
    wake: oneshot::Sender<()>,
}

impl PartialEq for Job {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Job {}

impl PartialOrd for Job {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Job {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

fn keep_time(queue: &Receiver<Job>) {
    let mut waiting: BinaryHeap<Reverse<Job>> = BinaryHeap::new();
    loop {
        let now = Instant::now();
        while waiting.peek().is_some_and(|Reverse(job)| job.at <= now) {
            if let Some(Reverse(job)) = waiting.pop() {
                let _ = job.wake.send(());
            }
        }
        let next = match waiting.peek() {
            Some(Reverse(job)) => queue.recv_timeout(job.at.saturating_duration_since(now)),
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(job) => waiting.push(Reverse(job)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn later_ones_do_not_hold_up_earlier_ones() {
        let pace = Pace::default();
        let start = Instant::now();
        let (late, early) = (Duration::from_millis(40), Duration::from_millis(10));
        let mut order = Vec::new();
        {
            let order = std::cell::RefCell::new(&mut order);
            futures_util::future::join(
                async {
                    pace.until(start + late).await;
                    order.borrow_mut().push(("late", start.elapsed()));
                },
                async {
                    pace.until(start + early).await;
                    order.borrow_mut().push(("early", start.elapsed()));
                },
            )
            .await;
        }
        assert_eq!((order[0].0, order[1].0), ("early", "late"));
        assert!(order[0].1 >= early && order[1].1 >= late, "{order:?}");
        pace.until(start).await;
    }
}
