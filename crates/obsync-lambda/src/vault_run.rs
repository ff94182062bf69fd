//! One vault's turn: found, opened, synced, let go. Whatever happens in it stays in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use obsidian_sync::Vault;
use obsync_config::{NoPrompt, PasswordFlag, PasswordSources, open_vault_with};
use obsync_core::clock::{Clock as _, SystemClock};
use obsync_core::report::Report;
use obsync_core::{Budget, LastError, StoreErrorKind, SyncError, SyncRun};
use obsync_s3::{About, Place};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::access::{Access, CurrentAccess};
use crate::answer::VaultStatus;
use crate::deadline::Deadline;
use crate::ended::{Ended, Fault};
use crate::event::VaultRequest;
use crate::logging;
use crate::metrics::{Counters, Invocation, VaultMetrics};
use crate::rota::Rota;
use crate::slots::{Slot, Slots};
use crate::supervise::supervise;
use crate::told::Told;
use crate::tools::{Tools, USER_AGENT};

/// How long a run that is over may take to let others in, and to note what went wrong.
const LETTING_GO: Duration = Duration::from_secs(10);

/// What all vaults of one invocation share.
pub(crate) struct Work {
    pub(crate) tools: Arc<Tools>,
    pub(crate) access: CurrentAccess,
    pub(crate) budget: Budget,
    pub(crate) metrics: Invocation,
    pub(crate) rota: Arc<Rota>,
}

/// One vault that is to be synced.
pub(crate) struct Turn {
    pub(crate) request: VaultRequest,
    pub(crate) full: bool,
    pub(crate) deadline: Arc<Deadline>,
    pub(crate) slots: Slots,
}

/// What is known of a turn while it goes on.
#[derive(Default)]
struct Seen {
    vault: OnceLock<Vault>,
    /// When it had its slot.
    began: OnceLock<Instant>,
    /// It waits for another turn on the same vault.
    waits: AtomicBool,
    /// The engine is at work, or was.
    runs: AtomicBool,
    /// From when it had its slot.
    metrics: Mutex<Option<VaultMetrics>>,
}

impl Seen {
    fn begin(&self, metrics: VaultMetrics) {
        self.began.get_or_init(Instant::now);
        *self.metrics() = Some(metrics);
    }

    fn metrics(&self) -> std::sync::MutexGuard<'_, Option<VaultMetrics>> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The vault that it is.
    fn found(&self, vault: Vault) -> &Vault {
        let vault = self.vault.get_or_init(|| vault);
        if let Some(metrics) = &*self.metrics() {
            metrics.found(vault.id.as_str());
        }
        vault
    }

    fn counters(&self) -> Arc<Counters> {
        let metrics = self.metrics();
        metrics
            .as_ref()
            .map(VaultMetrics::counters)
            .unwrap_or_default()
    }

    /// Whether most of the time had gone to others before it could work.
    fn is_late(&self, deadline: &Deadline) -> bool {
        let began = self.began.get();
        self.waits.load(Ordering::SeqCst) || began.is_none_or(|began| deadline.is_late(*began))
    }
}

/// Syncs one vault. A panic, or a hang past the time of the answer, is a failure like any other.
pub(crate) async fn take_turn(work: Arc<Work>, turn: Turn) -> Ended {
    let seen = Arc::new(Seen::default());
    let (wanted, deadline) = (turn.request.vault.clone(), Arc::clone(&turn.deadline));
    // Before the turn runs apart from others: slots are given in the order in which they are asked
    // for.
    let slot = tokio::select! {
        biased;
        slot = turn.slots.take() => Some(slot),
        () = deadline.stop().cancelled() => None,
    };
    let outcome = match slot {
        None => Err(Fault::Stopped),
        Some(slot) => {
            seen.begin(work.metrics.vault(&wanted));
            let at_work = work.rota.begin();
            let run = sync(Arc::clone(&work), turn, slot, Arc::clone(&seen));
            let run = run.instrument(logging::vault(&wanted));
            let outcome = supervise(deadline.answer_at(), run).await;
            at_work.end(outcome.as_ref().is_ok_and(|report| report.advanced));
            outcome
        }
    };
    let missed = match outcome {
        Err(Fault::Stopped) if seen.is_late(&deadline) => Some(work.rota.missed().await),
        _ => None,
    };
    let ended = Ended {
        vault: seen.vault.get().cloned(),
        wanted,
        outcome,
        missed,
    };
    measure(&work, &seen, &ended);
    note(&work, &seen, &ended, &deadline).await;
    tidy(&work, &seen, &ended).await;
    ended
}

/// Writes a vault's metrics, however its turn ended, and says so.
fn measure(work: &Work, seen: &Seen, ended: &Ended) {
    let answer = ended.answer();
    let span = logging::vault(&answer.vault_id);
    span.in_scope(|| crate::told::end(&answer));
    let metrics = seen.metrics().take();
    let metrics = metrics.unwrap_or_else(|| work.metrics.vault(&ended.wanted));
    match &ended.outcome {
        // What it did before is told when it is dropped.
        Err(Fault::GaveUp(_)) => drop(metrics),
        _ => metrics.finish(&answer),
    }
}

/// Notes what failed before the engine, which notes its own failures, was at work, or broke it: it is
/// what `status` tells.
async fn note(work: &Work, seen: &Seen, ended: &Ended, deadline: &Deadline) {
    let noted = seen.runs.load(Ordering::SeqCst) && !matches!(ended.outcome, Err(Fault::GaveUp(_)));
    let answer = ended.answer();
    let failed = answer.status == VaultStatus::Failed && ended.missed.is_none();
    let (Some(vault), Some(error), true) = (&ended.vault, answer.error, failed && !noted) else {
        return;
    };
    let error = LastError {
        at: SystemClock.now(),
        kind: error.kind.to_owned(),
        message: error.message,
    };
    let noting = work.tools.homes.note(&vault.id, &vault.name, error);
    let until = (Instant::now() + LETTING_GO).min(deadline.answer_at());
    let why = match tokio::time::timeout_at(until, noting).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "there was no time".to_owned(),
    };
    tracing::debug!(vault_id = %vault.id, "the failure could not be noted for `status`: {why}");
}

/// What a turn that went wrong, or that took much memory, leaves behind for the next invocation.
async fn tidy(work: &Work, seen: &Seen, ended: &Ended) {
    let tools = &work.tools;
    let wrong = ended.is_wrong();
    if wrong {
        // It may have gone wrong because of what is remembered.
        tools.vaults.forget().await;
    }
    // Before the run, the secret was asked again at once.
    if seen.runs.load(Ordering::SeqCst) && ended.is_refused() {
        work.access.doubt().await;
    }
    // The states of several vaults may be too much to keep. The only one may stay: to read it again
    // takes as much.
    let large = crate::memory::resident().is_some_and(|bytes| bytes > tools.memory / 2);
    if let Some(vault) = &ended.vault
        && (wrong || large && tools.turns.are_many())
    {
        tools.homes.forget(&vault.id);
    }
}

async fn sync(work: Arc<Work>, turn: Turn, _slot: Slot, seen: Arc<Seen>) -> Result<Report, Fault> {
    let deadline = &turn.deadline;
    let opening = work
        .access
        .with_access(|access| open(&work, &turn, &seen, access));
    let opened = tokio::select! {
        biased;
        () = deadline.stop().cancelled() => return Err(Fault::Stopped),
        opened = opening => opened?,
    };
    tracing::info!(full = turn.full, name = %obsync_core::escape_name(&opened.run.vault_name), "syncing");
    seen.runs.store(true, Ordering::SeqCst);
    let report = opened.run.run().await;
    let_go(&opened.run, deadline).await;
    let report = report?;
    crate::told::summary(&report);
    Ok(report)
}

/// A run that is ready, and what keeps others from it meanwhile.
struct Opened {
    run: SyncRun,
    _turn: OwnedMutexGuard<()>,
}

async fn open(work: &Work, turn: &Turn, seen: &Seen, access: Arc<Access>) -> Result<Opened, Fault> {
    let tools = &work.tools;
    let Access {
        settings, account, ..
    } = &*access;
    let found = tools.vaults.find(account, &tools.rest, &turn.request.vault);
    let found = found.await?;
    let vault = seen.found(found.vault);
    tracing::Span::current().record("vault_id", vault.id.as_str());
    seen.waits.store(true, Ordering::SeqCst);
    let only = tools.turns.wait(&vault.id).await;
    seen.waits.store(false, Ordering::SeqCst);

    // What is meant for this vault goes before what the environment has for any: there may be many
    // vaults, unlike at the command line.
    let own = || {
        settings
            .credentials
            .of_vault(vault.id.as_str(), &vault.name)
    };
    let password = turn.request.password.clone();
    let password = password.or_else(|| own().map(|own| own.value.clone()));
    let password = password.map(PasswordFlag::Plain);
    let passwords = PasswordSources {
        flag: password.as_ref(),
        credentials: &settings.credentials,
        prompt: &NoPrompt,
    };
    let open = open_vault_with(account, &tools.rest, vault, passwords, &tools.keys).await?;
    let about = About {
        vault: vault.id.clone(),
        name: vault.name.clone(),
        shared_name: found.shared_name,
        place: Place::Usual,
    };
    let home = tools
        .homes
        .open_alone(&about)
        .await
        .map_err(SyncError::from)?;
    let mut options = tools.options.clone();
    options.full = turn.full;
    options.finishing = turn.deadline.finishing();
    options.closing = turn.deadline.closing();
    let run = SyncRun {
        vault: vault.id.clone(),
        vault_name: vault.name.clone(),
        connector: open
            .connector
            .device(&options.device)
            .user_agent(USER_AGENT),
        cipher: open.cipher,
        store: Arc::new(home.files),
        state: Arc::new(home.state),
        options,
        budget: work.budget.clone(),
        progress: Arc::new(Told(seen.counters())),
        clock: Arc::new(SystemClock),
        stop: turn.deadline.stop().clone(),
    };
    Ok(Opened { run, _turn: only })
}

/// Lets other runs in at once, also after an early end. A run that ended well has done so.
async fn let_go(run: &SyncRun, deadline: &Deadline) {
    // Before the time of the answer: what the run did is to be told.
    let until = (Instant::now() + LETTING_GO).min(deadline.answer_at() - deadline.closing() / 8);
    let told = match tokio::time::timeout_at(until, run.state.checkpoint()).await {
        Ok(Ok(())) => return,
        // Another run is in already.
        Ok(Err(error)) if error.kind == StoreErrorKind::Busy => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    tracing::warn!("the vault is kept from other runs for half a minute more: {told}");
}
