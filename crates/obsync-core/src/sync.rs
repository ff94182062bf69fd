//! One run: feed, plan, guard, transfer, commit.

mod prepare;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use obsidian_sync::client::Connector;
use obsidian_sync::crypto::VaultCipher;
use obsidian_sync::{VaultId, VaultVersion};
use tokio_util::sync::CancellationToken;

use crate::apply::{Applier, Remote, Tally};
use crate::budget::Budget;
use crate::clock::Clock;
use crate::commit::{CursorRule, Ledger, Opening};
use crate::error::SyncError;
use crate::filter::FilterSpec;
use crate::guard::{self, MaxDelete};
use crate::path::VaultPath;
use crate::place::Placer;
use crate::plan::{Basis, Mode, Plan, Step};
use crate::progress::{Event, Progress};
use crate::report::{Problem, ProblemKind, Report, Status};
use crate::state::{Advance, LastError, RunStatus, StateStore};
use crate::store::{StoreError, StoreErrorKind, VaultStore};
use prepare::Prepared;

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct SyncOptions {
    /// What the destination is to become.
    pub mode: Mode,
    /// What is synced.
    pub filter: FilterSpec,
    /// Compare with the whole vault, not only with what changed.
    pub full: bool,
    /// Paths where the state's word is not taken for what lies there: each is looked at and read.
    /// Together with `full` this is how a repair brings what differs.
    pub doubted: Arc<HashSet<VaultPath>>,
    /// How many files the run may delete.
    pub max_delete: MaxDelete,
    /// Most connections, 1 to 16.
    pub connections: usize,
    /// Files per checkpoint; a second since the last also makes one.
    pub batch_size: usize,
    /// This device's name, for conflicted copies.
    pub device: String,
    /// How long downloads that are on their way may take once a run was told to stop; what is not
    /// there by then is dropped, and fetched again by the next run.
    pub finishing: Duration,
    /// How long the last commit of a stopped run may take before it is given up.
    pub closing: Duration,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            mode: Mode::Pull,
            filter: FilterSpec::default(),
            full: false,
            doubted: Arc::default(),
            max_delete: MaxDelete::default(),
            connections: 4,
            batch_size: 50,
            device: "obsync".to_owned(),
            finishing: Duration::ZERO,
            closing: Duration::from_secs(20),
        }
    }
}

/// One run, with everything it needs.
///
/// The holder of the stores holds the lock: a run takes none of its own.
pub struct SyncRun {
    /// The vault's id.
    pub vault: VaultId,
    /// The vault's name, for reports.
    pub vault_name: String,
    /// How to reach it.
    pub connector: Connector,
    /// Its keys.
    pub cipher: VaultCipher,
    /// Where its files go.
    pub store: Arc<dyn VaultStore>,
    /// Where the state is.
    pub state: Arc<dyn StateStore>,
    /// What to do.
    pub options: SyncOptions,
    /// Bytes of content that may be in memory at once, shared by runs side by side.
    pub budget: Budget,
    /// Who is told.
    pub progress: Arc<dyn Progress>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Ends the run at a safe point, with its progress saved.
    pub stop: CancellationToken,
}

/// What a run would do.
#[derive(Debug)]
pub struct Preview {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The plan that a run would execute.
    pub plan: Plan,
    /// Things that a person should know.
    pub notes: Vec<String>,
    /// The guard that would stop the run, if any.
    pub guard: Option<guard::Tripped>,
}

impl SyncRun {
    /// Decides what a run would do, and does nothing: no write at the destination, none in state.
    ///
    /// # Errors
    /// As [`SyncRun::run`].
    pub async fn preview(&self) -> Result<Preview, SyncError> {
        let mut notes = Vec::new();
        let Some(prepared) = self.prepare(&mut notes, false).await? else {
            return Ok(Preview {
                steps: Vec::new(),
                plan: Plan::default(),
                notes,
                guard: None,
            });
        };
        let guard = self.check_deletions(&prepared).err();
        prepared.client.close().await;
        let steps = prepared.plan.steps(self.options.mode);
        Ok(Preview {
            steps,
            plan: prepared.plan,
            notes,
            guard,
        })
    }

    /// Runs. A report comes back as soon as anything may have been changed; what ended the run
    /// early is then in [`Report::error`].
    ///
    /// # Errors
    /// Whatever stopped the run before it changed anything.
    pub async fn run(&self) -> Result<Report, SyncError> {
        let began = self.clock.now();
        // On the heap: a run holds much across its awaits, and callers' stacks may be small.
        let result = Box::pin(self.run_inner()).await;
        let status = self.status_of(began, &result).await;
        let noted = self.state.set_status(&status).await;
        match (result, noted) {
            (Ok(mut report), Err(error)) => {
                report
                    .notes
                    .push(format!("the run's status could not be noted: {error}"));
                Ok(report)
            }
            (result, _) => result,
        }
    }

    async fn run_inner(&self) -> Result<Report, SyncError> {
        let mut notes = Vec::new();
        let Some(prepared) = self.prepare(&mut notes, true).await? else {
            return self.idle(notes).await;
        };
        self.check_deletions(&prepared)?;
        self.execute(prepared, notes).await
    }

    /// The report of a run that found nothing to do.
    async fn idle(&self, notes: Vec<String>) -> Result<Report, SyncError> {
        let cursor = self.state.header().await?.cursor;
        let unapplied = self.state.unapplied().await?;
        let problems: Vec<Problem> = unapplied.iter().filter_map(Problem::of).collect();
        Ok(report(Ended {
            problems,
            notes,
            cursor,
            ..Ended::default()
        }))
    }

    fn check_deletions(&self, prepared: &Prepared) -> Result<(), guard::Tripped> {
        let files = prepared.counts.files;
        guard::check_deletions(prepared.plan.deletions(), files, self.options.max_delete)
    }

    async fn execute(&self, prepared: Prepared, notes: Vec<String>) -> Result<Report, SyncError> {
        let Prepared {
            stored,
            mut header,
            feed_version,
            highest,
            basis,
            recovered,
            renumbered,
            ..
        } = prepared;
        // With files of an earlier run in state, deletions are found only by comparing everything.
        let rule = match basis {
            Basis::Whole if prepared.had_entries || prepared.reset => CursorRule::AtTheEnd,
            _ => CursorRule::Watermark,
        };
        header.full_pending = rule == CursorRule::AtTheEnd;
        header.highest = if prepared.reset {
            highest
        } else {
            header.highest.max(highest)
        };
        let mut ledger = Ledger::open(Opening {
            state: Arc::clone(&self.state),
            store: Arc::clone(&self.store),
            stored,
            header,
            goal: feed_version,
            rule,
            outstanding: prepared.plan.outstanding().collect(),
            batch_size: self.options.batch_size,
            unapplied: prepared.unapplied,
            intents_pending: prepared.intents_pending,
        });
        for (path, entry) in recovered {
            ledger.set(path, entry);
        }
        for (path, entry) in renumbered {
            ledger.correct(path, entry);
        }
        let mut plan = prepared.plan;
        let planned = self.tell(&plan);
        let placer = Arc::new(Placer {
            store: Arc::clone(&self.store),
            progress: Arc::clone(&self.progress),
            mode: self.options.mode,
            device: self.options.device.clone(),
            now: self.clock.now(),
            kept: std::sync::Mutex::default(),
        });
        let mut applier = Applier {
            placer: Arc::clone(&placer),
            ledger,
            tally: Tally::default(),
            stop: self.stop.clone(),
        };
        applier.note(&mut plan);
        // What was recovered or is right already, and that a comparison has begun, is in state before
        // the first effect.
        if !plan.touches_no_file() {
            self.store.sweep().await?;
            applier.ledger.commit().await?;
        }
        let hidden = plan.hidden;
        let remote = Remote {
            connector: self.connector.clone(),
            cipher: self.cipher.clone(),
            client: prepared.client,
            version: feed_version,
            connections: self.options.connections,
            budget: self.budget.clone(),
            finishing: self.options.finishing,
        };
        let applied = applier.apply(plan, remote).await;
        let closed = match tokio::time::timeout(self.options.closing, applier.ledger.close()).await
        {
            Ok(closed) => closed.map_err(SyncError::from),
            // Nothing is lost, but it is no success either: the next run looks at these files again.
            Err(_) => {
                let message = "the last changes could not be noted in state in time; run again";
                Err(StoreError::new(StoreErrorKind::Other, message).into())
            }
        };
        let error = applied.and(closed).err();
        let Applier {
            ledger, mut tally, ..
        } = applier;
        tally.kept.extend(kept_copies(&placer));
        let problems: Vec<Problem> = ledger.unapplied().filter_map(Problem::of).collect();
        Ok(report(Ended {
            problems,
            notes,
            hidden,
            planned,
            cursor: ledger.cursor(),
            remaining: ledger.outstanding() as u64,
            advanced: ledger.advanced(),
            error,
            tally,
        }))
    }

    /// Tells what the plan has, and returns how many files that is.
    fn tell(&self, plan: &Plan) -> u64 {
        let targets = || plan.downloads.iter().map(|download| &download.target);
        let copies: usize = plan
            .downloads
            .iter()
            .map(|download| download.also.len())
            .sum();
        let downloads = plan.downloads.len() as u64;
        let moves = (plan.reuse.len() + copies) as u64;
        let deletions = plan.deletions();
        self.progress.event(Event::Planned {
            downloads,
            bytes: targets().map(crate::plan::Target::size).sum(),
            moves,
            deletions,
        });
        downloads + moves + deletions
    }

    async fn status_of(
        &self,
        began: obsidian_sync::Millis,
        result: &Result<Report, SyncError>,
    ) -> RunStatus {
        // A status that can't be read is replaced: it only reports.
        let mut status = self.state.status().await.unwrap_or_default();
        let now = self.clock.now();
        status.schema = 1;
        status.vault_id = self.vault.as_str().to_owned();
        status.vault_name.clone_from(&self.vault_name);
        status.destination = self.store.location();
        status.last_run = Some(began);
        let error = match result {
            Ok(report) => {
                status.pending = report.files_failed + report.remaining;
                let done = report.files_downloaded + report.files_moved + report.files_deleted;
                if done > 0 {
                    status.last_change = Some(now);
                }
                status.progress = (report.remaining > 0).then_some(Advance {
                    done,
                    planned: report.files_planned,
                });
                if report.status == Status::Complete {
                    status.last_success = Some(now);
                    status.last_error = None;
                }
                let failed = report
                    .problems
                    .iter()
                    .find(|p| p.kind == ProblemKind::Failed);
                match (&report.error, failed) {
                    (Some(error), _) => Some((error.kind(), error.to_string())),
                    (None, Some(problem)) => {
                        let name = crate::path::escape_name(&problem.path);
                        Some(("file_failed", format!("{name}: {}", problem.message)))
                    }
                    (None, None) => None,
                }
            }
            Err(error) => Some((error.kind(), error.to_string())),
        };
        if let Some((kind, message)) = error {
            status.last_error = Some(LastError {
                at: now,
                kind: kind.to_owned(),
                message,
            });
        }
        status
    }
}

/// What one run knows at its end.
#[derive(Default)]
struct Ended {
    tally: Tally,
    problems: Vec<Problem>,
    notes: Vec<String>,
    hidden: u64,
    planned: u64,
    cursor: VaultVersion,
    remaining: u64,
    advanced: bool,
    error: Option<SyncError>,
}

fn report(ended: Ended) -> Report {
    let Ended {
        tally,
        mut problems,
        notes,
        hidden,
        planned,
        cursor,
        remaining,
        advanced,
        error,
    } = ended;
    let count = |kind| {
        let those = problems.iter().filter(|problem| problem.kind == kind);
        those.count() as u64
    };
    let (files_failed, files_skipped) = (count(ProblemKind::Failed), count(ProblemKind::Skipped));
    problems.extend(tally.kept);
    problems.sort_by(|a, b| (a.kind, &a.path).cmp(&(b.kind, &b.path)));
    let status = match &error {
        Some(SyncError::Store(_)) => Status::Failed,
        Some(SyncError::Remote(error)) if is_final(error) => Status::Failed,
        Some(_) => Status::Partial,
        None if files_failed > 0 => Status::Partial,
        None => Status::Complete,
    };
    Report {
        status,
        files_downloaded: tally.downloaded,
        files_moved: tally.moved,
        files_deleted: tally.deleted,
        files_failed,
        files_skipped,
        files_hidden: hidden,
        files_planned: planned,
        bytes: tally.bytes,
        cursor,
        remaining,
        advanced: advanced || tally.downloaded + tally.moved + tally.deleted > 0,
        problems,
        notes,
        error,
    }
}

/// Local content that made way for the vault's, as problems of the report.
fn kept_copies(placer: &Placer) -> Vec<Problem> {
    let kept = placer
        .kept
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    kept.iter()
        .map(|(path, kept_as)| Problem {
            path: path.as_str().to_owned(),
            uid: obsidian_sync::Uid(0),
            kind: ProblemKind::Kept,
            message: format!(
                "changed on both sides: your text is now in '{}'",
                kept_as.display()
            ),
        })
        .collect()
}

fn is_final(error: &obsidian_sync::Error) -> bool {
    error.retry_kind() == obsidian_sync::RetryKind::Never
}
