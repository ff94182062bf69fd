//! The connections: how many, when a new one is opened, and what is done when one is lost.
//!
//! They start low and ramp up one by one with jitter; a dial that times out or is refused halves
//! them (protocol section 4.5).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use obsidian_sync::client::SyncClient;
use obsidian_sync::{Error, Kind, RetryKind};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::fetch::{Fault, fetch};
use super::queue::{Job, Queue};
use super::{Context, Outcome};
use crate::plan::Download;
use crate::progress::Event;

/// How often one file is tried in a run.
const MOST_ATTEMPTS: u32 = 3;
/// How many dials in a row may fail when no connection is left.
const MOST_DIALS: u32 = 3;
/// How many connections in a row may be lost without a file fetched in between. One bad file takes
/// [`MOST_ATTEMPTS`] of them.
const MOST_LOSSES: u32 = 30;
/// The pause before a dial that follows a failure; doubles with each.
const BACKOFF: Duration = Duration::from_millis(500);
/// The most that a ramping dial waits; the least is nothing.
const RAMP_JITTER: Duration = Duration::from_millis(60);

enum Ended {
    /// No job is left, or the run was told to stop.
    Drained,
    /// The pool asked for fewer connections.
    Retired,
    /// The connection is lost; its job went back.
    Lost(Error),
    /// Nothing can work on any connection.
    Fatal(Error),
    /// A dial ended.
    Dialled(Result<Box<SyncClient>, Error>),
}

/// Fetches all, beginning with one open connection. When it returns, every put has ended.
///
/// # Errors
/// What made it impossible to go on; what was not fetched by then was not reported either.
pub(crate) async fn run(
    context: Arc<Context>,
    first: SyncClient,
    downloads: Vec<Download>,
) -> Result<(), Error> {
    let queue = Arc::new(Queue::new(downloads));
    let result = Pool {
        context: Arc::clone(&context),
        queue,
        surplus: Arc::new(AtomicUsize::new(0)),
        tasks: JoinSet::new(),
        open: 0,
        limit: context.connections,
        failures: 0,
        losses: 0,
        fetched: Arc::default(),
        dialing: false,
        next_dial: Instant::now(),
    }
    .run(first)
    .await;
    context.tasks.close();
    context.tasks.wait().await;
    result
}

struct Pool {
    context: Arc<Context>,
    queue: Arc<Queue>,
    /// How many workers should end because there are too many.
    surplus: Arc<AtomicUsize>,
    tasks: JoinSet<Ended>,
    open: usize,
    limit: usize,
    failures: u32,
    /// Connections lost since the last time that a file was fetched.
    losses: u32,
    /// Tells when that was.
    fetched: Arc<Fetched>,
    dialing: bool,
    next_dial: Instant,
}

impl Pool {
    async fn run(mut self, first: SyncClient) -> Result<(), Error> {
        self.start(first);
        loop {
            let stopped = self.context.stop.is_cancelled();
            let wanted = !stopped && self.queue.waiting() > 0;
            if self.tasks.is_empty() && !wanted {
                return Ok(());
            }
            let dial = wanted && !self.dialing && self.open < self.limit;
            tokio::select! {
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    match ended {
                        Ok(Ended::Lost(error)) => self.lost(error).await?,
                        Ok(ended) => self.ended(ended)?,
                        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                        Err(_) => {}
                    }
                }
                () = tokio::time::sleep_until(self.next_dial), if dial => self.dial(),
                () = self.context.stop.cancelled(), if !stopped => {}
            }
        }
    }

    /// A connection was lost. Where one after the other is, and no file comes, the run ends; what
    /// was tried counts as failed, so that the next run tries other files first.
    async fn lost(&mut self, error: Error) -> Result<(), Error> {
        tracing::debug!(%error, "connection lost");
        self.open -= 1;
        self.losses = match self.fetched.any_since() {
            true => 1,
            false => self.losses + 1,
        };
        if self.losses >= MOST_LOSSES {
            for job in self.queue.take_tried() {
                failed(&self.context, &job, &error).await;
            }
            return Err(error);
        }
        self.pause();
        self.context.progress.event(Event::Connections(self.open));
        Ok(())
    }

    fn ended(&mut self, ended: Ended) -> Result<(), Error> {
        match ended {
            Ended::Drained | Ended::Retired => self.open -= 1,
            Ended::Lost(error) | Ended::Fatal(error) => return Err(error),
            Ended::Dialled(Ok(client)) => {
                self.dialing = false;
                self.failures = 0;
                self.start(*client);
                self.next_dial = Instant::now() + RAMP_JITTER.mul_f64(rand::random::<f64>());
            }
            Ended::Dialled(Err(error)) => {
                self.dialing = false;
                self.failures += 1;
                let hopeless = match error.retry_kind() {
                    RetryKind::Never => true,
                    RetryKind::Later(_) => self.open == 0,
                    _ => self.open == 0 && self.failures >= MOST_DIALS,
                };
                if hopeless {
                    return Err(error);
                }
                tracing::debug!(%error, open = self.open, "dial failed, using fewer connections");
                self.halve();
                self.pause();
            }
        }
        self.context.progress.event(Event::Connections(self.open));
        Ok(())
    }

    fn start(&mut self, client: SyncClient) {
        self.open += 1;
        self.context.progress.event(Event::Connections(self.open));
        let shared = Shared {
            context: Arc::clone(&self.context),
            queue: Arc::clone(&self.queue),
            surplus: Arc::clone(&self.surplus),
            fetched: Arc::clone(&self.fetched),
        };
        self.tasks.spawn(work(shared, client).in_current_span());
    }

    fn dial(&mut self) {
        self.dialing = true;
        let context = Arc::clone(&self.context);
        let dialing = async move {
            tokio::select! {
                dialled = context.connector.connect(context.version, false) => {
                    Ended::Dialled(dialled.map(Box::new))
                }
                () = context.stop.cancelled() => {
                    Ended::Dialled(Err(Error::new(Kind::Network, "stopped")))
                }
            }
        };
        self.tasks.spawn(dialing.in_current_span());
    }

    fn halve(&mut self) {
        self.limit = (self.open.div_ceil(2)).max(1);
        self.surplus
            .store(self.open.saturating_sub(self.limit), Ordering::Relaxed);
    }

    fn pause(&mut self) {
        let backoff = BACKOFF * 2_u32.saturating_pow(self.failures.min(6));
        self.next_dial = Instant::now() + backoff.mul_f64(0.5 + rand::random::<f64>() / 2.0);
    }
}

/// Whether any file was fetched since somebody last asked.
#[derive(Default)]
struct Fetched(AtomicBool);

impl Fetched {
    fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn any_since(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// What the workers share with the pool.
struct Shared {
    context: Arc<Context>,
    queue: Arc<Queue>,
    surplus: Arc<AtomicUsize>,
    fetched: Arc<Fetched>,
}

async fn work(shared: Shared, mut client: SyncClient) -> Ended {
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
            job = queue.next() => job,
        };
        let Some(mut job) = job else {
            client.close().await;
            return Ended::Drained;
        };
        let result = tokio::select! {
            biased;
            // Dropped in the middle: nothing was published, the next run fetches it again.
            () = context.too_late() => Err(Fault::Stopped),
            result = fetch(&context, &mut client, &job.download) => result,
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

async fn failed(context: &Context, job: &Job, error: &Error) {
    let targets = std::iter::once(&job.download.target).chain(&job.download.also);
    for target in targets {
        context
            .arrive(target.clone(), false, Outcome::Failed(error.to_string()))
            .await;
    }
}

/// The first jobs, one for each connection, had all the time that there was.
async fn unfinished(context: &Context, job: &Job) {
    let whole = job.place < context.connections;
    let targets = std::iter::once(&job.download.target).chain(&job.download.also);
    for target in targets {
        let outcome = Outcome::Unfinished { whole };
        context.arrive(target.clone(), false, outcome).await;
    }
}

async fn refused(context: &Context, job: &Job, error: &crate::store::StoreError) {
    let targets = std::iter::once(&job.download.target).chain(&job.download.also);
    for target in targets {
        let error = crate::store::StoreError::new(error.kind, error.message.clone());
        context
            .arrive(target.clone(), false, Outcome::Store(error))
            .await;
    }
}
