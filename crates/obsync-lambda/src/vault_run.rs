//! One vault's turn: found, opened, synced, let go. Whatever happens in it stays in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use obsidian_sync::Vault;
use obsync_config::{Account, NoPrompt, PasswordFlag, PasswordSources, Settings, open_vault_with};
use obsync_core::clock::SystemClock;
use obsync_core::report::Report;
use obsync_core::{Budget, StoreErrorKind, SyncError, SyncRun};
use obsync_s3::{About, Place};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::answer::VaultError;
use crate::deadline::Deadline;
use crate::ended::{Ended, Fault};
use crate::event::VaultRequest;
use crate::logging;
use crate::metrics::{Invocation, VaultMetrics};
use crate::told::Told;
use crate::tools::{Tools, USER_AGENT};

/// How long a run that is over may take to let others in.
const LETTING_GO: Duration = Duration::from_secs(10);

/// What all vaults of one invocation share.
pub(crate) struct Work {
    pub(crate) tools: Arc<Tools>,
    pub(crate) settings: Settings,
    pub(crate) account: Account,
    pub(crate) budget: Budget,
    pub(crate) metrics: Invocation,
}

/// One vault that is to be synced.
pub(crate) struct Turn {
    pub(crate) request: VaultRequest,
    pub(crate) full: bool,
    pub(crate) deadline: Arc<Deadline>,
    /// Vaults side by side.
    pub(crate) slots: Arc<Semaphore>,
}

/// What is known of a turn while it goes on.
#[derive(Default)]
struct Seen {
    vault: OnceLock<Vault>,
    /// When it had its slot.
    began: OnceLock<Instant>,
    /// It waits for another turn on the same vault.
    waits: AtomicBool,
    metrics: Mutex<Option<VaultMetrics>>,
}

/// Syncs one vault. A panic, or a hang past the time of the answer, is a failure like any other.
pub(crate) async fn take_turn(work: Arc<Work>, turn: Turn) -> Ended {
    let seen = Arc::new(Seen::default());
    let (wanted, deadline) = (turn.request.vault.clone(), Arc::clone(&turn.deadline));
    // Before the turn runs apart from others: slots are given in the order in which they are asked for,
    // which is that of the event.
    let slot = tokio::select! {
        biased;
        slot = Arc::clone(&turn.slots).acquire_owned() => Some(slot),
        () = deadline.stop().cancelled() => None,
    };
    let outcome = match slot {
        None => Err(Fault::Stopped),
        // Never closed; without a permit nothing is lost but the limit.
        Some(slot) => {
            seen.began.get_or_init(Instant::now);
            let run = sync(Arc::clone(&work), turn, slot.ok(), Arc::clone(&seen));
            supervise(
                deadline.answer_at(),
                run.instrument(logging::vault(&wanted)),
            )
            .await
        }
    };
    let began = seen.began.get();
    let ended = Ended {
        vault: seen.vault.get().cloned(),
        late: seen.waits.load(Ordering::SeqCst)
            || began.is_none_or(|began| deadline.is_late(*began)),
        wanted,
        outcome,
    };
    measure(&work, &seen, &ended);
    tidy(&work, &ended).await;
    ended
}

/// Writes a vault's metrics, however its turn ended, and says so.
fn measure(work: &Work, seen: &Seen, ended: &Ended) {
    let answer = ended.answer();
    let span = logging::vault(&answer.vault_id);
    span.in_scope(|| crate::told::end(&answer));
    let metrics = seen
        .metrics
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let metrics = metrics.unwrap_or_else(|| work.metrics.vault(&answer.vault_id));
    match &ended.outcome {
        // What it did before is told when it is dropped.
        Err(Fault::GaveUp(_)) => drop(metrics),
        _ => metrics.finish(&answer),
    }
}

/// What a turn that went wrong, or that took much memory, leaves behind for the next invocation.
async fn tidy(work: &Work, ended: &Ended) {
    let tools = &work.tools;
    let wrong = matches!(ended.outcome, Err(Fault::Error(_) | Fault::GaveUp(_)));
    if wrong {
        // It may have gone wrong because of what is remembered.
        tools.vaults.forget().await;
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

/// Runs work apart from everything else, until it ends or the time is over.
async fn supervise<T: Send + 'static>(
    until: Instant,
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    let task = AbortOnDropHandle::new(tokio::spawn(work));
    match tokio::time::timeout_at(until, task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            let text = match error.try_into_panic() {
                Ok(panic) => panic_text(&*panic),
                Err(_) => "it was aborted".to_owned(),
            };
            let message = format!("a bug in obsync stopped this vault's run: {text}");
            Err(Fault::GaveUp(VaultError::new("internal", message)))
        }
        Err(_) => {
            let message = "the run could not be ended in time; what was saved stays, and the next \
                           run looks at the rest again";
            Err(Fault::GaveUp(VaultError::new("timeout", message)))
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it does not say why".to_owned())
}

async fn sync(
    work: Arc<Work>,
    turn: Turn,
    _slot: Option<OwnedSemaphorePermit>,
    seen: Arc<Seen>,
) -> Result<Report, Fault> {
    let deadline = &turn.deadline;
    let opened = tokio::select! {
        biased;
        () = deadline.stop().cancelled() => return Err(Fault::Stopped),
        opened = open(&work, &turn, &seen) => opened?,
    };
    tracing::info!(full = turn.full, name = %obsync_core::escape_name(&opened.run.vault_name), "syncing");
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

async fn open(work: &Work, turn: &Turn, seen: &Seen) -> Result<Opened, Fault> {
    let Work {
        tools,
        settings,
        account,
        budget,
        metrics,
    } = work;
    let found = tools.vaults.find(account, &tools.rest, &turn.request.vault);
    let found = found.await?;
    let vault = seen.vault.get_or_init(|| found.vault);
    tracing::Span::current().record("vault_id", vault.id.as_str());
    seen.waits.store(true, Ordering::SeqCst);
    let only = tools.turns.wait(&vault.id).await;
    seen.waits.store(false, Ordering::SeqCst);
    let metrics = metrics.vault(vault.id.as_str());
    let counters = metrics.counters();
    *seen.metrics.lock().unwrap_or_else(PoisonError::into_inner) = Some(metrics);

    let password = turn.request.password.clone().map(PasswordFlag::Plain);
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
        budget: budget.clone(),
        progress: Arc::new(Told(counters)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_run_that_hangs_or_panics_is_a_failure() {
        let soon = || Instant::now() + Duration::from_secs(5);
        let fine = supervise(soon(), async { Ok(7) }).await;
        assert_eq!(fine.unwrap(), 7);

        let dropped = Arc::new(());
        let held = Arc::clone(&dropped);
        let hang = async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok(())
        };
        let fault = supervise(soon(), hang).await.unwrap_err();
        let error = told(fault);
        assert_eq!((error.kind, error.retryable), ("timeout", true));
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&dropped), 1, "it does not go on");

        let fault = supervise(soon(), async { panic_of(7) });
        let error = told(fault.await.unwrap_err());
        assert_eq!(error.kind, "internal");
        assert!(error.message.ends_with(": no such case: 7"), "{error:?}");
    }

    fn told(fault: Fault) -> VaultError {
        match fault {
            Fault::GaveUp(error) => error,
            Fault::Stopped | Fault::Error(_) => panic!("{fault:?}"),
        }
    }

    fn panic_of(case: u32) -> Result<(), Fault> {
        panic!("no such case: {case}")
    }
}
