//! One run: feed, plan, guard, transfer, commit.

mod prepare;
mod status;
mod summary;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use obsidian_sync::VaultId;
use obsidian_sync::client::Connector;
use obsidian_sync::crypto::VaultCipher;
use tokio_util::sync::CancellationToken;

use crate::apply::{Applier, Tally};
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
use crate::report::{Problem, ProblemKind, Report};
use crate::state::StateStore;
use crate::store::{StoreError, StoreErrorKind, VaultStore};
use crate::transfer::Remote;
use prepare::Prepared;
use summary::Summary;

const LOST_ITS_PLACE: &str = "another program wrote this while obsync replaced or removed the \
                              file: move it where it belongs, or remove it";

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
    /// How many bytes of memory the vault's list of records may take while it is read.
    pub most_backlog: u64,
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
            // Millions of records.
            most_backlog: 1024 * 1024 * 1024,
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
        let mut result = Box::pin(self.run_inner()).await;
        // How the run is doing that is at work is for that one to say.
        if status::is_busy(&result) {
            return result;
        }
        if let Ok(report) = &mut result {
            self.tell_rescued(report).await;
        }
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

    /// Tells what lost its place at the destination, in this run or before.
    async fn tell_rescued(&self, report: &mut Report) {
        let told = |path| Problem {
            path,
            uid: obsidian_sync::Uid(0),
            kind: ProblemKind::Kept,
            message: LOST_ITS_PLACE.to_owned(),
        };
        match self.store.rescued().await {
            Ok(places) => report.problems.extend(places.into_iter().map(told)),
            Err(error) => report.notes.push(error.to_string()),
        }
        summary::sort(&mut report.problems);
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
        Ok(Summary {
            problems,
            notes,
            cursor,
            ..Summary::default()
        }
        .report())
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
            version: feed_version,
            connections: self.options.connections,
            budget: self.budget.clone(),
            finishing: self.options.finishing,
        };
        let applied = applier.apply(plan, remote, prepared.client).await;
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
        tally.kept.extend(summary::kept_copies(&placer));
        let problems: Vec<Problem> = ledger.unapplied().filter_map(Problem::of).collect();
        Ok(Summary {
            problems,
            notes,
            hidden,
            planned,
            cursor: ledger.cursor(),
            remaining: ledger.outstanding() as u64,
            advanced: ledger.advanced(),
            error,
            tally,
        }
        .report())
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
            bytes: targets().fold(0, |sum, target| sum.saturating_add(target.size())),
            moves,
            deletions,
        });
        downloads + moves + deletions
    }
}
