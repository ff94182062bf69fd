//! The connections: how many, when a new one is opened, and what is done when one is lost.
//!
//! They start low and ramp up one by one with jitter; a dial that times out or is refused halves
//! them (protocol section 4.5).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use obsidian_sync::client::SyncClient;
use obsidian_sync::{Error, RetryKind};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Context;
use super::put::resume;
use super::queue::Queue;
use super::work::{Shared, failed, work};
use crate::plan::Download;
use crate::progress::Event;

/// How many dials in a row may fail when no connection is left.
const MOST_DIALS: u32 = 3;
/// How many connections in a row may be lost without a file fetched in between. One bad file takes
/// as many of them as it has tries.
const MOST_LOSSES: u32 = 30;
/// The pause before a dial that follows a failure; doubles with each.
const BACKOFF: Duration = Duration::from_millis(500);
/// The most that a ramping dial waits; the least is nothing.
const RAMP_JITTER: Duration = Duration::from_millis(60);

/// How a task of the pool ended.
pub(super) enum Ended {
    /// No job is left, or the run was told to stop.
    Drained,
    /// The pool asked for fewer connections.
    Retired,
    /// The connection is lost; its job went back.
    Lost(Error),
    /// The connection was lost while it had nothing to do.
    LostIdle(Error),
    /// Nothing can work on any connection.
    Fatal(Error),
    /// A dial ended.
    Dialled(Result<Box<SyncClient>, Error>),
    /// A dial was given up: the run was told to stop.
    Undialled,
}

/// Fetches all, beginning with one connection if it is open still. When it returns, every put has
/// ended.
///
/// # Errors
/// What made it impossible to go on; what was not fetched by then was not reported either.
pub(crate) async fn run(
    context: Arc<Context>,
    first: Option<SyncClient>,
    downloads: Vec<Download>,
) -> Result<(), Error> {
    let queue = Arc::new(Queue::new(downloads));
    let result = Pool {
        context: Arc::clone(&context),
        queue,
        surplus: Arc::new(AtomicUsize::new(0)),
        tasks: JoinSet::new(),
        open: 0,
        limit: context.remote.connections.max(1),
        failures: 0,
        losses: 0,
        fetched: Arc::default(),
        dialing: false,
        next_dial: Instant::now(),
    }
    .run(first)
    .await;
    context.puts.end().await;
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
    async fn run(mut self, first: Option<SyncClient>) -> Result<(), Error> {
        if let Some(client) = first {
            self.start(client);
        }
        let queue = Arc::clone(&self.queue);
        loop {
            let news = queue.news();
            tokio::pin!(news);
            // From before the look, so that no change in between is missed.
            news.as_mut().enable();
            let stopped = self.context.stop.is_cancelled();
            let over = stopped || queue.is_over();
            if self.tasks.is_empty() && over {
                return Ok(());
            }
            let wanted = !stopped && queue.waiting() > 0;
            let dial = wanted && !self.dialing && self.open < self.limit;
            tokio::select! {
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    match resume(ended) {
                        Some(Ended::Lost(error)) => self.lost(error).await?,
                        Some(ended) => self.ended(ended)?,
                        None => {}
                    }
                }
                () = tokio::time::sleep_until(self.next_dial), if dial => self.dial(),
                () = self.context.stop.cancelled(), if !stopped => {}
                () = news, if !over => {}
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
        self.context
            .placer
            .progress
            .event(Event::Connections(self.open));
        Ok(())
    }

    fn ended(&mut self, ended: Ended) -> Result<(), Error> {
        match ended {
            Ended::Drained | Ended::Retired => self.open -= 1,
            Ended::Undialled => self.dialing = false,
            Ended::LostIdle(error) => {
                // No file paid for it, and none has to.
                tracing::debug!(%error, "idle connection lost");
                self.open -= 1;
                self.pause();
            }
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
        self.context
            .placer
            .progress
            .event(Event::Connections(self.open));
        Ok(())
    }

    fn start(&mut self, client: SyncClient) {
        self.open += 1;
        self.context
            .placer
            .progress
            .event(Event::Connections(self.open));
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
                dialled = context.remote.connector.connect(context.remote.version, false) => {
                    Ended::Dialled(dialled.map(Box::new))
                }
                () = context.stop.cancelled() => Ended::Undialled,
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
pub(super) struct Fetched(AtomicBool);

impl Fetched {
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn any_since(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}
