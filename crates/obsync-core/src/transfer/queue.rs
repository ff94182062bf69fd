//! The jobs that wait for a connection.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec;

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
    /// Jobs that nobody has tried, where the plan laid them: large, so never copied.
    fresh: vec::IntoIter<Download>,
    /// Jobs that came back.
    again: VecDeque<Job>,
    held: usize,
    begun: usize,
}

impl Inner {
    fn take(&mut self) -> Option<Job> {
        let fresh = self.fresh.next().map(|download| {
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
    pub(super) fn new(downloads: Vec<Download>) -> Self {
        let inner = Inner {
            fresh: downloads.into_iter(),
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
