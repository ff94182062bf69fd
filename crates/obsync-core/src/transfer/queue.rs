//! The jobs that wait for a connection.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::plan::Download;

pub(super) struct Job {
    pub(super) download: Download,
    /// How often it was tried and failed.
    pub(super) attempts: u32,
    /// Its place in the order in which jobs were begun, from 0.
    pub(super) place: usize,
}

/// A queue whose end is known: nothing waits, and nobody holds a job that could come back.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Notify,
}

struct Inner {
    /// Jobs that nobody has tried, the next one last. They stay where the plan laid them, being
    /// large, and give their memory back as they go: a state in memory grows meanwhile.
    fresh: Vec<Download>,
    /// Jobs that came back.
    again: VecDeque<Job>,
    held: usize,
    begun: usize,
}

impl Inner {
    fn take(&mut self) -> Option<Job> {
        if self.fresh.len() < self.fresh.capacity() / 2 {
            self.fresh.shrink_to_fit();
        }
        let fresh = self.fresh.pop().map(|download| {
            self.begun += 1;
            Job {
                download,
                attempts: 0,
                place: self.begun - 1,
            }
        });
        fresh.or_else(|| self.again.pop_front())
    }
}

impl Queue {
    pub(super) fn new(mut downloads: Vec<Download>) -> Self {
        downloads.reverse();
        let inner = Inner {
            fresh: downloads,
            again: VecDeque::new(),
            held: 0,
            begun: 0,
        };
        Self {
            inner: Mutex::new(inner),
            changed: Notify::new(),
        }
    }

    /// The next job; `None` when there will be none any more. Every job taken is given back by
    /// [`Queue::done`] or [`Queue::again`].
    pub(super) async fn next(&self) -> Option<Job> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change in between is missed.
            changed.as_mut().enable();
            {
                let mut inner = self.lock();
                if let Some(job) = inner.take() {
                    inner.held += 1;
                    return Some(job);
                }
                if inner.held == 0 {
                    return None;
                }
            }
            changed.await;
        }
    }

    pub(super) fn done(&self) {
        self.lock().held -= 1;
        self.changed.notify_waiters();
    }

    pub(super) fn again(&self, job: Job) {
        let mut inner = self.lock();
        inner.held -= 1;
        inner.again.push_back(job);
        drop(inner);
        self.changed.notify_waiters();
    }

    /// The jobs that were tried and came back, to be given up.
    pub(super) fn take_tried(&self) -> VecDeque<Job> {
        std::mem::take(&mut self.lock().again)
    }

    pub(super) fn waiting(&self) -> usize {
        let inner = self.lock();
        inner.fresh.len() + inner.again.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use obsidian_sync::{ContentHash, Millis, Uid};

    use super::*;
    use crate::path::VaultPath;
    use crate::plan::{Over, Target};
    use crate::record::RemoteFile;

    fn download(uid: u64) -> Download {
        let target = Target {
            path: VaultPath::parse(&format!("{uid}.md")).unwrap(),
            uid: Uid(uid),
            file: RemoteFile {
                hash: ContentHash::of(b""),
                sealed_size: 0,
                mtime: Millis(0),
                ctime: Millis(0),
            },
            over: Over::Nothing,
        };
        Download {
            target,
            also: Vec::new(),
        }
    }

    #[tokio::test]
    async fn jobs_come_in_the_plans_order_and_give_their_memory_back() {
        let queue = Queue::new((0..100).map(download).collect());
        for uid in 0..100 {
            let job = queue.next().await.unwrap();
            assert_eq!(
                (job.download.target.uid, job.place),
                (Uid(uid), uid as usize)
            );
            queue.done();
        }
        assert!(queue.next().await.is_none());
        assert!(queue.lock().fresh.capacity() < 2);
    }
}
