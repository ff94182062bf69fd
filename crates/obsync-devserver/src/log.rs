//! The log of one vault: records in ascending order, their content, and what is asked of them.
//!
//! Plain data without I/O; `store` adds the lock, persistence and broadcast around it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use obsidian_sync::{EncodedName, Uid, VaultVersion};

use crate::record::{Change, Record};

/// How many records one `history` answer holds.
pub(crate) const HISTORY_PAGE: usize = 50;

/// What a pull finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A file's sealed content.
    Content(Bytes),
    /// The record was a file, but its content is no longer kept; or it is a deletion.
    Gone,
    /// A folder has no content.
    Folder,
    /// No such record.
    Unknown,
}

/// The records and the content of one vault.
#[derive(Debug, Default)]
pub(crate) struct VaultLog {
    records: Vec<Arc<Record>>,
    content: HashMap<Uid, Bytes>,
    by_hash: HashMap<EncodedName, Uid>,
    last: HashMap<EncodedName, usize>,
    version: u64,
    size: u64,
}

impl VaultLog {
    /// Rebuilds a log from what was saved. `version` counts where the last records are purged.
    pub(crate) fn restore(
        records: Vec<Record>,
        content: HashMap<Uid, Bytes>,
        version: u64,
    ) -> Self {
        let mut log = Self {
            content,
            ..Self::default()
        };
        log.rebuild(records.into_iter().map(Arc::new).collect(), version);
        log
    }

    /// The uid of the newest record that ever was.
    pub(crate) fn version(&self) -> VaultVersion {
        VaultVersion(self.version)
    }

    /// The uid that the next record gets.
    pub(crate) fn next_uid(&self) -> Uid {
        Uid(self.version + 1)
    }

    /// Adds a record whose content, if it has any, is already in the log.
    pub(crate) fn append(&mut self, record: Arc<Record>) {
        self.version = self.version.max(record.uid.0);
        if let (Some(content), false) = (record.content, record.forged) {
            self.by_hash
                .entry(record.change.hash.clone())
                .or_insert(content);
        }
        self.last
            .insert(record.change.path.clone(), self.records.len());
        self.records.push(record);
    }

    /// Keeps content under the uid of the record that brings it.
    pub(crate) fn keep(&mut self, uid: Uid, content: Bytes) {
        self.size += content.len() as u64;
        self.content.insert(uid, content);
    }

    /// Where content with this hash already lies, and how large it is.
    pub(crate) fn with_hash(&self, hash: &EncodedName) -> Option<(Uid, u64)> {
        let uid = *self.by_hash.get(hash)?;
        Some((uid, self.content.get(&uid)?.len() as u64))
    }

    /// All records, in ascending order.
    pub(crate) fn records(&self) -> &[Arc<Record>] {
        &self.records
    }

    /// The record with this uid.
    pub(crate) fn record(&self, uid: Uid) -> Option<&Arc<Record>> {
        let index = self
            .records
            .binary_search_by_key(&uid, |record| record.uid)
            .ok()?;
        self.records.get(index)
    }

    /// The last record of a path, also if it is a deletion.
    pub(crate) fn last(&self, path: &EncodedName) -> Option<&Arc<Record>> {
        self.last
            .get(path)
            .and_then(|index| self.records.get(*index))
    }

    /// Every record newer than a version.
    pub(crate) fn since(&self, version: VaultVersion) -> Vec<Arc<Record>> {
        let start = self
            .records
            .partition_point(|record| record.uid.0 <= version.0);
        self.records[start..].to_vec()
    }

    /// The vault as it stands: the last record of each path that is not deleted, newer than a version.
    pub(crate) fn live_since(&self, version: VaultVersion) -> Vec<Arc<Record>> {
        self.records
            .iter()
            .enumerate()
            .filter(|(index, record)| {
                record.uid.0 > version.0
                    && !record.change.deleted
                    && self.last.get(&record.change.path) == Some(index)
            })
            .map(|(_, record)| Arc::clone(record))
            .collect()
    }

    /// What a pull of this uid gets.
    pub(crate) fn find(&self, uid: Uid) -> Found {
        match self.record(uid) {
            // A purge drops records too; those that never were are another matter.
            None if (1..=self.version).contains(&uid.0) => Found::Gone,
            None => Found::Unknown,
            Some(record) if record.change.deleted => Found::Gone,
            Some(record) if record.change.folder => Found::Folder,
            Some(record) => record
                .content
                .and_then(|content| self.content.get(&content))
                .map_or(Found::Gone, |content| Found::Content(content.clone())),
        }
    }

    /// The records of a path, newest first, older than `before`; and whether there are more.
    pub(crate) fn history(
        &self,
        path: &EncodedName,
        before: Option<Uid>,
    ) -> (Vec<Arc<Record>>, bool) {
        let mut found = self.records.iter().rev().filter(|record| {
            record.change.path == *path && before.is_none_or(|uid| record.uid < uid)
        });
        let page = found.by_ref().take(HISTORY_PAGE).cloned().collect();
        (page, found.next().is_some())
    }

    /// The files that are deleted now, newest first. A rename's old path counts only on request.
    pub(crate) fn deleted(&self, suppress_renames: bool) -> Vec<Arc<Record>> {
        let renamed: HashSet<_> = self
            .records
            .iter()
            .filter_map(|record| record.change.related_path.as_ref())
            .collect();
        let mut items: Vec<_> = self
            .last
            .values()
            .filter_map(|index| self.records.get(*index))
            .filter(|record| record.change.deleted && !record.change.folder)
            .filter(|record| !(suppress_renames && renamed.contains(&record.change.path)))
            .cloned()
            .collect();
        items.sort_by_key(|record| std::cmp::Reverse(record.uid));
        items
    }

    /// The change that brings a record back, with its content; `None` where nothing can be restored.
    ///
    /// For a deletion that is the path's last file before it.
    pub(crate) fn restorable(&self, uid: Uid) -> Option<(Change, Uid)> {
        let named = self.record(uid)?;
        let record = if named.change.deleted {
            self.records.iter().rev().find(|record| {
                record.uid < uid
                    && record.change.path == named.change.path
                    && record.change.is_file()
            })?
        } else {
            named
        };
        let content = record
            .content
            .filter(|uid| self.content.contains_key(uid))?;
        record
            .change
            .is_file()
            .then(|| (record.change.clone(), content))
    }

    /// Drops what is superseded and what is deleted, with content that nothing refers to any more.
    pub(crate) fn purge(&mut self) {
        let keep = self.live_since(VaultVersion(0));
        self.rebuild(keep, self.version);
    }

    /// Goes back to an earlier version, as after a restore from a backup.
    pub(crate) fn rollback(&mut self, version: VaultVersion) {
        let keep = self
            .records
            .iter()
            .filter(|record| record.uid.0 <= version.0)
            .cloned()
            .collect();
        self.rebuild(keep, version.0.min(self.version));
    }

    fn rebuild(&mut self, records: Vec<Arc<Record>>, version: u64) {
        let used: BTreeSet<Uid> = records.iter().filter_map(|record| record.content).collect();
        let mut content = std::mem::take(&mut self.content);
        content.retain(|uid, _| used.contains(uid));
        let size = content.values().map(|content| content.len() as u64).sum();
        *self = Self {
            content,
            version,
            size,
            ..Self::default()
        };
        for record in records {
            self.append(record);
        }
    }

    /// Bytes of content kept.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use obsidian_sync::Millis;

    use super::*;

    fn add(log: &mut VaultLog, change: Change, content: Option<Uid>) -> Uid {
        let uid = log.next_uid();
        log.append(Arc::new(Record {
            uid,
            ts: Millis(0),
            content,
            change,
            forged: false,
            overrides: serde_json::Map::new(),
        }));
        uid
    }

    fn file(log: &mut VaultLog, path: &str, text: &str) -> Uid {
        let uid = log.next_uid();
        log.keep(uid, Bytes::copy_from_slice(text.as_bytes()));
        let change = Change {
            deleted: false,
            hash: EncodedName::new(text),
            ..Change::deletion(EncodedName::new(path))
        };
        add(log, change, Some(uid))
    }

    fn delete(log: &mut VaultLog, path: &str) -> Uid {
        add(log, Change::deletion(EncodedName::new(path)), None)
    }

    fn uids(records: &[Arc<Record>]) -> Vec<u64> {
        records.iter().map(|record| record.uid.0).collect()
    }

    #[test]
    fn backlog_is_all_or_the_vault_as_it_stands() {
        let mut log = VaultLog::default();
        file(&mut log, "a", "one");
        file(&mut log, "b", "two");
        file(&mut log, "a", "three");
        delete(&mut log, "b");
        assert_eq!(uids(&log.since(VaultVersion(1))), [2, 3, 4]);
        assert_eq!(uids(&log.live_since(VaultVersion(0))), [3]);
        assert_eq!(uids(&log.live_since(VaultVersion(3))), [0; 0]);
        assert_eq!(log.version(), VaultVersion(4));
    }

    #[test]
    fn pull_tells_content_from_gone_folder_and_unknown() {
        let mut log = VaultLog::default();
        let first = file(&mut log, "a", "one");
        let folder = add(&mut log, Change::folder(EncodedName::new("d"), false), None);
        let end = delete(&mut log, "a");
        assert_eq!(log.find(first), Found::Content(Bytes::from_static(b"one")));
        assert_eq!(log.find(folder), Found::Folder);
        assert_eq!(log.find(end), Found::Gone);
        assert_eq!(log.find(Uid(99)), Found::Unknown);
        log.purge();
        assert_eq!(log.find(first), Found::Gone);
        assert_eq!(log.size(), 0);
        assert_eq!(
            log.version(),
            VaultVersion(3),
            "a purge does not turn the clock back"
        );
    }

    #[test]
    fn history_pages_backwards() {
        let mut log = VaultLog::default();
        for _ in 0..=HISTORY_PAGE {
            file(&mut log, "a", "x");
            file(&mut log, "other", "y");
        }
        let path = EncodedName::new("a");
        let (page, more) = log.history(&path, None);
        assert_eq!((page.len(), more), (HISTORY_PAGE, true));
        assert_eq!(page[0].uid, Uid(2 * HISTORY_PAGE as u64 + 1));
        let (rest, more) = log.history(&path, page.last().map(|record| record.uid));
        assert_eq!((uids(&rest), more), (vec![1], false));
    }

    #[test]
    fn a_rename_is_a_deletion_only_on_request() {
        let mut log = VaultLog::default();
        let first = file(&mut log, "old", "x");
        delete(&mut log, "old");
        let moved = Change {
            path: EncodedName::new("new"),
            related_path: Some(EncodedName::new("old")),
            ..log.record(first).unwrap().change.clone()
        };
        add(&mut log, moved, Some(first));
        let gone = file(&mut log, "gone", "y");
        let end = delete(&mut log, "gone");
        assert_eq!(uids(&log.deleted(true)), [end.0]);
        assert_eq!(uids(&log.deleted(false)), [end.0, 2]);
        let (change, content) = log.restorable(end).unwrap();
        assert_eq!((change.path.as_str(), content), ("gone", gone));
        assert!(log.restorable(Uid(99)).is_none());
    }

    #[test]
    fn rollback_forgets_later_records_and_their_content() {
        let mut log = VaultLog::default();
        file(&mut log, "a", "one");
        file(&mut log, "b", "two");
        log.rollback(VaultVersion(1));
        assert_eq!(log.version(), VaultVersion(1));
        assert_eq!(log.next_uid(), Uid(2));
        assert!(log.with_hash(&EncodedName::new("two")).is_none());
        assert!(log.last(&EncodedName::new("b")).is_none());
        assert_eq!(log.with_hash(&EncodedName::new("one")), Some((Uid(1), 3)));
    }
}
