//! Runs: undisturbed ones, after which everything must be so, and others.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use obsidian_sync::VaultVersion;
use obsync_core::clock::FixedClock;
use obsync_core::guard::{MaxDelete, Tripped};
use obsync_core::memory::{Faults, When};
use obsync_core::plan::Mode;
use obsync_core::progress::Silent;
use obsync_core::report::{Report, Status};
use obsync_core::verify::VerifyOptions;
use obsync_core::{Budget, SyncError, SyncOptions, SyncRun};
use tokio_util::sync::CancellationToken;

use super::trouble::{Act, Countdown, Done, Flight, Meanwhile, StopAt, fault};
use super::{Checked, Files, NOW, TALLY, Unsure, World, count};
use crate::filters::Seen;
use crate::model::{Brought, Reach, Vault};
use crate::op::{Deed, How};
use crate::place::{Place, Stores};
use crate::stage::Stage;

/// Longer than any run takes; a run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// The same while time flies: every file may meet every deadline three times.
const LONG_PATIENCE: Duration = Duration::from_secs(6 * 3600);

impl World<'_> {
    fn run(&self, stores: &Stores, full: bool) -> SyncRun {
        let mut run = sync_run(self.stage, stores);
        if self.copy.mirror {
            run.options.mode = Mode::Mirror;
        }
        run.options.filter = self.copy.rules.spec();
        run.options.full = full;
        run.options.connections = 1 + self.number as usize % 3;
        run.options.batch_size = 1 + self.number as usize % 4;
        run
    }

    /// A run that is cut short, meets trouble or other people's work: whatever it does, nothing may be
    /// lost or torn.
    pub(super) async fn disturbed(&mut self, how: &How) -> Checked {
        count(&TALLY.runs);
        let mut before = self.place.files();
        self.unsure.get_or_insert_with(|| Unsure {
            before: before.clone(),
            mixed: false,
            touched: Default::default(),
        });
        let crash = match how {
            How::Crash(at, after) => {
                count(&TALLY.crashes);
                let when = if *after { When::After } else { When::Before };
                Faults::crash(u64::from(*at) + 1, when)
            }
            _ => Faults::none(),
        };
        let meanwhile = match how {
            How::Meanwhile(at, deeds) => Some(Arc::new(self.meanwhile(*at, deeds))),
            _ => None,
        };
        let stores = self.place.open(&crash).await;
        let mut run = self.run(&stores, self.whole);
        let mut flight = None;
        let mut patience = PATIENCE;
        match how {
            How::Stop(at) => {
                count(&TALLY.stops);
                run.progress = Arc::new(StopAt {
                    left: Countdown::from(*at),
                    stop: run.stop.clone(),
                });
            }
            How::Faults(faults) => {
                count(&TALLY.faults);
                for chosen in faults {
                    let fault = fault(self.devices.version(), *chosen);
                    self.stage.service.faults().set(fault).unwrap();
                }
                flight = Some(Flight::begin());
                patience = LONG_PATIENCE;
            }
            _ => {}
        }
        if let Some(meanwhile) = &meanwhile {
            count(&TALLY.meanwhile);
            run.progress = meanwhile.clone();
        }
        let ended = tokio::time::timeout(patience, run.run()).await;
        drop(flight);
        drop(run);
        self.stage.service.faults().clear();
        let cursor = match crash.crashed() {
            true => None,
            false => Some(
                stores
                    .state
                    .header()
                    .await
                    .map_err(|e| e.to_string())?
                    .cursor
                    .0,
            ),
        };
        self.place.closed(stores, crash.crashed()).await;
        let result = ended.map_err(|_| "the run did not end by itself".to_owned())?;
        if let Some(cursor) = cursor {
            self.moved(cursor, &result)?;
        }
        if let Err(error @ (SyncError::Guard(_) | SyncError::Filter(_))) = &result
            && !matches!(error, SyncError::Guard(Tripped::Emptied { .. }))
        {
            return Err(format!("refused: {error}"));
        }
        if let Some(meanwhile) = meanwhile {
            self.happened(&meanwhile, &mut before)?;
        }
        self.intact(&before)
    }

    fn meanwhile(&mut self, at: u8, deeds: &[Deed]) -> Meanwhile {
        let mut act = |deed: &Deed| match *deed {
            Deed::Put(path, text) => Act::Put(path, self.vaults_text(text)),
            Deed::Delete(of) => Act::Delete(of),
            Deed::Write(path, text) => Act::Write(path, self.persons_text(text)),
            Deed::Edit(of, text) => Act::Edit(of, self.persons_text(text)),
            Deed::Remove(of) => Act::Remove(of),
        };
        let acts: Vec<Act> = deeds.iter().map(&mut act).collect();
        Meanwhile {
            left: Countdown::from(at),
            acts: Mutex::new(acts),
            devices: self.devices.clone(),
            place: Arc::clone(&self.place),
            done: Mutex::default(),
        }
    }

    /// Takes note of what a person did during a run, and looks for it.
    fn happened(&mut self, meanwhile: &Meanwhile, before: &mut Files) -> Checked {
        if let Some(unsure) = &mut self.unsure {
            unsure.mixed |= meanwhile.acts.lock().unwrap().is_empty();
        }
        let done = std::mem::take(&mut *meanwhile.done.lock().unwrap());
        let mut last = Files::new();
        for Done { path, was, is } in done {
            let key = self.key(&path);
            // What was there made way for that person's own doing.
            before.retain(|other, content| self.key(other) != key && was.as_ref() != Some(content));
            last.retain(|_, content| was.as_ref() != Some(content));
            self.touch(&path);
            match is {
                Some(content) => {
                    last.insert(key, content.clone());
                    self.wrote(&path, content);
                }
                None => {
                    last.remove(&key);
                    self.removed.insert(key);
                }
            }
        }
        let kept = self.kept();
        match last.values().find(|content| !kept.contains(*content)) {
            Some(lost) => Err(format!("lost what was written: {}", super::shown(lost))),
            None => Ok(()),
        }
    }

    fn moved(&mut self, cursor: u64, result: &Result<Report, SyncError>) -> Checked {
        if cursor < self.cursor && !self.restored {
            return Err(format!(
                "the cursor went back from {} to {cursor}: {result:?}",
                self.cursor
            ));
        }
        self.cursor = cursor;
        Ok(())
    }

    /// A run that nothing disturbs, and all that must be so after it.
    pub(super) async fn settle(&mut self, reach: Reach) -> Checked {
        let mut reach = reach;
        if self.whole {
            reach = reach.max(Reach::Whole);
        }
        let before = self.place.files();
        let report = match self.undisturbed(reach).await? {
            Ok(report) => report,
            Err(SyncError::Guard(Tripped::Emptied { .. })) if before.is_empty() => {
                // As the message says.
                self.reset().await;
                self.undisturbed(reach)
                    .await?
                    .map_err(|error| error.to_string())?
            }
            Err(error) => return Err(format!("the run failed: {error}")),
        };
        // A run that was cut short may have compared everything already, before an edit.
        let asked = reach;
        if self.settled != Some(self.copy.rules) {
            reach = reach.max(Reach::Whole);
        }
        self.intact(&before)?;
        self.restored = false;
        let unsure = self.unsure.take();
        let unsettled = unsure.is_some();
        // What a person did since it is unclear how far runs came.
        let touched = unsure.as_ref().filter(|unsure| unsure.mixed);
        let touched = touched.map(|unsure| unsure.touched.clone());
        let folds = self.place.folding().any();
        let vault = self.devices.contents();
        let left = self.left(&report, &vault)?;
        match touched {
            None if !folds => {
                let predicted = |before| self.copy.predict(&vault, before, reach);
                match unsure {
                    None => {
                        let predicted = predicted(&before);
                        self.exactly(&vault, &before, &predicted, &left)?;
                        self.counted(&vault, &before, &predicted, &left, &report)?;
                    }
                    Some(Unsure { before, .. }) => {
                        self.exactly(&vault, &before, &predicted(&before), &left)?;
                    }
                }
                self.folders_are_right(&vault, &left, reach, &Default::default())?;
            }
            touched => {
                let touched = touched.unwrap_or_default();
                self.roughly(&vault, asked, &left, &touched)?;
                if !folds {
                    self.folders_are_right(&vault, &left, reach, &touched)?;
                }
            }
        }
        self.copy.brought(&vault, &left);
        if unsettled {
            self.recall_hidden();
        }
        self.settled = Some(self.copy.rules);
        self.forgot = false;
        self.whole = false;
        let leftovers = self.place.leftovers();
        if !leftovers.is_empty() {
            return Err(format!("left behind: {leftovers:?}"));
        }
        if report.files_failed == 0 {
            if folds {
                self.come_to_rest(&vault, reach).await?;
            }
            self.again().await?;
            if reach == Reach::Mending && left.is_empty() {
                self.is_verified().await?;
            }
        }
        Ok(())
    }

    /// What is hidden now may have been brought by a run that was cut short.
    fn recall_hidden(&mut self) {
        for (path, content) in self.place.files() {
            let hidden = self.copy.seen(&path, false) == Seen::Hidden;
            let theirs = self.is_persons_at(&self.key(&path), &content);
            let known = self.brought(&path) == Some(&content);
            if hidden && !theirs && !known && self.remote.contains(&content) {
                // Its number is not known; no record has this one.
                self.copy.files.insert(path, Brought { uid: 0, content });
            }
        }
    }

    /// Names that fold may take one more run to come to rest.
    async fn come_to_rest(&mut self, vault: &Vault, reach: Reach) -> Checked {
        let before = self.place.files();
        let report = match self.undisturbed(Reach::Changes).await? {
            // See below.
            Err(SyncError::Guard(Tripped::Emptied { .. })) if before.is_empty() => return Ok(()),
            ended => ended.map_err(|error| error.to_string())?,
        };
        self.intact(&before)?;
        let left = self.left(&report, vault)?;
        self.roughly(vault, Reach::Changes, &left, &Default::default())?;
        self.folders_are_right(vault, &left, reach, &Default::default())?;
        self.copy.brought(vault, &left);
        Ok(())
    }

    async fn undisturbed(&mut self, reach: Reach) -> Result<Result<Report, SyncError>, String> {
        count(&TALLY.runs);
        self.stage.service.reset_stats();
        let stores = self.place.open(&Faults::none()).await;
        let mut run = self.run(&stores, reach >= Reach::Whole);
        let read_data = self.number.is_multiple_of(2);
        let ended = tokio::time::timeout(PATIENCE, async {
            if reach < Reach::Mending {
                return run.run().await;
            }
            count(&TALLY.repairs);
            let found = run.verify(VerifyOptions { read_data }).await?;
            run.repair(&found).await
        })
        .await;
        drop(run);
        let read = async {
            let header = stores.state.header().await?;
            let intents = stores.state.intents().await?;
            Ok((header, intents, stores.state.status().await?))
        };
        let read: Result<_, obsync_core::StoreError> = read.await;
        let (header, intents, status) = read.map_err(|error| error.to_string())?;
        self.place.closed(stores, false).await;
        let result = ended.map_err(|_| "the run did not end by itself".to_owned())?;
        self.moved(header.cursor.0, &result)?;
        if let Ok(report) = &result {
            let version: VaultVersion = self.devices.version();
            if let Some(error) = &report.error {
                return Err(format!("the run ended early: {error}"));
            }
            if header.cursor != version || report.cursor != version {
                let (here, told) = (header.cursor, report.cursor);
                return Err(format!(
                    "the cursor is {here}, told {told}, the vault at {version}"
                ));
            }
            if !intents.is_empty() || header.full_pending {
                return Err(format!("not settled: {header:?} {intents:?}"));
            }
            if status.pending != report.files_failed || status.last_run != Some(NOW) {
                return Err(format!("noted is {status:?} of {report:?}"));
            }
            Self::is_consistent(report)?;
        }
        Ok(result)
    }

    /// A second run finds nothing to do.
    async fn again(&mut self) -> Checked {
        let print = self.place.print();
        let report = match self.undisturbed(Reach::Changes).await? {
            Ok(report) => report,
            // What the vault kept a person removed, and the vault's deletions took the rest.
            Err(SyncError::Guard(Tripped::Emptied { .. })) if self.place.files().is_empty() => {
                return Ok(());
            }
            Err(error) => return Err(format!("the second run failed: {error}, {error:?}")),
        };
        let pulled = self.stage.service.stats().pulled();
        if report.status != Status::Complete || pulled > 0 {
            return Err(format!("the second run pulled {pulled}: {report:?}"));
        }
        let now = self.place.print();
        if print != now {
            let (was, is) = difference(&print, &now);
            return Err(format!("the second run wrote: {was} became {is}"));
        }
        Ok(())
    }

    /// A copy that was mended is right, and so is what the state says of it.
    async fn is_verified(&mut self) -> Checked {
        let stores = self.place.open(&Faults::none()).await;
        let run = self.run(&stores, false);
        let found = run.verify(VerifyOptions { read_data: true }).await;
        drop(run);
        self.place.closed(stores, false).await;
        match found.map_err(|error| error.to_string())? {
            found if found.needs_repair() => Err(format!("mended, and not right: {found:?}")),
            _ => Ok(()),
        }
    }
}

/// One undisturbed run at a place, for tests that look for themselves.
pub(crate) async fn one_run(
    stage: &Stage,
    place: &dyn Place,
    mirror: bool,
) -> Result<Report, SyncError> {
    let stores = place.open(&Faults::none()).await;
    let mut run = sync_run(stage, &stores);
    if mirror {
        run.options.mode = Mode::Mirror;
    }
    let ended = tokio::time::timeout(PATIENCE, run.run()).await;
    drop(run);
    place.closed(stores, true).await;
    ended.expect("the run ends by itself")
}

/// A run with the usual options.
fn sync_run(stage: &Stage, stores: &Stores) -> SyncRun {
    SyncRun {
        vault: stage.vault.clone(),
        vault_name: "Notes".into(),
        connector: stage.connector(),
        cipher: stage.cipher.clone(),
        store: Arc::clone(&stores.files),
        state: Arc::clone(&stores.state),
        options: SyncOptions {
            max_delete: MaxDelete::Files(u64::MAX),
            device: "box".into(),
            ..SyncOptions::default()
        },
        budget: Budget::default(),
        progress: Arc::new(Silent),
        clock: Arc::new(FixedClock(NOW)),
        stop: CancellationToken::new(),
    }
}

/// The first lines in which two texts differ.
fn difference<'t>(a: &'t str, b: &'t str) -> (&'t str, &'t str) {
    let differ = |(a, b): &(&str, &str)| a != b;
    let mut lines = a.lines().zip(b.lines());
    lines.find(differ).unwrap_or(("fewer lines", "more lines"))
}
