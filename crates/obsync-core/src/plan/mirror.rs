//! What `mirror` adds: files that are extra go, files that are missing or edited come back.

use std::collections::HashSet;

use obsidian_sync::crypto::SEAL_OVERHEAD;
use obsidian_sync::{Millis, Uid};

use super::listing::Listing;
use super::{Clear, Download, Here, Input, Local, Over, Plan, Removal, Target};
use crate::filter::Verdict;
use crate::path::VaultPath;
use crate::record::{Change, Record, RemoteFile};
use crate::state::{Entry, FileEntry};
use crate::store::Retire;

/// A file that no record deleted but that is not in the vault.
const EXTRA: Uid = Uid(0);

pub(super) fn complete<'a>(
    input: &'a Input<'a>,
    decided: &HashSet<&VaultPath>,
    listing: &mut Listing<'a>,
    plan: &mut Plan,
) {
    restore(input, decided, listing, plan);
    remove_extras(input, listing, plan);
}

/// Brings back what the vault has and the destination has not, or not so.
fn restore<'a>(
    input: &'a Input<'a>,
    decided: &HashSet<&VaultPath>,
    listing: &mut Listing<'a>,
    plan: &mut Plan,
) {
    // What is not told is as it should be.
    let told = input.local.keys();
    let told = told.filter(|path| !decided.contains(path) && !listing.spares(path.as_str()));
    let mut told: Vec<_> = told
        .filter_map(|path| Some((path, input.entries.get(path)?)))
        .filter(|(path, entry)| {
            let folder = entry.file().is_none();
            input.filter.verdict(path, folder) == Verdict::Sync
        })
        .collect();
    told.sort_by_key(|(path, _)| *path);
    let folders: HashSet<String> = match input.folding.any() {
        true => folder_keys(input),
        false => HashSet::new(),
    };
    for (path, entry) in told {
        match (entry, input.at(path)) {
            // Two folders of the vault that are one folder here.
            (Entry::Folder { .. }, Here::Absent) if folders.contains(&input.folding.key(path)) => {}
            (Entry::File(_), Here::Ours(_)) | (Entry::Folder { .. }, Here::Folder) => {}
            (entry, Here::Foreign(what)) => {
                let (record, why) = (record(path, entry), format!("{what} is in the way"));
                listing.skip(plan, path.as_str(), &record, why, true);
            }
            (entry, Here::Unreadable(why)) => {
                listing.fail(plan, path.as_str(), record(path, entry), why.to_owned());
            }
            (Entry::Folder { uid }, found) => {
                if let Here::Other { stamp, .. } | Here::Ours(stamp) = found {
                    let removal = Removal {
                        path: path.clone(),
                        uid: EXTRA,
                        stamp: stamp.clone(),
                        retire: Retire::Trash,
                    };
                    plan.clear.push(Clear::File(removal));
                }
                plan.folders.push((path.clone(), *uid));
            }
            (Entry::File(file), found) => {
                let over = match found {
                    Here::Other { stamp, .. } => Over::Local(stamp.clone()),
                    Here::Folder => {
                        plan.clear.push(Clear::Folder(path.clone(), EXTRA));
                        Over::Nothing
                    }
                    _ => Over::Nothing,
                };
                let target = Target {
                    path: path.clone(),
                    uid: file.uid,
                    file: remote(file),
                    over,
                };
                plan.downloads.push(Download {
                    target,
                    also: Vec::new(),
                });
            }
        }
    }
}

fn folder_keys(input: &Input<'_>) -> HashSet<String> {
    let told = input.local.keys();
    let all = told.chain(input.entries.keys());
    let folders = all.filter(|path| input.at(path) == Here::Folder);
    folders.map(|path| input.folding.key(path)).collect()
}

/// The record that an entry comes from, as far as the state remembers it.
fn record(path: &VaultPath, entry: &Entry) -> Record {
    Record {
        uid: entry.uid(),
        path: path.clone(),
        change: match entry {
            Entry::Folder { .. } => Change::Folder,
            Entry::File(file) => Change::File(remote(file)),
        },
    }
}

fn remote(file: &FileEntry) -> RemoteFile {
    let sealed_size = match file.size {
        0 => 0,
        size => size.saturating_add(SEAL_OVERHEAD),
    };
    RemoteFile {
        hash: file.hash,
        sealed_size,
        mtime: file.mtime,
        ctime: Millis(0),
    }
}

/// Removes what the vault has not, as far as the filter lets it see.
fn remove_extras(input: &Input<'_>, listing: &Listing<'_>, plan: &mut Plan) {
    let forgotten: HashSet<&VaultPath> = plan.forget.iter().collect();
    let mut gone: HashSet<&VaultPath> = plan.removals.iter().map(|removal| &removal.path).collect();
    gone.extend(plan.folder_removals.iter().map(|(path, _)| path));
    let stays = |path: &VaultPath| input.entries.contains_key(path) && !forgotten.contains(path);
    if input
        .local
        .keys()
        .all(|path| gone.contains(path) || stays(path))
    {
        return;
    }
    // Everything the vault has, also what this run could not bring: a file that failed is no extra.
    let mut live: HashSet<VaultPath> = input
        .entries
        .iter()
        .filter(|(path, _)| !gone.contains(path) && !forgotten.contains(path))
        // What is hidden and was removed does not come back.
        .filter(|(path, entry)| {
            let folder = entry.file().is_none();
            input.at(path) != Here::Absent || input.filter.verdict(path, folder) == Verdict::Sync
        })
        .map(|(path, _)| path.clone())
        .collect();
    for record in input.records {
        // What the filter hides protects nothing but itself: the next run has no record of it.
        if !matches!(record.change, Change::Deleted { .. })
            && input.filter.verdict(&record.path, record.is_folder()) == Verdict::Sync
        {
            live.insert(record.path.clone());
        }
    }
    live.extend(
        listing
            .names()
            .filter_map(|name| VaultPath::parse(name).ok()),
    );
    // What stays whatever the vault says keeps the folders above it.
    let stays = |path: &VaultPath, local: &Local| match local {
        Local::Foreign(_) | Local::Unreadable(_) => true,
        Local::Absent => false,
        Local::Folder => input.filter.verdict(path, true) != Verdict::Sync,
        Local::Ours(_) | Local::Other { .. } => input.filter.verdict(path, false) != Verdict::Sync,
    };
    let staying = input
        .local
        .iter()
        .filter(|(path, local)| stays(path, local))
        .flat_map(|(path, _)| path.ancestors());
    let above: HashSet<VaultPath> = live
        .iter()
        .flat_map(VaultPath::ancestors)
        .chain(staying)
        .collect();
    let folded: HashSet<String> = if input.folding.any() {
        live.iter()
            .chain(&above)
            .map(|path| input.folding.key(path))
            .collect()
    } else {
        HashSet::new()
    };

    let cleared: HashSet<VaultPath> = plan
        .clear
        .iter()
        .map(|clear| match clear {
            Clear::File(removal) => removal.path.clone(),
            Clear::Folder(path, _) | Clear::SetAside(path, _) => path.clone(),
        })
        .collect();
    let gone: HashSet<VaultPath> = gone.into_iter().cloned().collect();
    let mut extras: Vec<_> = input
        .local
        .iter()
        .filter(|(path, _)| !live.contains(path) && !gone.contains(path) && !cleared.contains(path))
        .filter(|(path, _)| folded.is_empty() || !folded.contains(&input.folding.key(path)))
        .collect();
    extras.sort_by_key(|(path, _)| *path);
    for (path, local) in extras {
        match local {
            Local::Other { stamp, .. } | Local::Ours(stamp)
                if input.filter.verdict(path, false) == Verdict::Sync =>
            {
                plan.removals.push(Removal {
                    path: path.clone(),
                    uid: EXTRA,
                    stamp: stamp.clone(),
                    retire: Retire::Trash,
                });
            }
            Local::Folder
                if !above.contains(path) && input.filter.verdict(path, true) == Verdict::Sync =>
            {
                plan.folder_removals.push((path.clone(), EXTRA));
            }
            _ => {}
        }
    }
}
