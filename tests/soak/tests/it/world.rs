//! One history as it happens, and the checks after each run.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use obsidian_sync::{Millis, Uid, VaultVersion};
use obsync_core::clock::FixedClock;
use obsync_core::guard::{MaxDelete, Tripped};
use obsync_core::memory::{Faults, When};
use obsync_core::plan::Mode;
use obsync_core::progress::{Event, Progress, Silent};
use obsync_core::report::{ProblemKind, Report, Status};
use obsync_core::{Budget, SyncError, SyncOptions, SyncRun, VaultPath};
use obsync_devserver::{Action, Fault, Point};
use tokio_util::sync::CancellationToken;

use crate::model::{Copy, Prediction, Seen, Vault, spec};
use crate::op::{How, Op, Text};
use crate::place::{Place, Stores};
use crate::stage::Stage;

/// 2024-11-22 12:00 UTC.
pub(crate) const NOW: Millis = Millis(1_732_276_800_000);
/// Longer than any run takes; a run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// The same while time flies: every file may meet every deadline three times.
const LONG_PATIENCE: Duration = Duration::from_secs(6 * 3600);
/// Above what is streamed.
const LARGE: usize = 4_400_000;

/// What was tried, over all histories of this process.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) histories: AtomicU64,
    pub(crate) ops: AtomicU64,
    pub(crate) runs: AtomicU64,
    pub(crate) stops: AtomicU64,
    pub(crate) crashes: AtomicU64,
    pub(crate) faults: AtomicU64,
}

/// See [`Tally`].
pub(crate) static TALLY: Tally = Tally {
    histories: AtomicU64::new(0),
    ops: AtomicU64::new(0),
    runs: AtomicU64::new(0),
    stops: AtomicU64::new(0),
    crashes: AtomicU64::new(0),
    faults: AtomicU64::new(0),
};

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

type Files = BTreeMap<String, Bytes>;
type Checked = Result<(), String>;

/// Since when it is not known how far runs came.
struct Unsure {
    /// What the destination held before.
    before: Files,
    /// Whether anything else happened since.
    mixed: bool,
}

/// A history under way.
pub(crate) struct World<'a> {
    stage: &'a Stage,
    place: Box<dyn Place>,
    copy: Copy,
    /// The filter of the last run that ended well.
    filtered: Option<u8>,
    /// The next run that ends well must compare everything.
    whole: bool,
    unsure: Option<Unsure>,
    /// Whether the service was restored since the last run.
    restored: bool,
    cursor: u64,
    number: u64,
    /// Every content that a person wrote to the copy.
    local: HashSet<Bytes>,
    /// Every content that the vault ever had.
    remote: HashSet<Bytes>,
    /// Files that a person removed and no run brought back, by folded name.
    removed: BTreeSet<String>,
}

impl<'a> World<'a> {
    pub(crate) fn new(stage: &'a Stage, place: Box<dyn Place>) -> Self {
        stage.clear();
        Self {
            stage,
            copy: Copy::new(place.holds()),
            place,
            filtered: None,
            whole: false,
            unsure: None,
            restored: false,
            cursor: 0,
            number: 0,
            local: HashSet::new(),
            remote: HashSet::new(),
            removed: BTreeSet::new(),
        }
    }

    /// Plays a history, with an undisturbed run at its end.
    pub(crate) async fn play(&mut self, history: &[Op]) -> Checked {
        count(&TALLY.histories);
        for (index, op) in history.iter().enumerate() {
            count(&TALLY.ops);
            let done = self.apply(op).await;
            done.map_err(|what| format!("op {index}, {op:?}: {what}"))?;
        }
        let done = self.settle(false).await;
        done.map_err(|what| format!("at the end: {what}"))
    }

    async fn apply(&mut self, op: &Op) -> Checked {
        if !matches!(op, Op::Sync(_))
            && let Some(unsure) = &mut self.unsure
        {
            unsure.mixed = true;
        }
        match op {
            Op::Put(path, text) => self.put(path, *text),
            Op::Mkdir(path) => self.mkdir(path),
            Op::Delete(of) => {
                if let Some(path) = self.live(*of) {
                    self.stage.service.delete(&self.stage.vault, &path).unwrap();
                }
            }
            Op::Rename(of, to) => self.rename(*of, to),
            Op::Rollback(to) => return self.rollback(*to).await,
            Op::Purge => {
                self.stage.service.purge(&self.stage.vault).unwrap();
                self.whole = true;
            }
            Op::Write(path, text) => self.write(path, *text),
            Op::Edit(of, text) => {
                if let Some(path) = self.here(*of) {
                    self.write(&path, *text);
                }
            }
            Op::Remove(of) => {
                if let Some(path) = self.here(*of) {
                    self.place.remove(&path);
                    self.removed.insert(self.key(&path));
                }
            }
            Op::MakeFolder(path) => self.place.make_folder(path),
            Op::Mirror(mirror) => self.copy.mirror = *mirror,
            Op::Filter(filter) => self.copy.filter = *filter,
            Op::Reset => self.reset().await,
            Op::Sync(How::Plain) => return self.settle(false).await,
            Op::Sync(How::Full) => return self.settle(true).await,
            Op::Sync(how) => return self.disturbed(how).await,
        }
        Ok(())
    }

    // What other devices do.

    fn put(&mut self, path: &str, text: Text) {
        self.make_room(path);
        if self
            .stage
            .service
            .folders(&self.stage.vault)
            .unwrap()
            .contains(path)
        {
            self.stage.service.delete(&self.stage.vault, path).unwrap();
        }
        let content = self.text("vault", text);
        self.remote.insert(content.clone());
        let mtime = Millis(1_700_000_000_000 + i64::try_from(self.number).unwrap() * 1_001);
        let vault = &self.stage.vault;
        self.stage
            .service
            .put(vault, path, &content, mtime)
            .unwrap();
    }

    fn mkdir(&mut self, path: &str) {
        self.make_room(path);
        let contents = self.stage.contents();
        if contents.files.contains_key(path) {
            self.stage.service.delete(&self.stage.vault, path).unwrap();
        }
        if !contents.folders.contains_key(path) {
            self.stage.service.mkdir(&self.stage.vault, path).unwrap();
        }
    }

    /// Makes the folders above a path, as a device has them.
    fn make_room(&mut self, path: &str) {
        if let Some((above, _)) = path.rsplit_once('/') {
            self.mkdir(above);
        }
    }

    fn live(&self, of: u8) -> Option<String> {
        let Vault { files, folders } = self.stage.contents();
        let mut all: Vec<_> = files.into_keys().chain(folders.into_keys()).collect();
        all.sort();
        pick(all, of)
    }

    fn rename(&mut self, of: u8, to: &str) {
        let Some(from) = self.live(of) else { return };
        let below = |path: &str, dir: &str| path == dir || path.starts_with(&format!("{dir}/"));
        if below(&from, to) || below(to, &from) {
            return;
        }
        self.make_room(to);
        let Vault { files, folders } = self.stage.contents();
        let (service, vault) = (&self.stage.service, &self.stage.vault);
        if files.contains_key(to) || folders.contains_key(to) {
            service.delete(vault, to).unwrap();
        }
        service.rename(vault, &from, to).unwrap();
    }

    /// A restored service is noticed as long as it is behind; so a run comes at once, or one that
    /// compares everything comes later.
    async fn rollback(&mut self, to: u8) -> Checked {
        let version = self.stage.service.version(&self.stage.vault).unwrap().0;
        let target = VaultVersion(version * u64::from(to) / 256);
        self.stage
            .service
            .rollback(&self.stage.vault, target)
            .unwrap();
        self.restored = true;
        self.whole = true;
        if to.is_multiple_of(2) {
            return self.settle(false).await;
        }
        Ok(())
    }

    // What a person does to the copy.

    fn here(&self, of: u8) -> Option<String> {
        pick(self.place.files().into_keys().collect(), of)
    }

    fn write(&mut self, path: &str, text: Text) {
        let content = self.text("local", text);
        self.place.write(path, &content);
        self.local.insert(content);
    }

    async fn reset(&mut self) {
        self.place.reset().await;
        // Nothing tells any longer who wrote what is there.
        self.local.extend(self.place.files().into_values());
        let Copy { mirror, filter, .. } = self.copy;
        self.copy = Copy {
            mirror,
            filter,
            ..Copy::new(self.place.holds())
        };
        self.cursor = 0;
        self.filtered = None;
        self.whole = false;
    }

    fn text(&mut self, whose: &str, text: Text) -> Bytes {
        self.number += 1;
        let number = self.number;
        match text {
            Text::Empty => Bytes::new(),
            Text::Common(which) => Bytes::from(format!("common text {which}")),
            Text::Fresh => {
                Bytes::from(format!("{whose} {number}\n").repeat(1 + number as usize % 9))
            }
            Text::Large => {
                let mut bytes = format!("{whose} {number}\n").into_bytes();
                bytes.resize(LARGE, b'.');
                Bytes::from(bytes)
            }
        }
    }

    fn key(&self, path: &str) -> String {
        self.place.folding().key(&VaultPath::parse(path).unwrap())
    }

    // Runs.

    fn run(&self, stores: &Stores, full: bool) -> SyncRun {
        let mut run = sync_run(self.stage, stores);
        if self.copy.mirror {
            run.options.mode = Mode::Mirror;
        }
        run.options.filter = spec(self.copy.filter);
        run.options.full = full;
        run.options.connections = 1 + self.number as usize % 3;
        run.options.batch_size = 1 + self.number as usize % 4;
        run
    }

    /// A run that is cut short or meets trouble: whatever it does, nothing may be lost or torn.
    async fn disturbed(&mut self, how: &How) -> Checked {
        count(&TALLY.runs);
        let before = self.place.files();
        self.unsure.get_or_insert_with(|| Unsure {
            before: before.clone(),
            mixed: false,
        });
        let crash = match how {
            How::Crash(at, after) => {
                count(&TALLY.crashes);
                let when = if *after { When::After } else { When::Before };
                Faults::crash(u64::from(*at) + 1, when)
            }
            _ => Faults::none(),
        };
        let stores = self.place.open(&crash).await;
        let mut run = self.run(&stores, self.whole);
        let mut flight = None;
        let mut patience = PATIENCE;
        match how {
            How::Stop(at) => {
                count(&TALLY.stops);
                run.progress = Arc::new(StopAt {
                    left: AtomicU64::new(u64::from(*at)),
                    stop: run.stop.clone(),
                });
            }
            How::Faults(faults) => {
                count(&TALLY.faults);
                for fault in faults {
                    let fault = self.fault(*fault);
                    self.stage.service.faults().set(fault).unwrap();
                }
                flight = Some(Flight::begin());
                patience = LONG_PATIENCE;
            }
            _ => {}
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
        self.intact(&before)
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

    fn fault(&self, (pair, of, after, times): (u8, u8, u8, u8)) -> Fault {
        let text = |text: &str| text.to_owned();
        let second = Duration::from_secs(1);
        let trickle = || Action::Trickle(1, second);
        let version = self.stage.service.version(&self.stage.vault).unwrap().0;
        let other = Uid(1 + u64::from(of) % version.max(1));
        let pairs = [
            (Point::Accept, Action::Drop),
            (Point::Accept, Action::Hang),
            (Point::Upgrade, Action::Drop),
            (Point::Upgrade, Action::Cut),
            (Point::Upgrade, Action::Hang),
            (Point::Upgrade, Action::Garbage),
            (Point::Upgrade, Action::Status(503)),
            (Point::Upgrade, Action::Html(504)),
            (Point::Upgrade, Action::TooMany(2)),
            (Point::Init, Action::Drop),
            (Point::Init, Action::Hang),
            (Point::Init, Action::Garbage),
            (Point::Init, Action::Error(text("not now"))),
            (Point::Init, Action::overloaded()),
            (Point::Backlog, Action::Drop),
            (Point::Backlog, Action::Cut),
            (Point::Backlog, Action::Hang),
            (Point::Backlog, Action::Garbage),
            (Point::Backlog, Action::Delay(second * 70)),
            (Point::Backlog, trickle()),
            (Point::Ready, Action::Drop),
            (Point::Ready, Action::Hang),
            (Point::Ready, Action::Garbage),
            (Point::Pull, Action::Drop),
            (Point::Pull, Action::Cut),
            (Point::Pull, Action::Hang),
            (Point::Pull, Action::Garbage),
            (Point::Pull, Action::Error(text("no"))),
            (Point::Pull, Action::FlipBit),
            (Point::Pull, Action::Short(1 + usize::from(of))),
            (Point::Pull, Action::Long(1 + usize::from(of))),
            (Point::Pull, Action::Swap(other)),
            (Point::Pull, Action::Gone),
            (Point::Pull, Action::ClaimSize(u64::MAX - u64::from(of))),
            (Point::Pull, Action::ClaimPieces(u64::MAX - u64::from(of))),
            (Point::Pull, trickle()),
            (Point::Piece, Action::Drop),
            (Point::Piece, Action::Cut),
            (Point::Piece, Action::Hang),
            (Point::Piece, Action::Garbage),
            (Point::Piece, trickle()),
            (Point::Frame, Action::Drop),
            (Point::Frame, Action::Garbage),
            (Point::Frame, Action::Delay(second * 5)),
        ];
        let (point, action) = pairs[usize::from(pair) % pairs.len()].clone();
        Fault::new(point, action)
            .after(u64::from(after))
            .times(u64::from(times))
    }

    /// What holds at every moment: nothing that a person wrote is lost, and no file is torn.
    fn intact(&mut self, before: &Files) -> Checked {
        let files = self.place.files();
        let mut kept: HashSet<Bytes> = files.values().cloned().collect();
        kept.extend(self.place.trashed());
        for (path, content) in before {
            let brought = self.copy.files.get(path).map(|brought| &brought.content);
            let theirs = match (&self.unsure, brought) {
                // It is not known how far obsync came: what only a person can have written counts.
                (Some(_), _) => !self.remote.contains(content),
                (None, brought) => brought != Some(content),
            };
            if theirs && self.local.contains(content) && !kept.contains(content) {
                return Err(format!("lost what was at {path:?}: {}", shown(content)));
            }
        }
        for (path, content) in &files {
            if !self.remote.contains(content) && !self.local.contains(content) {
                return Err(format!(
                    "nobody wrote what is at {path:?}: {}",
                    shown(content)
                ));
            }
        }
        for path in files.keys() {
            let key = self.key(path);
            self.removed.remove(&key);
        }
        match self.place.harm() {
            harm if harm.is_empty() => Ok(()),
            harm => Err(format!("harm outside the destination: {harm:?}")),
        }
    }

    /// A run that nothing disturbs, and all that must be so after it.
    async fn settle(&mut self, full: bool) -> Checked {
        let full = full || self.whole;
        let whole = full || self.filtered != Some(self.copy.filter);
        let before = self.place.files();
        let report = match self.undisturbed(full).await? {
            Ok(report) => report,
            Err(SyncError::Guard(Tripped::Emptied { .. })) if before.is_empty() => {
                // As the message says.
                self.reset().await;
                self.undisturbed(full)
                    .await?
                    .map_err(|error| error.to_string())?
            }
            Err(error) => return Err(format!("the run failed: {error}")),
        };
        self.intact(&before)?;
        self.restored = false;
        let vault = self.stage.contents();
        let left = self.left(&report, &vault)?;
        let unsure = self.unsure.take();
        let folds = self.place.folding().any();
        let exact = !folds && unsure.as_ref().is_none_or(|unsure| !unsure.mixed);
        if exact {
            let before = unsure.map_or(before, |unsure| unsure.before);
            self.exactly(&vault, &before, whole, &left)?;
        } else {
            // A run that was cut short may have compared everything already, before an edit.
            self.roughly(&vault, full, &left)?;
        }
        // A folder that a person emptied after a run that was cut short is that person's.
        let exact_folders = exact || self.copy.mirror;
        self.folders_are_right(&vault, &left, whole, exact_folders)?;
        self.copy.brought(&vault, &left);
        self.filtered = Some(self.copy.filter);
        self.whole = false;
        let leftovers = self.place.leftovers();
        if !leftovers.is_empty() {
            return Err(format!("left behind: {leftovers:?}"));
        }
        if report.files_failed == 0 {
            if folds {
                // Names that fold may take one more run to come to rest.
                self.undisturbed(false)
                    .await?
                    .map_err(|error| error.to_string())?;
            }
            self.again().await?;
        }
        Ok(())
    }

    async fn undisturbed(&mut self, full: bool) -> Result<Result<Report, SyncError>, String> {
        count(&TALLY.runs);
        let stores = self.place.open(&Faults::none()).await;
        let run = self.run(&stores, full);
        let ended = tokio::time::timeout(PATIENCE, run.run()).await;
        drop(run);
        let header = stores
            .state
            .header()
            .await
            .map_err(|error| error.to_string())?;
        let intents = stores
            .state
            .intents()
            .await
            .map_err(|error| error.to_string())?;
        self.place.closed(stores, false).await;
        let result = ended.map_err(|_| "the run did not end by itself".to_owned())?;
        self.moved(header.cursor.0, &result)?;
        if let Ok(report) = &result {
            let version = self.stage.service.version(&self.stage.vault).unwrap();
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
        }
        Ok(result)
    }

    /// A second run finds nothing to do.
    async fn again(&mut self) -> Checked {
        let print = self.place.print();
        self.stage.service.reset_stats();
        let report = match self.undisturbed(false).await? {
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

    /// The paths that the run could not bring, each for a reason that can be seen.
    fn left(&self, report: &Report, vault: &Vault) -> Result<BTreeSet<String>, String> {
        let files = self.place.files();
        let folders = self.place.folders();
        let is_file = |path: &str| {
            let key = self.key(path);
            files.keys().any(|file| self.key(file) == key)
        };
        let mut left = BTreeSet::new();
        for problem in &report.problems {
            let path = &problem.path;
            let parsed = VaultPath::parse(path).map_err(|error| format!("{path:?}: {error}"))?;
            let is_folder = vault.folders.contains_key(path);
            let reason = match problem.kind {
                ProblemKind::Kept => continue,
                ProblemKind::Failed => {
                    parsed.ancestors().any(|above| is_file(above.as_str()))
                        || (!is_folder && folders.iter().any(|f| self.key(f) == self.key(path)))
                        || (is_folder && is_file(path))
                }
                ProblemKind::Skipped => {
                    self.copy.seen(path, is_folder) == Seen::Refused || self.folds(path, vault)
                }
            };
            if !reason {
                return Err(format!("no reason for {problem:?}"));
            }
            left.insert(path.clone());
        }
        let names = vault.files.keys().map(|path| (path, false));
        let names = names.chain(vault.folders.keys().map(|path| (path, true)));
        for (path, folder) in names {
            if self.copy.seen(path, folder) == Seen::Refused && !left.contains(path) {
                return Err(format!("{path:?} is not reported: {:?}", report.problems));
            }
        }
        Ok(left)
    }

    /// Whether another name of the vault is the same here.
    fn folds(&self, path: &str, vault: &Vault) -> bool {
        let key = self.key(path);
        self.place.folding().any()
            && vault
                .files
                .keys()
                .chain(vault.folders.keys())
                .any(|other| other != path && self.key(other) == key)
    }

    /// What a run brought to a path last.
    fn brought(&self, path: &str) -> Option<&Bytes> {
        self.copy.files.get(path).map(|brought| &brought.content)
    }

    fn exactly(
        &self,
        vault: &Vault,
        before: &Files,
        whole: bool,
        left: &BTreeSet<String>,
    ) -> Checked {
        let Prediction { files, displaced } = self.copy.predict(vault, before, whole);
        let mut extra = self.place.files();
        let kept = before.clone();
        for (path, content) in files {
            let found = extra.remove(&path);
            if left.contains(&path) && found.as_ref() == kept.get(&path) {
                continue;
            }
            match found {
                Some(found) if found == content => {}
                Some(found) => {
                    let (is, should) = (shown(&found), shown(&content));
                    return Err(format!("{path:?} is {is}, should be {should}"));
                }
                // A bucket is not asked about what has not changed.
                None if self.place.marks_files()
                    && self.removed.contains(&path)
                    && self.brought(&path) == Some(&content) => {}
                None => return Err(format!("{path:?} is missing: {}", shown(&content))),
            }
        }
        let mut displaced: Vec<Bytes> = displaced;
        if self.copy.mirror {
            extra.retain(|path, _| !left.contains(path));
            if let Some((path, content)) = extra.first_key_value() {
                return Err(format!("{path:?} should be gone: {}", shown(content)));
            }
            let trash: HashSet<Bytes> = self.place.trashed().into_iter().collect();
            let lost = displaced.iter().find(|content| !trash.contains(*content));
            return match lost {
                Some(lost) if left.is_empty() => Err(format!("not in the trash: {}", shown(lost))),
                _ => Ok(()),
            };
        }
        for (path, content) in &extra {
            if left.contains(path) && kept.get(path) == Some(content) {
                continue;
            }
            // In a bucket a file is not in the way of a folder of its name, and may stay.
            let stays = self.place.marks_files() && vault.folders.contains_key(path);
            let copy = stays || path.contains(" (Conflicted copy");
            let of = displaced.iter().position(|kept| kept == content);
            match of {
                Some(index) if copy => drop(displaced.swap_remove(index)),
                _ => return Err(format!("{path:?} should not be there: {}", shown(content))),
            }
        }
        if self.place.marks_files() {
            // After a reset and a crash the marks tell which of it was the vault's own.
            displaced.retain(|content| !self.remote.contains(content));
        }
        match displaced.first() {
            Some(lost) if left.is_empty() => Err(format!("no copy was kept of {}", shown(lost))),
            _ => Ok(()),
        }
    }

    /// Where runs were cut short and other things happened in between, or where names fold: every
    /// path holds what the vault has or what a person wrote, and nothing stale is left.
    fn roughly(&self, vault: &Vault, full: bool, left: &BTreeSet<String>) -> Checked {
        // An edit stays where the vault changed nothing; what was removed comes back.
        let mirror = self.copy.mirror;
        let strict = full || mirror;
        let files = self.place.files();
        let by_key: BTreeMap<String, &Bytes> = files
            .iter()
            .map(|(path, content)| (self.key(path), content))
            .collect();
        let mut wanted: BTreeMap<String, Vec<&Bytes>> = BTreeMap::new();
        for (path, (_, content)) in &vault.files {
            if self.copy.seen(path, false) == Seen::Synced {
                wanted.entry(self.key(path)).or_default().push(content);
            }
        }
        let left: BTreeSet<String> = left.iter().map(|path| self.key(path)).collect();
        for (key, contents) in &wanted {
            if left.contains(key) {
                continue;
            }
            match by_key.get(key) {
                Some(found) if contents.contains(found) => {}
                Some(found) if !mirror && self.local.contains(*found) => {}
                None if !strict && self.removed.contains(key) => {}
                found => {
                    let found = found.map(|content| shown(content));
                    let wanted = shown(contents[0]);
                    return Err(format!("{key:?} is {found:?}, should be {wanted}"));
                }
            }
        }
        for (path, content) in &files {
            let key = self.key(path);
            // Under another spelling a file of ours may look like a person's: kept once too often.
            let kept = self.place.folding().any() && path.contains(" (Conflicted copy");
            let theirs = (kept || self.local.contains(content)) && !self.copy.mirror;
            let synced = self.copy.seen(path, false) == Seen::Synced;
            if synced && !wanted.contains_key(&key) && !left.contains(&key) && !theirs {
                return Err(format!("{path:?} is stale: {}", shown(content)));
            }
        }
        Ok(())
    }

    /// The vault's folders are there; what was one of them, or is extra in a mirror, is gone as
    /// soon as it is empty.
    fn folders_are_right(
        &self,
        vault: &Vault,
        left: &BTreeSet<String>,
        whole: bool,
        exact: bool,
    ) -> Checked {
        // Of folders whose names fold, one stands for all, in whatever spelling.
        if !self.place.has_folders() || self.place.folding().any() {
            return Ok(());
        }
        let here: BTreeSet<String> = self.place.folders().iter().map(|f| self.key(f)).collect();
        let files: Vec<String> = self.place.files().keys().map(|f| self.key(f)).collect();
        let mut keys = BTreeSet::new();
        for (path, uid) in &vault.folders {
            keys.insert(self.key(path));
            let due = whole || self.copy.mirror || self.copy.folders.get(path) != Some(uid);
            let synced = self.copy.seen(path, true) == Seen::Synced && !left.contains(path);
            if due && synced && !here.contains(&self.key(path)) {
                return Err(format!("the folder {path:?} is missing"));
            }
        }
        if !exact {
            return Ok(());
        }
        let mut gone: Vec<String> = match self.copy.mirror {
            true => self.place.folders(),
            false => self.copy.folders.keys().cloned().collect(),
        };
        gone.retain(|path| self.copy.seen(path, true) == Seen::Synced);
        for path in gone {
            let key = self.key(&path);
            let below = format!("{key}/");
            let holds = |other: &String| other.starts_with(&below);
            let empty = !files.iter().any(holds) && !here.iter().any(holds);
            // A file of the vault that the filter hides has the name too: let them be.
            let named = left.iter().chain(vault.files.keys());
            let blocked = named.map(|path| self.key(path)).any(|other| other == key);
            // A name that may also be a hidden file's: what it was last is not always known.
            let blocked = blocked || self.copy.seen(&path, false) != Seen::Synced;
            if here.contains(&key) && empty && !keys.contains(&key) && !blocked {
                return Err(format!("the empty folder {path:?} is still there"));
            }
        }
        Ok(())
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

fn pick(mut all: Vec<String>, of: u8) -> Option<String> {
    if all.is_empty() {
        return None;
    }
    let index = usize::from(of) % all.len();
    Some(all.swap_remove(index))
}

/// The beginning of a content.
fn shown(content: &Bytes) -> String {
    let text = String::from_utf8_lossy(&content[..content.len().min(24)]).into_owned();
    format!("{text:?} ({} bytes)", content.len())
}

/// The first lines in which two texts differ.
fn difference<'t>(a: &'t str, b: &'t str) -> (&'t str, &'t str) {
    let differ = |(a, b): &(&str, &str)| a != b;
    let mut lines = a.lines().zip(b.lines());
    lines.find(differ).unwrap_or(("fewer lines", "more lines"))
}

/// Tells a run to stop at the n-th event.
struct StopAt {
    left: AtomicU64,
    stop: CancellationToken,
}

impl Progress for StopAt {
    fn event(&self, _: Event<'_>) {
        let take = |left: u64| left.checked_sub(1);
        if self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_err()
        {
            self.stop.cancel();
        }
    }
}

/// While this lives, time flies to the next deadline whenever nothing else happens.
struct Flight;

impl Flight {
    fn begin() -> Self {
        tokio::time::pause();
        Self
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}
