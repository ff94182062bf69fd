//! One history as it happens, and the checks after each run.

mod exact;
mod folders;
mod rough;
mod run;
mod trouble;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use obsidian_sync::{Millis, VaultVersion};
use obsync_core::VaultPath;

use crate::devices::{Devices, pick};
use crate::filters::{IGNORES, Rules};
use crate::model::{Copy, Reach};
use crate::op::{How, Op, Text};
use crate::place::Place;
use crate::stage::Stage;

pub(crate) use run::one_run;

/// 2024-11-22 12:00 UTC.
pub(crate) const NOW: Millis = Millis(1_732_276_800_000);
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
    pub(crate) meanwhile: AtomicU64,
    pub(crate) repairs: AtomicU64,
}

/// See [`Tally`].
pub(crate) static TALLY: Tally = Tally {
    histories: AtomicU64::new(0),
    ops: AtomicU64::new(0),
    runs: AtomicU64::new(0),
    stops: AtomicU64::new(0),
    crashes: AtomicU64::new(0),
    faults: AtomicU64::new(0),
    meanwhile: AtomicU64::new(0),
    repairs: AtomicU64::new(0),
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
    /// What a person wrote or removed since, by folded name.
    touched: BTreeSet<String>,
}

/// A history under way.
pub(crate) struct World<'a> {
    stage: &'a Stage,
    devices: Devices,
    place: Arc<dyn Place>,
    copy: Copy,
    /// The rules of the last run that ended well.
    settled: Option<Rules>,
    /// The next run that ends well must compare everything.
    whole: bool,
    unsure: Option<Unsure>,
    /// Whether the service was restored since the last run.
    restored: bool,
    /// Whether the sync state was thrown away since the last run that ended well.
    forgot: bool,
    cursor: u64,
    number: u64,
    /// Every content that a person wrote to the copy, with the folded names that it had.
    local: HashMap<Bytes, BTreeSet<String>>,
    /// Every content that the vault ever had.
    remote: HashSet<Bytes>,
    /// Files that a person removed and no run brought back, by folded name.
    removed: BTreeSet<String>,
}

impl<'a> World<'a> {
    pub(crate) fn new(stage: &'a Stage, place: Arc<dyn Place>) -> Self {
        stage.clear();
        Self {
            stage,
            devices: stage.devices(),
            copy: Copy::new(place.holds()),
            place,
            settled: None,
            whole: false,
            unsure: None,
            restored: false,
            forgot: false,
            cursor: 0,
            number: 0,
            local: HashMap::new(),
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
        let done = self.settle(Reach::Changes).await;
        done.map_err(|what| format!("at the end: {what}"))
    }

    async fn apply(&mut self, op: &Op) -> Checked {
        if !matches!(op, Op::Sync(_))
            && let Some(unsure) = &mut self.unsure
        {
            unsure.mixed = true;
        }
        match op {
            Op::Put(path, text) => {
                let content = self.vaults_text(*text);
                self.devices.put(path, &content);
            }
            Op::Mkdir(path) => self.devices.mkdir(path),
            Op::Delete(of) => self.devices.delete(*of),
            Op::Rename(of, to) => self.devices.rename(*of, to),
            Op::Rollback(to) => return self.rollback(*to).await,
            Op::Purge => {
                self.devices.service.purge(&self.devices.vault).unwrap();
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
                    self.touch(&path);
                }
            }
            Op::MakeFolder(path) => {
                self.place.make_folder(path);
                self.touch(path);
            }
            Op::Mirror(mirror) => self.copy.mirror = *mirror,
            Op::Filter(filter) => self.copy.rules.filter = *filter,
            Op::Ignore(ignore) => {
                self.copy.rules.ignore = *ignore;
                self.place.ignore(IGNORES[usize::from(*ignore)]);
            }
            Op::Reset => self.reset().await,
            Op::Sync(How::Plain) => return self.settle(Reach::Changes).await,
            Op::Sync(How::Full) => return self.settle(Reach::Whole).await,
            Op::Sync(How::Repair) => return self.settle(Reach::Mending).await,
            Op::Sync(how) => return self.disturbed(how).await,
        }
        Ok(())
    }

    /// A restored service is noticed as long as it is behind; so a run comes at once, or one that
    /// compares everything comes later.
    async fn rollback(&mut self, to: u8) -> Checked {
        let Devices { service, vault } = &self.devices;
        let version = self.devices.version().0;
        let target = VaultVersion(version * u64::from(to) / 256);
        service.rollback(vault, target).unwrap();
        self.restored = true;
        self.whole = true;
        if to.is_multiple_of(2) {
            return self.settle(Reach::Changes).await;
        }
        Ok(())
    }

    // What a person does to the copy.

    fn here(&self, of: u8) -> Option<String> {
        pick(self.place.files().into_keys().collect(), of)
    }

    fn write(&mut self, path: &str, text: Text) {
        let content = self.persons_text(text);
        self.place.write(path, &content);
        self.wrote(path, content);
        self.touch(path);
    }

    fn wrote(&mut self, path: &str, content: Bytes) {
        let key = self.key(path);
        self.local.entry(content).or_default().insert(key);
    }

    fn touch(&mut self, path: &str) {
        let key = self.key(path);
        if let Some(unsure) = &mut self.unsure {
            unsure.touched.insert(key);
        }
    }

    async fn reset(&mut self) {
        self.place.reset().await;
        // Nothing tells any longer who wrote what is there.
        for (path, content) in self.place.files() {
            self.wrote(&path, content);
        }
        let Copy { mirror, rules, .. } = self.copy;
        self.copy = Copy {
            mirror,
            rules,
            ..Copy::new(self.place.holds())
        };
        self.forgot = true;
        self.cursor = 0;
        self.settled = None;
        self.whole = false;
    }

    fn vaults_text(&mut self, text: Text) -> Bytes {
        let content = self.text("vault", text);
        self.remote.insert(content.clone());
        content
    }

    fn persons_text(&mut self, text: Text) -> Bytes {
        self.text("local", text)
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

    /// Whether a person wrote a content, under whatever name.
    fn is_persons(&self, content: &Bytes) -> bool {
        self.local.contains_key(content)
    }

    /// Whether a person wrote a content under a name.
    fn is_persons_at(&self, key: &str, content: &Bytes) -> bool {
        let names = self.local.get(content);
        names.is_some_and(|names| names.contains(key))
    }
}

/// The beginning of a content.
fn shown(content: &Bytes) -> String {
    let text = String::from_utf8_lossy(&content[..content.len().min(24)]).into_owned();
    format!("{text:?} ({} bytes)", content.len())
}
