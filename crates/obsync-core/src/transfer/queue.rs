//! The jobs that wait for a connection.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::plan::Download;

pub(super) struct Job {
    pub(super) download: Download,
    /// How often it was tried and failed.
    pub(super) attempts: u32,
    /// How many of its bytes progress has been told of.
    pub(super) told: u64,
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
    /// Jobs that came back before they were begun.
    back: Vec<Job>,
    /// Jobs that were tried and came back.
    again: VecDeque<Job>,
    held: usize,
    begun: usize,
}

impl Inner {
    fn waiting(&self) -> usize {
        self.fresh.len() + self.back.len() + self.again.len()
    }

    fn take(&mut self) -> Option<Job> {
        if let Some(job) = self.back.pop() {
            return Some(job);
        }
        if self.fresh.len() < self.fresh.capacity() / 2 {
            self.fresh.shrink_to_fit();
        }
        let fresh = self.fresh.pop().map(|download| {
            self.begun += 1;
            Job {
                download,
                attempts: 0,
                told: 0,
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
            back: Vec::new(),
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
    /// [`Queue::done`], [`Queue::again`] or [`Queue::put_back`]. Cancel-safe.
    pub(super) async fn next(&self) -> Option<Job> {
        loop {
            let changed = self.news();
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

    /// A job that was not even begun comes back, to be the next one.
    pub(super) fn put_back(&self, job: Job) {
        let mut inner = self.lock();
        inner.held -= 1;
        inner.back.push(job);
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Somebody has something that may become a job: the queue does not end before
    /// [`Queue::done`].
    pub(super) fn hold(&self) {
        self.lock().held += 1;
    }

    /// A job more, to be the next one.
    pub(super) fn add(&self, download: Download) {
        self.lock().fresh.push(download);
        self.changed.notify_waiters();
    }

    /// The jobs that were tried and came back, to be given up.
    pub(super) fn take_tried(&self) -> VecDeque<Job> {
        std::mem::take(&mut self.lock().again)
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting()
    }

    /// Whether there will be no job any more.
    pub(super) fn is_over(&self) -> bool {
        let inner = self.lock();
        inner.waiting() == 0 && inner.held == 0
    }

    /// Resolves at the next change. It counts from when it is enabled.
    pub(super) fn news(&self) -> Notified<'_> {
        self.changed.notified()
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

    #[tokio::test]
    async fn a_job_that_was_not_begun_comes_back_first_and_was_not_tried() {
        let queue = Queue::new((0..3).map(download).collect());
        let (first, second) = (queue.next().await.unwrap(), queue.next().await.unwrap());
        queue.again(first);
        queue.put_back(second);
        let back = queue.next().await.unwrap();
        assert_eq!((back.download.target.uid, back.place), (Uid(1), 1));
        queue.put_back(back);
        let tried = queue.take_tried();
        assert_eq!(tried.len(), 1);
        assert_eq!(tried[0].download.target.uid, Uid(0));
        assert_eq!(queue.waiting(), 2);
    }

    #[tokio::test]
    async fn who_holds_the_queue_may_add_to_it() {
        let queue = Queue::new(Vec::new());
        assert!(queue.is_over());
        queue.hold();
        assert!(!queue.is_over());
        let (job, ()) = tokio::join!(queue.next(), async {
            tokio::task::yield_now().await;
            queue.add(download(7));
        });
        assert_eq!(job.unwrap().download.target.uid, Uid(7));
        queue.done();
        let (job, ()) = tokio::join!(queue.next(), async {
            tokio::task::yield_now().await;
            queue.done();
        });
        assert!(job.is_none() && queue.is_over());
    }
}
