//! [`Function`]: an event in, an answer out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use obsync_config::{Account, CombinedText, Environment, SystemTiming};
use obsync_core::Budget;
use obsync_core::clock::{Clock as _, SystemClock};
use obsync_core::watchdog::Watchdog;
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use crate::answer::{Answer, FunctionError, Response, VaultError, VaultStatus};
use crate::deadline::{Deadline, Times, time_left};
use crate::ended::Ended;
use crate::event::{Event, QueueItem, RunOptions, VaultRequest};
use crate::logging;
use crate::memory::{Watch, content_budget, peak, resident};
use crate::metrics::{self, Metrics};
use crate::secrets;
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
    secret: Mutex<Option<CombinedText>>,
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
            secret: Mutex::default(),
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
            if let Err(error) = self.secret(tools).await {
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
            let answer = timeout(last, self.answer(event, left, metrics)).await;
            answer.unwrap_or_else(|_| {
                let message = "the time was over before there was an answer: is the service, \
                               Secrets Manager or the bucket slow to answer?";
                Err(logged(VaultError::new("timeout", message).into()))
            })
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
        left: Duration,
        metrics: metrics::Invocation,
    ) -> Result<Response, FunctionError> {
        let began = Instant::now();
        let event = Event::parse(event).map_err(|error| logged(FunctionError::from(&error)))?;
        let tools = self.tools.clone().map_err(|error| logged(error.into()))?;
        tracing::info!(event = event.kind(), left_s = left.as_secs(), "invoked");
        let work = self.work(&tools, metrics).await;
        let work = work.map_err(|error| logged(error.into()))?;
        let watchdog = Watchdog::new(tools.memory, work.budget.clone());
        let shift = Shift {
            work: Arc::new(work),
            began,
            left,
            _watch: Watch::start(watchdog, resident),
        };
        let response = match event {
            Event::Queue(items) => Response::Queue(self.queue(&shift, items).await),
            event => self.single(&shift, event, None).await?,
        };
        Ok(response)
    }

    /// Everything that the vaults of an invocation share.
    async fn work(
        &self,
        tools: &Arc<Tools>,
        metrics: metrics::Invocation,
    ) -> Result<Work, VaultError> {
        let secret = self.secret(tools).await?;
        let settings = match tools.settings(secret.as_ref()) {
            Ok(settings) => settings,
            Err(error) => {
                // Once it was put right it is fetched again.
                *self.secret.lock().await = None;
                return Err(error);
            }
        };
        let rest = Arc::new(tools.rest.clone());
        Ok(Work {
            // An account signs in at most once in its life: it lives as long as an invocation.
            account: Account::new(rest, &settings, Arc::new(SystemTiming)),
            budget: Budget::new(content_budget(tools.memory)),
            tools: Arc::clone(tools),
            settings,
            metrics,
        })
    }

    /// The secret's credentials; `None` if no secret is named.
    async fn secret(&self, tools: &Tools) -> Result<Option<CombinedText>, VaultError> {
        let Some(name) = &tools.lambda.secret_name else {
            return Ok(None);
        };
        // Held while it is fetched: init and an event want it only once.
        let mut kept = self.secret.lock().await;
        if kept.is_none() {
            let fetched = secrets::fetch(&name.value, tools.environment()).await;
            *kept = Some(fetched.map_err(|error| VaultError::from(&error))?);
        }
        Ok(kept.clone())
    }

    /// Any event but a queue. `slots` are those of the queue that it came in.
    async fn single(
        &self,
        shift: &Shift,
        event: Event,
        slots: Option<&Arc<Semaphore>>,
    ) -> Result<Response, FunctionError> {
        let own = |most: usize| Arc::new(Semaphore::new(most));
        let slots = |most| slots.map_or_else(|| own(most), Arc::clone);
        let answer = match event {
            Event::SyncVault { vault, options } => {
                let ended = self.sync(shift, vec![vault], options, &slots(1)).await;
                shift.answer(&ended).of_single()?
            }
            Event::SyncMultiple {
                vaults,
                max_concurrent,
                options,
            } => {
                let slots = slots(max_concurrent.map_or(SIDE_BY_SIDE, |most| most.get()));
                shift.answer(&self.sync(shift, vaults, options, &slots).await)
            }
            Event::Schedule { options } => {
                let vaults = scheduled(&shift.work).await;
                let vaults = vaults.map_err(|error| logged(error.into()))?;
                let ended = self
                    .sync(shift, vaults, options, &slots(SIDE_BY_SIDE))
                    .await;
                shift.answer(&ended)
            }
            Event::Status { vaults } => {
                let answer = status(&shift.work, vaults).await;
                let answer = answer.map_err(|error| logged(error.into()))?;
                return Ok(Response::Status(answer));
            }
            Event::Queue(_) => {
                let message = "a queue's message can't hold another queue's";
                return Err(VaultError::new("invalid_event", message).into());
            }
        };
        Ok(Response::Sync(answer))
    }

    /// The messages of a queue, each for itself. What is not complete comes again.
    async fn queue(
        &self,
        shift: &Shift,
        items: Vec<QueueItem>,
    ) -> crate::answer::BatchItemFailures {
        let slots = Arc::new(Semaphore::new(SIDE_BY_SIDE));
        let turns = items.into_iter().map(|item| {
            let slots = &slots;
            async move {
                let QueueItem { message_id, body } = item;
                let answer = match body {
                    Ok(event) => self.single(shift, event, Some(slots)).await,
                    Err(error) => Err((&error).into()),
                };
                match answer {
                    Ok(Response::Sync(answer)) if answer.status != VaultStatus::Complete => {
                        tracing::info!(message_id, status = ?answer.status, "comes again");
                        Some(message_id)
                    }
                    Ok(_) => None,
                    Err(error) => {
                        let error_type = error.error_type.as_str();
                        tracing::warn!(message_id, error_type, "failed: {}", error.message);
                        Some(message_id)
                    }
                }
            }
        });
        join_all(turns).await.into_iter().flatten().collect()
    }

    /// Syncs vaults side by side, under one budget and one deadline.
    async fn sync(
        &self,
        shift: &Shift,
        vaults: Vec<VaultRequest>,
        options: RunOptions,
        slots: &Arc<Semaphore>,
    ) -> Vec<Ended> {
        let tools = &shift.work.tools;
        let buffer = tools.lambda.timeout_buffer.value;
        let left = shift.left.saturating_sub(shift.began.elapsed());
        let times = Times::new(left, options.timeout, buffer);
        if let Some(kept) = times.clamped {
            tracing::warn!(
                buffer_s = buffer.as_secs_f64(),
                kept_s = kept.as_secs_f64(),
                "the time is short: less of it is kept back than LAMBDA_TIMEOUT_BUFFER says"
            );
        }
        let deadline = Arc::new(Deadline::start(times));
        let turns = vaults.into_iter().map(|request| {
            let turn = Turn {
                request,
                full: options.full_sync,
                deadline: Arc::clone(&deadline),
                slots: Arc::clone(slots),
            };
            take_turn(Arc::clone(&shift.work), turn)
        });
        let ended = join_all(turns).await;
        if ended.iter().any(Ended::may_be_old_credentials) {
            *self.secret.lock().await = None;
        }
        ended
    }
}

impl Shift {
    fn answer(&self, ended: &[Ended]) -> Answer {
        let vaults = ended.iter().map(Ended::answer).collect();
        let took = self.began.elapsed().as_millis();
        Answer::new(vaults, u64::try_from(took).unwrap_or(u64::MAX))
    }
}

/// A failure of the invocation itself. Those of vaults are logged where they happen.
fn logged(error: FunctionError) -> FunctionError {
    tracing::error!(error_type = %error.error_type, "{}", error.message);
    error
}
