//! What one record asks for.

use std::collections::HashSet;

use obsidian_sync::Uid;

use super::listing::Listing;
use super::names::Names;
use super::{Basis, Clear, Download, Here, Input, Mode, Over, Plan, Removal, Target};
use crate::filter::Verdict;
use crate::path::VaultPath;
use crate::record::{Change, Record, RemoteFile};
use crate::state::{Entry, FileEntry};
use crate::store::Stamp;

pub(super) struct Decider<'a, 'p> {
    input: &'a Input<'a>,
    names: &'p Names<'a>,
    plan: &'p mut Plan,
    listing: Listing<'a>,
    decided: HashSet<&'a VaultPath>,
}

impl<'a, 'p> Decider<'a, 'p> {
    pub(super) fn new(
        input: &'a Input<'a>,
        names: &'p Names<'a>,
        listing: Listing<'a>,
        plan: &'p mut Plan,
    ) -> Self {
        Self {
            input,
            names,
            plan,
            listing,
            decided: HashSet::new(),
        }
    }

    pub(super) fn record(&mut self, record: &'a Record) {
        let path = &record.path;
        if self.listing.is_unusable(path.as_str()) {
            // Tried again, but the service has said something newer of it.
            return;
        }
        // Only what was there before is ever looked up: a first sync, the largest plan, has none of it.
        if !self.input.entries.is_empty() || !self.input.unapplied.is_empty() {
            self.decided.insert(path);
        }
        match self.input.filter.verdict(path, record.is_folder()) {
            Verdict::Sync => {}
            Verdict::Hidden => {
                self.plan.hidden += 1;
                return self.hidden(record);
            }
            Verdict::Refused(reason) => {
                return match record.change {
                    Change::Deleted { .. } => self.hidden(record),
                    _ => self.skip(record, reason.to_owned(), false),
                };
            }
        }
        let entry = self.input.entries.get(path);
        // A record sent again is no news; but one that is tried again may be older than what an
        // entry comes from, where the service was restored in between.
        let again = self.listing.before(path.as_str());
        let again = again.is_some_and(|item| item.uid == record.uid && item.record.is_some());
        let known = entry.is_some_and(|entry| entry.uid() >= record.uid);
        if self.input.basis == Basis::Changes && known && !again {
            // Nothing is decided: a mirror looks at it as at any other file.
            self.decided.remove(path);
            return self.unlist(path);
        }
        if let Change::Deleted { .. } = record.change {
            return self.deleted(path, record.uid, entry);
        }
        if let Err(problem) = (self.input.check_path)(path) {
            return self.skip(record, problem.to_string(), false);
        }
        if let Some(owner) = self.names.taken_by(path, !record.is_folder()) {
            let reason = format!(
                "'{}' has the same name at this destination",
                owner.display()
            );
            return self.skip(record, reason, true);
        }
        match &record.change {
            Change::File(file) => self.file(record, file, entry),
            Change::Folder => self.folder(record, entry),
            Change::Deleted { .. } => {}
        }
    }

    /// A record that is not synced. What it replaced is no longer in the vault, if that was.
    fn hidden(&mut self, record: &'a Record) {
        let path = &record.path;
        match self.input.entries.get(path) {
            Some(entry) if replaces(self.input, record, entry) => {
                self.deleted(path, record.uid, Some(entry));
            }
            _ => self.unlist(path),
        }
    }

    /// Lists the records that could not be used at all.
    pub(super) fn unusable(&mut self) {
        self.listing.take_unusable(self.plan, self.input);
    }

    /// With the vault as it stands: what the state has and the vault has not was deleted. What the
    /// filter hides is left alone, or narrowing a filter would delete files.
    pub(super) fn missing_from_the_whole(&mut self) {
        // A fixed order, so that equal inputs give equal plans.
        let input = self.input;
        let missing = input.entries.iter().filter(|(path, entry)| {
            let folder = entry.file().is_none();
            !self.decided.contains(path)
                && !self.listing.is_unusable(path.as_str())
                && input.filter.verdict(path, folder) == Verdict::Sync
        });
        let mut missing: Vec<_> = missing.collect();
        missing.sort_by_key(|(path, _)| *path);
        for (path, entry) in missing {
            self.decided.insert(path);
            self.deleted(path, entry.uid(), Some(entry));
        }
        // What is listed under a name that the vault has no longer is no trouble any more. One that it
        // still has keeps its count of tries until it is brought.
        for item in self.input.unapplied {
            let name = item.name.as_str();
            let decided = VaultPath::parse(name).is_ok_and(|path| self.decided.contains(&path));
            if !decided && !self.listing.speaks_of(name) {
                self.listing.unlist(self.plan, name);
            }
        }
    }

    /// The paths that records had a say on, and the list.
    pub(super) fn finish(self) -> (HashSet<&'a VaultPath>, Listing<'a>) {
        (self.decided, self.listing)
    }

    fn file(&mut self, record: &'a Record, file: &RemoteFile, entry: Option<&Entry>) {
        let path = &record.path;
        let over = match self.names.local(path) {
            Here::Absent => {
                self.clear_old_folder(path, record.uid);
                Over::Nothing
            }
            Here::Ours(stamp) => {
                let known = entry.and_then(Entry::file);
                if known.is_some_and(|known| known.hash == file.hash) {
                    return self.adopt(record, file, entry, stamp);
                }
                Over::Ours(stamp.clone())
            }
            Here::Other { hash, stamp } if *hash == file.hash => {
                return self.adopt(record, file, entry, stamp);
            }
            Here::Other { stamp, .. } => match self.edit_of(record, file, entry) {
                // It stays an edit: the entry tells of what was there before.
                Some(known) => return self.adopt(record, file, entry, &known.stamp),
                None => Over::Local(stamp.clone()),
            },
            Here::Folder => {
                self.plan
                    .clear
                    .push(Clear::Folder(path.clone(), record.uid));
                Over::Nothing
            }
            Here::Foreign(what) => {
                return self.skip(record, format!("{what} is in the way"), true);
            }
            Here::Unreadable(why) => return self.fail(record, why.to_owned()),
        };
        let target = Target {
            path: path.clone(),
            uid: record.uid,
            file: file.clone(),
            over,
        };
        self.plan.downloads.push(Download {
            target,
            also: Vec::new(),
        });
    }

    /// What a local edit is an edit of, where only the local side changed. `pull` leaves it alone, however
    /// the vault is compared: there is no other text that it would have to make way for.
    fn edit_of<'e>(
        &self,
        record: &Record,
        file: &RemoteFile,
        entry: Option<&'e Entry>,
    ) -> Option<&'e FileEntry> {
        let known = entry.and_then(Entry::file);
        let mends = self.input.mode == Mode::Mirror || self.input.doubted.contains(&record.path);
        known.filter(|known| known.hash == file.hash && !mends)
    }

    fn folder(&mut self, record: &'a Record, entry: Option<&Entry>) {
        let path = &record.path;
        match self.names.local(path) {
            Here::Folder => {
                let new = Entry::Folder { uid: record.uid };
                if entry != Some(&new) {
                    self.plan.adopt.push((path.clone(), new));
                }
                return self.unlist(path);
            }
            Here::Absent => {}
            Here::Ours(stamp) => self.clear_file(path, record.uid, stamp),
            Here::Other { stamp, .. } => match self.input.mode {
                Mode::Pull => {
                    self.plan
                        .clear
                        .push(Clear::SetAside(path.clone(), record.uid));
                }
                Mode::Mirror => self.clear_file(path, record.uid, stamp),
            },
            Here::Foreign(what) => {
                return self.skip(record, format!("{what} is in the way"), true);
            }
            Here::Unreadable(why) => return self.fail(record, why.to_owned()),
        }
        self.plan.folders.push((path.clone(), record.uid));
    }

    fn deleted(&mut self, path: &'a VaultPath, uid: Uid, entry: Option<&Entry>) {
        // What obsync did not write is not obsync's to delete; a mirror looks at extras later.
        let Some(entry) = entry else {
            return self.unlist(path);
        };
        let here = self.input.at(path);
        if let Here::Unreadable(why) = here {
            // It may be ours and it may be edited: it stays, and its entry, until that can be told.
            let folder = entry.file().is_none();
            let record = Record {
                uid,
                path: path.clone(),
                change: Change::Deleted { folder },
            };
            let (name, why) = (path.as_str(), why.to_owned());
            return self.listing.fail(self.plan, name, record, why);
        }
        self.unlist(path);
        match (entry, here) {
            (Entry::Folder { .. }, Here::Folder) => {
                self.plan.folder_removals.push((path.clone(), uid));
            }
            (Entry::File(_), Here::Ours(stamp)) => self.remove(path, uid, stamp),
            (Entry::File(_), Here::Other { stamp, .. }) => match self.input.mode {
                Mode::Pull => {
                    self.plan.kept.push((path.clone(), uid));
                    self.plan.forget.push(path.clone());
                }
                Mode::Mirror => self.remove(path, uid, stamp),
            },
            _ => self.plan.forget.push(path.clone()),
        }
    }

    fn adopt(
        &mut self,
        record: &'a Record,
        file: &RemoteFile,
        entry: Option<&Entry>,
        stamp: &Stamp,
    ) {
        let target = Target {
            path: record.path.clone(),
            uid: record.uid,
            file: file.clone(),
            over: Over::Nothing,
        };
        let new = Entry::File(FileEntry {
            uid: record.uid,
            hash: file.hash,
            size: target.size(),
            mtime: file.mtime,
            stamp: stamp.clone(),
        });
        if entry != Some(&new) {
            self.plan.adopt.push((target.path, new));
        }
        self.unlist(&record.path);
    }

    fn remove(&mut self, path: &VaultPath, uid: Uid, stamp: &Stamp) {
        let retire = self.input.mode.retire();
        self.plan.removals.push(Removal {
            path: path.clone(),
            uid,
            stamp: stamp.clone(),
            retire,
        });
    }

    /// Where names fold, a folder under the old spelling stands where this file must come.
    fn clear_old_folder(&mut self, path: &VaultPath, uid: Uid) {
        let Some(old) = self.names.respelled(path) else {
            return;
        };
        if self.input.at(old) == Here::Folder {
            self.plan.clear.push(Clear::Folder(old.clone(), uid));
        }
    }

    fn clear_file(&mut self, path: &VaultPath, uid: Uid, stamp: &Stamp) {
        let retire = self.input.mode.retire();
        let removal = Removal {
            path: path.clone(),
            uid,
            stamp: stamp.clone(),
            retire,
        };
        self.plan.clear.push(Clear::File(removal));
    }

    fn skip(&mut self, record: &'a Record, message: String, again: bool) {
        let name = record.path.as_str();
        self.listing.skip(self.plan, name, record, message, again);
    }

    fn fail(&mut self, record: &'a Record, message: String) {
        let name = record.path.as_str();
        self.listing.fail(self.plan, name, record.clone(), message);
    }

    fn unlist(&mut self, path: &'a VaultPath) {
        self.listing.unlist(self.plan, path.as_str());
    }
}

/// Whether a record that is not synced itself took the place of what was: a file that became a folder,
/// or the reverse. What is hidden all the same is left alone, or narrowing a filter would delete files.
pub(super) fn replaces(input: &Input<'_>, record: &Record, entry: &Entry) -> bool {
    let was_folder = entry.file().is_none();
    was_folder != record.is_folder()
        && entry.uid() < record.uid
        && input.filter.verdict(&record.path, was_folder) == Verdict::Sync
}
