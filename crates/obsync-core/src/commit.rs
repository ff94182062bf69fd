//! The ledger: what a run has done, written to state in batches, and the cursor's watermark.
//!
//! The cursor that a commit stores never passes a record that is not durably applied or listed
//! (invariant 2): it ends just before the lowest uid that is still outstanding.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use obsidian_sync::{Uid, VaultVersion};
use tokio::time::Instant;

use crate::path::VaultPath;
use crate::plan::Target;
use crate::record::{Change, Record};
use crate::state::{Batch, Entry, FileEntry, Header, StateStore, Unapplied, UnappliedKind};
use crate::store::{FileMeta, Stamp, StoreError, VaultStore};

/// A second since the last commit also ends a batch.
const LONGEST_BATCH: Duration = Duration::from_secs(1);

/// How many runs may give a file all their time before it counts as failed.
const WHOLE_RUNS: u32 = 2;

/// How the cursor moves in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CursorRule {
    /// With the watermark.
    Watermark,
    /// Only when everything is done: a comparison with the whole vault that is cut short must
    /// begin anew, since deletions that it found have no records of their own.
    AtTheEnd,
}

pub(crate) struct Ledger {
    state: Arc<dyn StateStore>,
    store: Arc<dyn VaultStore>,
    /// The cursor as the run found it.
    began: VaultVersion,
    stored: Header,
    header: Header,
    goal: VaultVersion,
    rule: CursorRule,
    outstanding: BTreeMap<Uid, u32>,
    /// Entries set or, with `None`, forgotten since the last commit.
    entries: HashMap<VaultPath, Option<Entry>>,
    /// Names listed or, with `None`, taken off the list since the last commit.
    listed: HashMap<String, Option<Unapplied>>,
    changes: usize,
    batch_size: usize,
    last_commit: Instant,
    intents_pending: bool,
    unapplied: HashMap<String, Unapplied>,
    /// Whether an unfinished file came nearer to being given up.
    advanced: bool,
}

/// What a ledger starts from.
pub(crate) struct Opening {
    pub(crate) state: Arc<dyn StateStore>,
    pub(crate) store: Arc<dyn VaultStore>,
    /// The header as it is stored.
    pub(crate) stored: Header,
    /// The header as this run wants it, its cursor aside.
    pub(crate) header: Header,
    /// Where the cursor is to end.
    pub(crate) goal: VaultVersion,
    pub(crate) rule: CursorRule,
    pub(crate) outstanding: Vec<Uid>,
    pub(crate) batch_size: usize,
    pub(crate) unapplied: Vec<Unapplied>,
    /// Whether a crashed run left notes of intent.
    pub(crate) intents_pending: bool,
}

impl Ledger {
    pub(crate) fn open(opening: Opening) -> Self {
        let mut outstanding = BTreeMap::new();
        for uid in opening.outstanding {
            *outstanding.entry(uid).or_insert(0) += 1;
        }
        Self {
            state: opening.state,
            store: opening.store,
            began: opening.stored.cursor,
            stored: opening.stored,
            header: opening.header,
            goal: opening.goal,
            rule: opening.rule,
            outstanding,
            entries: HashMap::new(),
            listed: HashMap::new(),
            changes: 0,
            batch_size: opening.batch_size.max(1),
            last_commit: Instant::now(),
            intents_pending: opening.intents_pending,
            unapplied: opening
                .unapplied
                .into_iter()
                .map(|u| (u.name.clone(), u))
                .collect(),
            advanced: false,
        }
    }

    /// A path has this entry now, and its record is applied.
    pub(crate) fn set(&mut self, path: VaultPath, entry: Entry) {
        self.unlist(path.as_str());
        self.entries.insert(path, Some(entry));
        self.changes += 1;
    }

    /// What the state says of a path is put right; nothing is applied by that.
    pub(crate) fn correct(&mut self, path: VaultPath, entry: Entry) {
        self.entries.insert(path, Some(entry));
        self.changes += 1;
    }

    /// A file is in place.
    pub(crate) fn placed(&mut self, target: &Target, stamp: Stamp) {
        let entry = FileEntry {
            uid: target.uid,
            hash: target.file.hash,
            size: target.size(),
            mtime: target.file.mtime,
            stamp,
        };
        self.set(target.path.clone(), Entry::File(entry));
        self.done(target.uid);
    }

    /// A path is no longer ours, or no longer there.
    pub(crate) fn forget(&mut self, path: VaultPath) {
        // Where this only makes room, more is to come for the record that is listed. A stop in between
        // must not lose it: the cursor may have passed it long ago.
        let listed = self.unapplied.get(path.as_str());
        let more = listed.and_then(|item| self.outstanding.get(&item.uid));
        if more.is_none_or(|count| *count <= 1) {
            self.unlist(path.as_str());
        }
        self.entries.insert(path, None);
        self.changes += 1;
    }

    /// One action for this record is done.
    pub(crate) fn done(&mut self, uid: Uid) {
        if let Some(count) = self.outstanding.get_mut(&uid) {
            *count -= 1;
            if *count == 0 {
                self.outstanding.remove(&uid);
            }
        }
    }

    /// A file could not be brought; it is listed and tried again next time.
    pub(crate) fn failed(&mut self, target: &Target, message: String) {
        self.failed_record(record_of(target), message);
    }

    /// A record could not be applied; it is listed and tried again next time.
    pub(crate) fn failed_record(&mut self, record: Record, message: String) {
        let name = record.path.as_str().to_owned();
        let before = self
            .unapplied
            .get(&name)
            .filter(|old| old.uid == record.uid);
        let attempts = before.map_or(0, |old| old.attempts) + 1;
        let uid = record.uid;
        self.list(Unapplied {
            name,
            uid,
            kind: UnappliedKind::Failed,
            message,
            attempts,
            record: Some(record),
        });
        self.done(uid);
    }

    /// A file was on its way when the run was told to stop; `whole` says that the run could give it
    /// all its time. After two such runs it counts as failed, so that it never blocks the rest.
    pub(crate) fn unfinished(&mut self, target: &Target, whole: bool) {
        let name = target.path.as_str().to_owned();
        let before = self
            .unapplied
            .get(&name)
            .filter(|old| old.uid == target.uid);
        let attempts = before.map_or(0, |old| old.attempts) + u32::from(whole);
        let given_up = before.is_some_and(|old| old.kind == UnappliedKind::Failed);
        if given_up || attempts >= WHOLE_RUNS {
            let message = "it could not be fetched within two whole runs: give them more time or \
                           memory, or leave it out";
            self.advanced = true;
            return self.failed(target, message.to_owned());
        }
        self.advanced |= before.is_none_or(|old| old.attempts < attempts);
        self.list(Unapplied {
            name,
            uid: target.uid,
            kind: UnappliedKind::Unfinished,
            message: "on its way when the run was told to stop".to_owned(),
            attempts,
            record: Some(record_of(target)),
        });
    }

    pub(crate) fn list(&mut self, item: Unapplied) {
        if self.unapplied.get(&item.name) == Some(&item) {
            return;
        }
        self.listed.insert(item.name.clone(), Some(item.clone()));
        self.unapplied.insert(item.name.clone(), item);
        self.changes += 1;
    }

    pub(crate) fn unlist(&mut self, name: &str) {
        if self.unapplied.remove(name).is_some() {
            self.listed.insert(name.to_owned(), None);
            self.changes += 1;
        }
    }

    /// Everything that is listed as not applied now.
    pub(crate) fn unapplied(&self) -> impl Iterator<Item = &Unapplied> {
        self.unapplied.values()
    }

    /// Whether this run came further with the records that it left: sending it again comes to an end.
    pub(crate) fn advanced(&self) -> bool {
        self.advanced || self.stored.cursor > self.began
    }

    /// How many records still wait.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// The cursor as it is stored.
    pub(crate) fn cursor(&self) -> VaultVersion {
        self.stored.cursor
    }

    /// When the current batch has to be committed at the latest.
    pub(crate) fn due(&self) -> Instant {
        self.last_commit + LONGEST_BATCH
    }

    /// How many files make a batch.
    pub(crate) fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Commits if the batch is large or old enough.
    pub(crate) async fn commit_if_due(&mut self) -> Result<(), StoreError> {
        if self.changes >= self.batch_size || (self.changes > 0 && Instant::now() >= self.due()) {
            return self.commit().await;
        }
        Ok(())
    }

    /// Writes what was done so far.
    pub(crate) async fn commit(&mut self) -> Result<(), StoreError> {
        self.commit_with(Vec::new()).await
    }

    /// Writes what was done so far, and notes what is about to be published.
    pub(crate) async fn commit_with(
        &mut self,
        intend: Vec<(VaultPath, FileMeta)>,
    ) -> Result<(), StoreError> {
        self.header.cursor = self.watermark();
        if self.changes > 0 {
            self.store.flush().await?;
        }
        let batch = self.batch(intend);
        let intends = !batch.intend.is_empty();
        // Noted before the commit: one that fails may have happened all the same.
        self.intents_pending |= intends;
        if !batch.is_empty() {
            self.state.commit(batch).await?;
        }
        // Forgotten only now: after a commit that failed, the next one writes it all once more.
        self.entries = HashMap::new();
        self.listed = HashMap::new();
        self.intents_pending = intends;
        self.stored = self.header.clone();
        self.changes = 0;
        self.last_commit = Instant::now();
        Ok(())
    }

    /// What the next commit is to write.
    fn batch(&self, intend: Vec<(VaultPath, FileMeta)>) -> Batch {
        let mut batch = Batch {
            header: (self.header != self.stored).then(|| self.header.clone()),
            settle: self.intents_pending,
            intend,
            ..Batch::default()
        };
        for (path, entry) in &self.entries {
            match entry {
                Some(entry) => batch.set.push((path.clone(), entry.clone())),
                None => batch.forget.push(path.clone()),
            }
        }
        for (name, item) in &self.listed {
            match item {
                Some(item) => batch.list.push(item.clone()),
                None => batch.unlist.push(name.clone()),
            }
        }
        batch
    }

    /// Ends the run's bookkeeping. A comparison that came to its end is no longer pending.
    pub(crate) async fn close(&mut self) -> Result<(), StoreError> {
        if self.outstanding.is_empty() {
            self.header.full_pending = false;
        }
        self.commit().await?;
        self.state.checkpoint().await
    }

    fn watermark(&self) -> VaultVersion {
        match (self.outstanding.first_key_value(), self.rule) {
            (None, _) => self.goal,
            (Some(_), CursorRule::AtTheEnd) => self.stored.cursor,
            // Records that are tried again may lie below the cursor; it never moves backwards.
            (Some((lowest, _)), CursorRule::Watermark) => {
                let below = VaultVersion(lowest.0.saturating_sub(1));
                below.min(self.goal).max(self.stored.cursor)
            }
        }
    }
}

fn record_of(target: &Target) -> Record {
    Record {
        uid: target.uid,
        path: target.path.clone(),
        change: Change::File(target.file.clone()),
    }
}
