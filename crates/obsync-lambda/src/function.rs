//! [`Function`]: an event in, an answer out.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use obsync_config::Environment;
use obsync_core::Budget;
use obsync_core::clock::{Clock as _, SystemClock};
use obsync_core::watchdog::Watchdog;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use crate::access::{self, CurrentAccess};
use crate::answer::{Answer, BatchItemFailures, FunctionError, Response, VaultError, VaultStatus};
use crate::deadline::{Deadline, Times, time_left};
use crate::ended::Ended;
use crate::event::{Event, EventError, QueueItem, RunOptions, VaultRequest, chains};
use crate::logging;
use crate::memory::{Watch, content_budget, peak, resident};
use crate::metrics::{self, Metrics};
use crate::rota::{Rota, first_of};
use crate::secrets::KeptSecret;
use crate::slots::Slots;
use crate::status::status;
use crate::tools::Tools;
use crate::vault_run::{Turn, Work, take_turn};
use crate::vaults::scheduled;

/// Vaults side by side, where the event does not say.
const SIDE_BY_SIDE: usize = 2;
/// How long init may use the network; Lambda gives all of init ten seconds.
const WARMING: Duration = Duration::from_secs(6);

/// The function. It lives as long as its process, over many invocations.
pub struct Function {
    /// Or what is wrong with the settings. Each event is then answered with it: a process that ends
    /// instead is started again and again, and callers, queues and alarms never see why.
    tools: Result<Arc<Tools>, VaultError>,
    /// The credentials of the secret, once fetched.
    secret: Arc<KeptSecret>,
    warm: AtomicBool,
    metrics: Metrics,
}

/// What Lambda says of an invocation.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// Its id.
    pub request_id: &'a str,
    /// When it ends, in milliseconds since 1970.
    pub deadline: u64,
}

/// One invocation at work.
struct Shift {
    work: Arc<Work>,
    request_id: String,
    began: Instant,
    /// How much time there was when it began.
    left: Duration,
    _watch: Watch,
}

impl Function {
    /// Sets everything up that needs no network. `tmp` is the folder that can be written to.
    pub fn new(environment: Environment, tmp: &Path) -> Self {
        let name = environment.get("AWS_LAMBDA_FUNCTION_NAME");
        let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let metrics = Metrics::new(name, Arc::new(SystemClock), peak, std::io::stdout());
        let tools = Tools::new(environment, tmp);
        if let Err(error) = &tools {
            tracing::error!("the settings can't be used: {}", error.message);
        }
        Self {
            tools: tools.map(Arc::new),
            secret: Arc::new(KeptSecret::new(Arc::new(SystemClock))),
            warm: AtomicBool::new(false),
            metrics,
        }
    }

    /// Does ahead of the first event what can be done: fetches the secret, loads states. What goes
    /// wrong is tried again when it is needed.
    pub async fn warm_up(&self) {
        let Ok(tools) = &self.tools else {
            return;
        };
        let secret = async {
            if let Err(error) = access::secret(tools, &self.secret).await {
                tracing::warn!("the secret could not be fetched yet: {}", error.message);
            }
        };
        let states = async {
            if tools.lambda.download_on_startup.value {
                tools.preload().await;
            }
        };
        if timeout(WARMING, join(secret, states)).await.is_err() {
            tracing::warn!("init takes too long: the rest is done when it is needed");
        }
    }

    /// Answers an event, before Lambda's own deadline whatever happens.
    ///
    /// # Errors
    /// When the event makes no sense, nothing can be done at all, or its only vault failed.
    pub async fn handle(
        &self,
        event: &Value,
        invocation: Invocation<'_>,
    ) -> Result<Response, FunctionError> {
        let cold = !self.warm.swap(true, Ordering::SeqCst);
        let now = u64::try_from(SystemClock.now().0).unwrap_or_default();
        let left = time_left(invocation.deadline, now);
        let request_id = invocation.request_id;
        let span = logging::invocation(request_id, cold);
        let metrics = self.metrics.invocation(request_id, cold);
        let answer = async {
            // Vaults answer for themselves before; this is for what comes before and after them.
            let last = left - self.kept(left) / 16;
            let answer = timeout(last, self.answer(event, request_id, left, &metrics)).await;
            let answer = answer.unwrap_or_else(|_| {
                let message = "the time was over before there was an answer: is the service, \
                               Secrets Manager or the bucket slow to answer?";
                Err(told(&metrics, VaultError::new("timeout", message)))
            });
            metrics.end();
            answer
        };
        answer.instrument(span).await
    }

    /// What is kept back of an invocation's time.
    fn kept(&self, left: Duration) -> Duration {
        let buffer = self
            .tools
            .as_ref()
            .map(|tools| tools.lambda.timeout_buffer.value);
        let buffer = buffer.unwrap_or(Duration::ZERO);
        left - Times::new(left, None, buffer).stop
    }

    async fn answer(
        &self,
        event: &Value,
        request_id: &str,
        left: Duration,
        metrics: &metrics::Invocation,
    ) -> Result<Response, FunctionError> {
        let began = Instant::now();
        let event = Event::parse(event).map_err(|error| told(metrics, (&error).into()))?;
        let tools = self.tools.clone().map_err(|error| told(metrics, error))?;
        tracing::info!(event = event.kind(), left_s = left.as_secs(), "invoked");
        let budget = Budget::new(content_budget(tools.memory));
        let watchdog = Watchdog::new(tools.memory, budget.clone());
        let shift = Shift {
            work: Arc::new(Work {
                access: CurrentAccess::new(Arc::clone(&tools), Arc::clone(&self.secret)),
                budget,
                metrics: metrics.clone(),
                rota: Rota::new(),
                tools,
            }),
            request_id: request_id.to_owned(),
            began,
            left,
            _watch: Watch::start(watchdog, resident),
        };
        // Without credentials no vault can be synced: that is the event's failure, and not each
        // vault's. Where vaults stand is told all the same.
        if !matches!(event, Event::Status { .. }) {
            let access = shift.work.access.get().await;
            access.map_err(|error| told(metrics, error))?;
        }
        let response = match event {
            Event::Queue(items) => Response::Queue(shift.queue(items).await),
            event => shift.single(event, None).await?,
        };
        Ok(response)
    }
}

impl Shift {
    /// Any event but a queue. Slots are `shared` with the queue that it came in.
    async fn single(
        &self,
        event: Event,
        shared: Option<&Arc<Semaphore>>,
    ) -> Result<Response, FunctionError> {
        let Work {
            tools,
            access,
            metrics,
            ..
        } = &*self.work;
        let slots = |most| Slots::new(most, shared);
        let answer = match event {
            Event::SyncVault { vault, options } => {
                let ended = self.sync(vec![vault], options, &slots(1)).await;
                self.answer(&ended).of_single()?
            }
            Event::SyncMultiple {
                vaults,
                max_concurrent,
                options,
            } => {
                let slots = slots(max_concurrent.map_or(SIDE_BY_SIDE, |most| most.get()));
                self.answer(&self.sync(vaults, options, &slots).await)
            }
            Event::Schedule { options } => {
                let vaults = access.with_access(|access| scheduled(tools, access));
                let vaults = vaults.await.map_err(|error| told(metrics, error))?;
                let slots = slots(SIDE_BY_SIDE);
                self.answer(&self.sync(vaults, options, &slots).await)
            }
            Event::Status { vaults } => {
                let answer = status(&self.work, vaults).await;
                let answer = answer.map_err(|error| told(metrics, error))?;
                return Ok(Response::Status(answer));
            }
            Event::Queue(_) => {
                let message = "a queue's message can't hold another queue's";
                return Err(told(metrics, VaultError::new("invalid_event", message)));
            }
        };
        Ok(Response::Sync(answer))
    }

    /// The messages of a queue, each for itself. What is not complete comes again.
    async fn queue(&self, items: Vec<QueueItem>) -> BatchItemFailures {
        let slots = Arc::new(Semaphore::new(SIDE_BY_SIDE));
        let order: Vec<String> = items.iter().map(|item| item.message_id.clone()).collect();
        let chains = chains(items).into_iter();
        let chains = chains.map(|chain| self.chain(chain, &slots));
        let again: HashSet<String> = join_all(chains).await.into_iter().flatten().collect();
        order.into_iter().filter(|id| again.contains(id)).collect()
    }

    /// Messages that keep their order. After the first that is not complete none is begun: it has to
    /// come again before them.
    async fn chain(&self, items: Vec<QueueItem>, slots: &Arc<Semaphore>) -> Vec<String> {
        let mut again = Vec::new();
        for QueueItem {
            message_id, body, ..
        } in items
        {
            if !again.is_empty() {
                tracing::info!(
                    message_id,
                    "held back: one before it in its group comes again"
                );
                again.push(message_id);
            } else if !self.is_done(&message_id, body, slots).await {
                again.push(message_id);
            }
        }
        again
    }

    async fn is_done(
        &self,
        message_id: &str,
        body: Result<Event, EventError>,
        slots: &Arc<Semaphore>,
    ) -> bool {
        let answer = match body {
            Ok(event) => self.single(event, Some(slots)).await,
            Err(error) => {
                let error = VaultError::from(&error);
                self.work.metrics.failed(error.kind);
                Err(error.into())
            }
        };
        match answer {
            Ok(Response::Sync(answer)) if answer.status != VaultStatus::Complete => {
                tracing::info!(message_id, status = ?answer.status, "comes again");
                false
            }
            Ok(_) => true,
            Err(error) => {
                let error_type = error.error_type.as_str();
                tracing::warn!(message_id, error_type, "failed: {}", error.message);
                false
            }
        }
    }

    /// Syncs vaults side by side, under one budget and one deadline. They begin where it is the turn
    /// of this invocation; what comes back has the event's order.
    async fn sync(
        &self,
        mut vaults: Vec<VaultRequest>,
        options: RunOptions,
        slots: &Slots,
    ) -> Vec<Ended> {
        let buffer = self.work.tools.lambda.timeout_buffer.value;
        let left = self.left.saturating_sub(self.began.elapsed());
        let times = Times::new(left, options.timeout, buffer);
        if let Some(kept) = times.clamped {
            tracing::warn!(
                buffer_s = buffer.as_secs_f64(),
                kept_s = kept.as_secs_f64(),
                "the time is short: less of it is kept back than LAMBDA_TIMEOUT_BUFFER says"
            );
        }
        let deadline = Arc::new(Deadline::start(times));
        let first = first_of(vaults.len(), &self.request_id);
        vaults.rotate_left(first);
        let turns = vaults.into_iter().map(|request| {
            let turn = Turn {
                request,
                full: options.full_sync,
                deadline: Arc::clone(&deadline),
                slots: slots.clone(),
            };
            take_turn(Arc::clone(&self.work), turn)
        });
        let mut ended = join_all(turns).await;
        ended.rotate_right(first);
        ended
    }

    fn answer(&self, ended: &[Ended]) -> Answer {
        let vaults = ended.iter().map(Ended::answer).collect();
        let took = self.began.elapsed().as_millis();
        Answer::new(vaults, u64::try_from(took).unwrap_or(u64::MAX))
    }
}

/// Tells of a failure of the invocation itself, in the log and the metrics. Those of vaults are told
/// where they happen.
fn told(metrics: &metrics::Invocation, error: VaultError) -> FunctionError {
    metrics.failed(error.kind);
    let error = FunctionError::from(error);
    tracing::error!(error_type = %error.error_type, "{}", error.message);
    error
}
