//! What to do, decided before anything is done: records + state + local files → actions.
//!
//! [`plan`] is pure. `--dry-run` prints its result and a sync executes it, so that both always tell
//! the same story. The order in which a [`Plan`]'s parts are applied is the order of its fields:
//! room is made first, deletions come last.

mod decide;
mod here;
mod listing;
mod mirror;
mod names;
mod reuse;
mod steps;

use std::collections::{HashMap, HashSet};

use obsidian_sync::{Millis, Uid};
use serde::{Deserialize, Serialize};

use crate::filter::Filter;
use crate::path::{PathProblem, VaultPath};
use crate::record::{Record, RemoteFile};
use crate::state::{Entry, Unapplied, UnappliedKind};
use crate::store::{FileMeta, Folding, Retire, Stamp};

use here::Here;
pub use here::Local;
pub(crate) use names::Names;
pub(crate) use reuse::group;
pub use steps::Step;

/// What the destination is to become.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Bring the vault's changes; local edits and extra files are never lost.
    #[default]
    Pull,
    /// Make the destination what the vault is.
    Mirror,
}

/// What a set of records stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// What changed since the state's cursor.
    Changes,
    /// The vault as it stands: what is not among the records is not in the vault.
    Whole,
}

/// All that a plan depends on.
pub struct Input<'a> {
    /// Records to take in: the last one of each path, ascending by uid.
    pub records: &'a [Record],
    /// What they stand for.
    pub basis: Basis,
    /// The last records of names of which nothing can be used: what is under such a name stays.
    pub unusable: &'a [Unapplied],
    /// Names that nothing could be made of and that the vault has no longer.
    pub cleared: &'a [String],
    /// The state's entries.
    pub entries: &'a HashMap<VaultPath, Entry>,
    /// Records listed by earlier runs as not applied.
    pub unapplied: &'a [Unapplied],
    /// What is otherwise than the entries say: at the path of each record, with the whole vault at
    /// that of every entry, and for a mirror at every path there is. A path that is not told is as its
    /// entry has it; without an entry, nothing is there.
    pub local: &'a HashMap<VaultPath, Local>,
    /// Paths that are to be mended: the vault's content comes to them also where only the local one
    /// changed.
    pub doubted: &'a HashSet<VaultPath>,
    /// What is synced.
    pub filter: &'a Filter,
    /// What the destination is to become.
    pub mode: Mode,
    /// Which names fold together at the destination.
    pub folding: Folding,
    /// Whether the destination can hold a name.
    pub check_path: &'a (dyn Fn(&VaultPath) -> Result<(), PathProblem> + Sync),
}

/// What a run will do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// State only: already right at the destination.
    pub adopt: Vec<(VaultPath, Entry)>,
    /// State only: gone on both sides, or no longer ours.
    pub forget: Vec<VaultPath>,
    /// Records that can't be applied, new or changed since they were last listed.
    pub list: Vec<Unapplied>,
    /// Names to take off the list of those.
    pub unlist: Vec<String>,
    /// Local files that stay although the vault deleted them, with the record that did.
    pub kept: Vec<(VaultPath, Uid)>,
    /// How many records the user's filter left out.
    pub hidden: u64,
    /// What must go first, because something else takes its place.
    pub clear: Vec<Clear>,
    /// Folders to create, shallow ones first.
    pub folders: Vec<(VaultPath, Uid)>,
    /// Files whose content is already at the destination.
    pub reuse: Vec<Reuse>,
    /// Files to fetch, by uid.
    pub downloads: Vec<Download>,
    /// Files to remove.
    pub removals: Vec<Removal>,
    /// Folders to remove where they are empty, deep ones first.
    pub folder_removals: Vec<(VaultPath, Uid)>,
}

/// Something that stands where something else must come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clear {
    /// A file to remove.
    File(Removal),
    /// A folder to remove if it is empty by then.
    Folder(VaultPath, Uid),
    /// A local file where the vault has a folder: moved to a free name beside it.
    SetAside(VaultPath, Uid),
}

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub path: VaultPath,
    /// The record it comes from.
    pub uid: Uid,
    /// The content.
    pub file: RemoteFile,
    /// What it replaces.
    pub over: Over,
}

/// What a new file replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// Nothing.
    Nothing,
    /// The vault's own earlier content, unchanged since it was written.
    Ours(Stamp),
    /// Local content: `pull` keeps it as a conflicted copy, `mirror` in the trash.
    Local(Stamp),
}

/// A file to fetch from the service, for one or more paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// The file.
    pub target: Target,
    /// Other paths that get the same content.
    pub also: Vec<Target>,
}

/// A file whose content is already at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reuse {
    /// The file.
    pub target: Target,
    /// Where its content is.
    pub from: VaultPath,
    /// The state of that file.
    pub from_stamp: Stamp,
    /// The deletion that makes this a move; `None` for a copy.
    pub moved_by: Option<Uid>,
}

/// A file to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Where.
    pub path: VaultPath,
    /// The record that says so; for a file that is merely extra, 0.
    pub uid: Uid,
    /// What must be there.
    pub stamp: Stamp,
    /// Where it goes.
    pub retire: Retire,
}

impl Target {
    /// The plaintext size in bytes.
    pub fn size(&self) -> u64 {
        self.file
            .sealed_size
            .saturating_sub(obsidian_sync::crypto::SEAL_OVERHEAD)
    }

    /// What the store is to know of the file.
    pub fn meta(&self) -> FileMeta {
        FileMeta {
            uid: self.uid,
            hash: self.file.hash,
            size: self.size(),
            mtime: self.file.mtime,
            ctime: self.file.ctime,
        }
    }
}

impl Mode {
    /// Where content goes that is removed or replaced.
    pub fn retire(self) -> Retire {
        match self {
            Self::Pull => Retire::Discard,
            Self::Mirror => Retire::Trash,
        }
    }
}

impl Plan {
    /// Whether the destination's files stay as they are.
    pub fn touches_no_file(&self) -> bool {
        self.clear.is_empty()
            && self.folders.is_empty()
            && self.reuse.is_empty()
            && self.downloads.is_empty()
            && self.removals.is_empty()
            && self.folder_removals.is_empty()
    }

    /// How many files would be deleted: what `--max-delete` counts. Moves are no deletions.
    pub fn deletions(&self) -> u64 {
        let cleared = self
            .clear
            .iter()
            .filter(|clear| matches!(clear, Clear::File(_)))
            .count();
        (cleared + self.removals.len()) as u64
    }

    /// Every uid that waits for an action; a cursor may not pass any of them.
    pub fn outstanding(&self) -> impl Iterator<Item = Uid> {
        let clear = self.clear.iter().map(|clear| match clear {
            Clear::File(removal) => removal.uid,
            Clear::Folder(_, uid) | Clear::SetAside(_, uid) => *uid,
        });
        let folders = self.folders.iter().map(|(_, uid)| *uid);
        let reuse = self
            .reuse
            .iter()
            .flat_map(|r| [Some(r.target.uid), r.moved_by])
            .flatten();
        let downloads = self
            .downloads
            .iter()
            .flat_map(|d| std::iter::once(&d.target).chain(&d.also))
            .map(|target| target.uid);
        let removals = self.removals.iter().map(|removal| removal.uid);
        let folder_removals = self.folder_removals.iter().map(|(_, uid)| *uid);
        clear
            .chain(folders)
            .chain(reuse)
            .chain(downloads)
            .chain(removals)
            .chain(folder_removals)
    }
}

/// Decides what to do. Pure: equal inputs give equal plans.
pub fn plan(input: &Input<'_>) -> Plan {
    let mut plan = Plan::default();
    let listing = listing::Listing::new(input);
    let names = names::Names::new(input, &listing);
    let mut decider = decide::Decider::new(input, &names, listing, &mut plan);
    for record in input.records {
        decider.record(record);
    }
    decider.unusable();
    if input.basis == Basis::Whole {
        decider.missing_from_the_whole();
    }
    let (decided, mut listing) = decider.finish();
    if input.mode == Mode::Mirror {
        mirror::complete(input, &decided, &mut listing, &mut plan);
    }
    reuse::find(input, &names, &mut plan);
    order(&mut plan, input.unapplied);
    plan
}

/// Puts every part into the order in which it must be applied.
fn order(plan: &mut Plan, unapplied: &[Unapplied]) {
    let room: HashSet<VaultPath> = plan
        .clear
        .iter()
        .filter_map(|clear| match clear {
            Clear::Folder(path, _) => Some(path.clone()),
            _ => None,
        })
        .collect();
    let above_new = match plan.removals.is_empty() {
        true => HashSet::new(),
        false => folders_above_what_is_new(plan),
    };
    // What lies below a place that must become free has to go before it, and a file whose place a
    // folder takes before what comes into that folder; all else is deleted at the end.
    let inside = |path: &VaultPath| path.ancestors().any(|above| room.contains(&above));
    let first = |path: &VaultPath| above_new.contains(path) || inside(path);
    for removal in plan.removals.extract_if(.., |removal| first(&removal.path)) {
        plan.clear.push(Clear::File(removal));
    }
    for (path, uid) in plan
        .folder_removals
        .extract_if(.., |(path, _)| inside(path))
    {
        plan.clear.push(Clear::Folder(path, uid));
    }
    // A folder that is cleared anyway is not removed a second time.
    plan.folder_removals
        .retain(|(path, _)| !room.contains(path));
    plan.clear.sort_by_key(|clear| match clear {
        Clear::File(removal) => (0, 0, removal.path.clone()),
        Clear::SetAside(path, _) => (0, 0, path.clone()),
        Clear::Folder(path, _) => (1, usize::MAX - path.depth(), path.clone()),
    });
    plan.folders.sort_by_key(|(path, uid)| (path.depth(), *uid));
    // What the last run could not finish gets all of this one's time; what failed before holds
    // nothing else up.
    let listed: HashMap<(&str, Uid), UnappliedKind> = unapplied
        .iter()
        .map(|item| ((item.name.as_str(), item.uid), item.kind))
        .collect();
    plan.downloads.sort_by_key(|download| {
        let Target { path, uid, .. } = &download.target;
        let rank = match listed.get(&(path.as_str(), *uid)) {
            Some(UnappliedKind::Unfinished) => 0,
            None | Some(UnappliedKind::Skipped) => 1,
            Some(UnappliedKind::Failed) => 2,
        };
        (rank, *uid)
    });
    plan.removals
        .sort_by(|a, b| (a.uid, &a.path).cmp(&(b.uid, &b.path)));
    plan.folder_removals
        .sort_by(|(a, _), (b, _)| b.depth().cmp(&a.depth()).then(a.cmp(b)));
    plan.adopt.sort_by(|(a, _), (b, _)| a.cmp(b));
    plan.forget.sort();
}

fn folders_above_what_is_new(plan: &Plan) -> HashSet<VaultPath> {
    let downloads = plan
        .downloads
        .iter()
        .flat_map(|d| std::iter::once(&d.target).chain(&d.also));
    let reused = plan.reuse.iter().map(|reuse| &reuse.target);
    let files = downloads.chain(reused).map(|target| &target.path);
    let folders = plan.folders.iter().map(|(path, _)| path);
    files
        .chain(folders)
        .flat_map(VaultPath::ancestors)
        .collect()
}

/// The name under which local content is kept when the vault's takes its path (protocol section 6).
///
/// `attempt` counts from 0; later ones add a number, for when the name is taken.
pub fn conflict_name(path: &VaultPath, device: &str, now: Millis, attempt: u32) -> VaultPath {
    let stamp = jiff::Timestamp::from_millisecond(now.0)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .strftime("%Y%m%d%H%M")
        .to_string();
    let device: String = device
        .chars()
        .map(|c| if c == '/' || c.is_control() { '-' } else { c })
        .collect();
    names::beside(path, &format!("Conflicted copy {device} {stamp}"), attempt)
}

/// The name of a local file that makes way for a folder of the vault (protocol section 6).
pub fn aside_name(path: &VaultPath, attempt: u32) -> VaultPath {
    names::beside(path, "Conflicted copy", attempt)
}

#[cfg(test)]
mod tests;
