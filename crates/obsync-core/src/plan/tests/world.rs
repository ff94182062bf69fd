//! A small world to plan in: a vault's records, a state, a destination.

use std::collections::{HashMap, HashSet};

use obsidian_sync::{ContentHash, Millis, Uid};

use crate::filter::{Filter, FilterSpec};
use crate::path::{PathProblem, VaultPath};
use crate::plan::{Basis, Input, Local, Mode, Plan, plan};
use crate::record::{Change, Record, RemoteFile};
use crate::state::{Entry, FileEntry, Unapplied, UnappliedKind};
use crate::store::{Folding, Stamp};

#[derive(Clone)]
pub(super) struct World {
    pub(super) records: Vec<Record>,
    pub(super) entries: HashMap<VaultPath, Entry>,
    pub(super) local: HashMap<VaultPath, Local>,
    pub(super) unapplied: Vec<Unapplied>,
    unusable: Vec<Unapplied>,
    doubted: HashSet<VaultPath>,
    pub(super) basis: Basis,
    pub(super) mode: Mode,
    folding: Folding,
    spec: FilterSpec,
}

pub(super) fn path(text: &str) -> VaultPath {
    VaultPath::parse(text).unwrap()
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            records: Vec::new(),
            entries: HashMap::new(),
            local: HashMap::new(),
            unapplied: Vec::new(),
            unusable: Vec::new(),
            doubted: HashSet::new(),
            basis: Basis::Changes,
            mode: Mode::Pull,
            folding: Folding::default(),
            spec: FilterSpec::default(),
        }
    }

    pub(super) fn plan(&self) -> Plan {
        let filter = Filter::new(self.spec.clone()).unwrap();
        let check_path = |path: &VaultPath| match path.as_str().contains("unholdable") {
            true => Err(PathProblem::Unholdable("by this test".into())),
            false => Ok(()),
        };
        // As a look at the destination tells it.
        let mut local = self.local.clone();
        for (path, entry) in &self.entries {
            let told = local.entry(path.clone()).or_insert(Local::Absent);
            let same = match entry {
                Entry::File(file) => *told == Local::Ours(file.stamp.clone()),
                Entry::Folder { .. } => *told == Local::Folder,
            };
            if same {
                local.remove(path);
            }
        }
        plan(&Input {
            records: &self.records,
            basis: self.basis,
            unusable: &self.unusable,
            cleared: &[],
            entries: &self.entries,
            unapplied: &self.unapplied,
            local: &local,
            doubted: &self.doubted,
            filter: &filter,
            mode: self.mode,
            folding: self.folding,
            check_path: &check_path,
        })
    }

    /// The vault: a file's record.
    pub(super) fn file(self, uid: u64, name: &str, content: &str) -> Self {
        self.record(uid, name, Change::File(remote(content)))
    }

    /// The vault: a folder's record.
    pub(super) fn folder(self, uid: u64, name: &str) -> Self {
        self.record(uid, name, Change::Folder)
    }

    /// The vault: a deleted file's record.
    pub(super) fn deleted(self, uid: u64, name: &str) -> Self {
        self.record(uid, name, Change::Deleted { folder: false })
    }

    /// The vault: a deleted folder's record.
    pub(super) fn deleted_folder(self, uid: u64, name: &str) -> Self {
        self.record(uid, name, Change::Deleted { folder: true })
    }

    /// The vault: a record of which nothing can be used.
    pub(super) fn nonsense(mut self, uid: u64, name: &str) -> Self {
        self.unusable.push(Unapplied {
            name: name.to_owned(),
            uid: Uid(uid),
            kind: UnappliedKind::Skipped,
            message: "no hash".to_owned(),
            attempts: 0,
            record: None,
        });
        self
    }

    fn record(mut self, uid: u64, name: &str, change: Change) -> Self {
        self.records.retain(|record| record.path.as_str() != name);
        self.records.push(Record {
            uid: Uid(uid),
            path: path(name),
            change,
        });
        self
    }

    /// State and destination: a file that an earlier run brought.
    pub(super) fn synced(mut self, uid: u64, name: &str, content: &str) -> Self {
        let hash = ContentHash::of(content.as_bytes());
        let stamp = Stamp(format!("{name}={content}"));
        let size = content.len() as u64;
        let file = FileEntry {
            uid: Uid(uid),
            hash,
            size,
            mtime: Millis(0),
            stamp: stamp.clone(),
        };
        self.entries.insert(path(name), Entry::File(file));
        self.local.insert(path(name), Local::Ours(stamp));
        self
    }

    /// State and destination: a folder that an earlier run made.
    pub(super) fn synced_folder(mut self, uid: u64, name: &str) -> Self {
        self.entries
            .insert(path(name), Entry::Folder { uid: Uid(uid) });
        self.local_folder(name)
    }

    /// The destination: a file that obsync did not write, or an edit.
    pub(super) fn local(mut self, name: &str, content: &str) -> Self {
        let hash = ContentHash::of(content.as_bytes());
        let stamp = Stamp(format!("{name}={content}"));
        self.local.insert(path(name), Local::Other { hash, stamp });
        self
    }

    /// The destination: a folder.
    pub(super) fn local_folder(mut self, name: &str) -> Self {
        self.local.insert(path(name), Local::Folder);
        self
    }

    /// The destination: nothing.
    pub(super) fn gone(mut self, name: &str) -> Self {
        self.local.remove(&path(name));
        self
    }

    /// The destination: something that must not be touched.
    pub(super) fn foreign(mut self, name: &str, what: &str) -> Self {
        self.local
            .insert(path(name), Local::Foreign(what.to_owned()));
        self
    }

    /// The destination: a file that can't be read.
    pub(super) fn unreadable(mut self, name: &str) -> Self {
        self.local.insert(
            path(name),
            Local::Unreadable("permission denied".to_owned()),
        );
        self
    }

    /// The state's word is not taken for what is at this path.
    pub(super) fn doubting(mut self, name: &str) -> Self {
        self.doubted.insert(path(name));
        self
    }

    pub(super) fn whole(mut self) -> Self {
        self.basis = Basis::Whole;
        self
    }

    pub(super) fn mirror(mut self) -> Self {
        self.mode = Mode::Mirror;
        self
    }

    pub(super) fn folding(mut self, folding: Folding) -> Self {
        self.folding = folding;
        self
    }

    pub(super) fn exclude(mut self, folder: &str) -> Self {
        self.spec.excluded_folders.push(folder.to_owned());
        self
    }

    pub(super) fn include(mut self, glob: &str) -> Self {
        self.spec.include.push(glob.to_owned());
        self
    }

    /// Ends this run and begins the next: what was listed stays listed, the records are taken in.
    pub(super) fn remember(mut self) -> Self {
        let plan = self.plan();
        self.unapplied
            .retain(|item| !plan.unlist.contains(&item.name));
        for item in plan.list {
            self.unapplied.retain(|old| old.name != item.name);
            self.unapplied.push(item);
        }
        self.records.clear();
        self.unusable.clear();
        self
    }

    /// Gives the next run the records that are to be tried again.
    pub(super) fn retried(mut self) -> Self {
        let again = self.unapplied.iter();
        self.records
            .extend(again.filter_map(|item| item.record.clone()));
        self.records.sort_by_key(|record| record.uid);
        self
    }

    /// Ends this run with all its files failed.
    pub(super) fn fail_remembered(mut self) -> Self {
        for record in std::mem::take(&mut self.records) {
            self.unapplied.push(Unapplied {
                name: record.path.as_str().to_owned(),
                uid: record.uid,
                kind: UnappliedKind::Failed,
                message: "the network".to_owned(),
                attempts: 1,
                record: Some(record),
            });
        }
        self
    }

    pub(super) fn stamp(&self, name: &str) -> Stamp {
        match &self.entries[&path(name)] {
            Entry::File(file) => file.stamp.clone(),
            Entry::Folder { .. } => panic!("{name} is a folder"),
        }
    }
}

pub(super) fn remote(content: &str) -> RemoteFile {
    let sealed_size = if content.is_empty() {
        0
    } else {
        content.len() as u64 + 28
    };
    RemoteFile {
        hash: ContentHash::of(content.as_bytes()),
        sealed_size,
        mtime: Millis(0),
        ctime: Millis(0),
    }
}
