//! One connection at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use obsidian_sync::client::SyncClient;
use obsidian_sync::{Error, Kind, RetryKind};

use super::fetch::{Fault, fetch};
use super::idle::meanwhile;
use super::pool::{Ended, Fetched};
use super::queue::{Job, Queue};
use super::{Context, Outcome};
use crate::store::StoreError;

/// How often one file is tried in a run.
const MOST_ATTEMPTS: u32 = 3;

/// What the workers share with the pool.
pub(super) struct Shared {
    pub(super) context: Arc<Context>,
    pub(super) queue: Arc<Queue>,
    /// How many workers should end because there are too many.
    pub(super) surplus: Arc<AtomicUsize>,
    /// Told of every file that was fetched.
    pub(super) fetched: Arc<Fetched>,
}

/// Takes one job after the other over one connection.
pub(super) async fn work(shared: Shared, mut client: SyncClient) -> Ended {
    let Shared {
        context,
        queue,
        surplus,
        fetched,
    } = shared;
    loop {
        let retire = surplus.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            count.checked_sub(1)
        });
        if retire.is_ok() {
            client.close().await;
            return Ended::Retired;
        }
        let job = tokio::select! {
            biased;
            () = context.stop.cancelled() => None,
            job = meanwhile(&mut client, queue.next()) => match job {
                Ok(job) => job,
                Err(error) => return Ended::LostIdle(error),
            },
        };
        let Some(mut job) = job else {
            client.close().await;
            return Ended::Drained;
        };
        let result = tokio::select! {
            biased;
            // Dropped in the middle: nothing was published, the next run fetches it again.
            () = context.too_late() => Err(Fault::Stopped),
            result = fetch(&context, &queue, &mut client, &mut job) => result,
        };
        let error = match result {
            Ok(()) => {
                fetched.note();
                queue.done();
                continue;
            }
            Err(Fault::Store(error)) => {
                // The service did its part.
                fetched.note();
                queue.done();
                refused(&context, &job, &error).await;
                return Ended::Lost(Error::new(Kind::Refused, "the destination failed"));
            }
            Err(Fault::Stopped) => {
                queue.done();
                unfinished(&context, &job).await;
                return Ended::Drained;
            }
            Err(Fault::Idle(error)) => {
                queue.put_back(job);
                return Ended::LostIdle(error);
            }
            Err(Fault::Remote(error)) => error,
        };
        job.attempts += 1;
        let retry = error.retry_kind();
        let this_file = matches!(error.kind(), Kind::Gone | Kind::Refused | Kind::Corrupt);
        if retry == RetryKind::Never && !this_file {
            queue.done();
            return Ended::Fatal(error);
        }
        if retry == RetryKind::Never || job.attempts >= MOST_ATTEMPTS {
            queue.done();
            failed(&context, &job, &error).await;
        } else {
            queue.again(job);
        }
        if !client.is_usable() || !matches!(retry, RetryKind::Request | RetryKind::Never) {
            return Ended::Lost(error);
        }
    }
}

/// Tells that a job is given up.
pub(super) async fn failed(context: &Context, job: &Job, error: &Error) {
    let targets = std::iter::once(&job.download.target).chain(&job.download.also);
    for target in targets {
        context
            .arrive(target.clone(), false, Outcome::Failed(error.to_string()))
            .await;
    }
}

/// The first jobs, one for each connection, had all the time that there was.
async fn unfinished(context: &Context, job: &Job) {
    let whole = job.place < context.remote.connections.max(1);
    let targets = std::iter::once(&job.download.target).chain(&job.download.also);
    for target in targets {
        let outcome = Outcome::Unfinished { whole };
        context.arrive(target.clone(), false, outcome).await;
    }
}

async fn refused(context: &Context, job: &Job, error: &StoreError) {
    let targets = std::iter::once(&job.download.target).chain(&job.download.also);
    for target in targets {
        let error = StoreError::new(error.kind, error.message.clone());
        context
            .arrive(target.clone(), false, Outcome::Store(error))
            .await;
    }
}
