//! The Lambda service's side of one execution environment: the Runtime API (2018-06-01), and the
//! process that it starts.
//!
//! [`RuntimeApi`] hands out events and takes answers; it serves one process at a time.
//! [`Function`] starts a `bootstrap` as Lambda would, and ends it as Lambda would.

mod api;
mod function;
mod limit;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

pub use function::{Function, Setup, Stream};
pub use limit::limits_memory;

/// What came of an invocation.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The function answered.
    Answer(Value),
    /// The function, or its init, reported an error.
    Error {
        /// What callers and retries see: `errorType`, else the header, which is for telemetry.
        error_type: String,
        /// `errorMessage`.
        message: String,
        /// The whole report.
        body: Value,
    },
    /// The deadline passed without an answer. Lambda would kill the process now.
    TimedOut,
    /// The process ended without an answer.
    Died,
}

impl Outcome {
    /// The answer.
    ///
    /// # Panics
    /// With what came instead.
    #[track_caller]
    pub fn answer(self) -> Value {
        match self {
            Self::Answer(answer) => answer,
            other => panic!("no answer: {other:?}"),
        }
    }
}

/// A Runtime API on a port of this host. Dropping it closes it.
#[derive(Debug)]
pub struct RuntimeApi {
    address: SocketAddr,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// Somebody queued an event.
    queued: Notify,
    /// Somebody asked for an event, or gave up in init.
    progress: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Invocation>,
    running: HashMap<String, oneshot::Sender<Outcome>>,
    /// When the process at hand asked for its first event.
    first_next: Option<Instant>,
    init_error: Option<Outcome>,
    serial: u64,
}

#[derive(Debug)]
struct Invocation {
    id: String,
    event: Value,
    deadline_ms: u128,
    answer: oneshot::Sender<Outcome>,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RuntimeApi {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// Where no port can be opened.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::<Inner>::default();
        let task = tokio::spawn(api::serve(listener, inner.clone()));
        Self {
            address,
            inner,
            task,
        }
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// When the process asked for its first event: its init was over.
    pub fn first_next(&self) -> Option<Instant> {
        self.inner.state().first_next
    }

    /// Waits until the process asks for its first event or reports that its init failed. The
    /// caller bounds the wait.
    pub async fn ready(&self) -> Result<Instant, Outcome> {
        loop {
            let notified = self.inner.progress.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let state = self.inner.state();
                if let Some(error) = &state.init_error {
                    return Err(error.clone());
                }
                if let Some(at) = state.first_next {
                    return Ok(at);
                }
            }
            notified.await;
        }
    }

    /// Gives an event to the process, with `time` to answer it, and waits as long.
    ///
    /// It runs after the events that were given before. After [`Outcome::TimedOut`], or where
    /// nobody waits any more, the process may still be at work; its late answer is refused.
    pub async fn invoke(&self, event: Value, time: Duration) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut state = self.inner.state();
            if let Some(error) = &state.init_error {
                return error.clone();
            }
            state.serial += 1;
            let id = format!("8476a536-e9f4-11e8-9739-{:012x}", state.serial);
            let deadline = std::time::SystemTime::now() + time;
            let since_epoch = deadline.duration_since(std::time::UNIX_EPOCH);
            state.queue.push_back(Invocation {
                id: id.clone(),
                event,
                deadline_ms: since_epoch.unwrap_or_default().as_millis(),
                answer,
            });
            id
        };
        self.inner.queued.notify_one();
        let _given_up = GivenUp {
            inner: &self.inner,
            id,
        };
        match tokio::time::timeout(time, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::Died,
            Err(_) => Outcome::TimedOut,
        }
    }

    /// Forgets the process that was served: what it had in hand has [`Outcome::Died`], and the
    /// next one starts from init.
    pub fn process_gone(&self) {
        let mut state = self.inner.state();
        state.running.clear();
        state.queue.clear();
        state.first_next = None;
        state.init_error = None;
    }
}

/// Takes an invocation back once nobody waits for its answer.
struct GivenUp<'a> {
    inner: &'a Inner,
    id: String,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        state.queue.retain(|waiting| waiting.id != self.id);
        state.running.remove(&self.id);
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}
