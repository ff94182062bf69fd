//! Staging what was fetched, beside the connections.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument as _;

use super::{Arrival, Context, Outcome, Rest};
use crate::budget::Share;
use crate::plan::{Download, Target};
use crate::store::{Staged, StoreError};

/// Puts that may run side by side: enough to hide a file's fsync behind others'.
pub(crate) const PUTS: usize = 16;

/// The puts that are under way.
pub(super) struct Puts {
    slots: Semaphore,
    tasks: Mutex<JoinSet<()>>,
}

impl Puts {
    pub(super) fn new() -> Self {
        Self {
            slots: Semaphore::new(PUTS),
            tasks: Mutex::default(),
        }
    }

    fn spawn(&self, put: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(put.in_current_span());
        // One that panicked must not be taken for one that is done.
        while let Some(ended) = tasks.try_join_next() {
            resume(ended);
        }
    }

    /// Waits until all have ended.
    pub(super) async fn end(&self) {
        let tasks = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        let mut tasks = tasks;
        while let Some(ended) = tasks.join_next().await {
            resume(ended);
        }
    }
}

/// A panic in a task is one of the run.
pub(super) fn resume<T>(ended: Result<T, JoinError>) -> Option<T> {
    match ended {
        Ok(done) => Some(done),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}

/// Stages content for all targets in the background, so that the connection goes on to its next pull.
pub(super) fn put(context: &Arc<Context>, download: &Download, content: Bytes, share: Share) {
    let targets = std::iter::once(&download.target).chain(&download.also);
    let targets: Vec<Target> = targets.cloned().collect();
    let this = Arc::clone(context);
    context.puts.spawn(async move {
        let puts = targets.into_iter().enumerate().map(|(index, target)| {
            let (context, content) = (Arc::clone(&this), content.clone());
            async move { one(&context, target, content, index == 0).await }
        });
        stream::iter(puts)
            .buffer_unordered(PUTS)
            .for_each(|()| async {})
            .await;
        drop(share);
    });
}

async fn one(context: &Context, target: Target, content: Bytes, first: bool) {
    // Never closed; without a permit nothing is lost but the limit.
    let _permit = context.puts.slots.acquire().await.ok();
    // What was fetched is put; the next run copies it to the others.
    if !first && context.stop.is_cancelled() {
        let outcome = Outcome::Unfinished { whole: false };
        return context.arrive(target, false, outcome).await;
    }
    let store = &context.placer.store;
    let staged = store.stage(&target.path, content, target.meta()).await;
    hand_on(context, target, first, staged, None).await;
}

/// Hands on what is staged; where it needs no note of intent, it goes to its place at once.
pub(super) async fn hand_on(
    context: &Context,
    target: Target,
    fetched: bool,
    staged: Result<Staged, StoreError>,
    rest: Option<Rest>,
) {
    let outcome = match staged {
        Ok(staged) if context.placer.store.marks_own_files() => {
            match context.placer.place(&target, staged).await {
                Ok(stamp) => Outcome::Placed(stamp),
                Err(error) => Outcome::Store(error),
            }
        }
        Ok(staged) => Outcome::Staged(staged),
        Err(error) => Outcome::Store(error),
    };
    let arrival = Arrival {
        target,
        fetched,
        outcome,
        rest,
    };
    context.send(arrival).await;
}
