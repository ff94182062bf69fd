//! Content that is at the destination already: renames are moved, duplicates copied.

use std::collections::{HashMap, HashSet, hash_map};

use obsidian_sync::ContentHash;

use super::names::Names;
use super::{Clear, Download, Here, Input, Over, Plan, Reuse};
use crate::path::VaultPath;
use crate::state::Entry;
use crate::store::Stamp;

pub(super) fn find(input: &Input<'_>, names: &Names<'_>, plan: &mut Plan) {
    let wanted: HashSet<ContentHash> = plan
        .downloads
        .iter()
        .map(|download| download.target.file.hash)
        .collect();
    if wanted.is_empty() {
        clear_old_spellings(input, names, plan);
        return;
    }
    let mut leaving = leaving_files(input, names, plan, &wanted);
    let staying = staying_files(input, plan, &wanted);
    let repeated = wanted.len() < plan.downloads.len();
    drop(wanted);
    // A first sync has nothing to reuse, and the most to plan: its tables are not copied.
    if leaving.is_empty() && staying.is_empty() {
        clear_old_spellings(input, names, plan);
        if repeated {
            plan.downloads = group(std::mem::take(&mut plan.downloads));
        }
        return;
    }

    let mut downloads = Vec::new();
    let mut moved = HashSet::new();
    for download in std::mem::take(&mut plan.downloads) {
        let target = download.target;
        let hash = target.file.hash;
        let from_leaving = leaving.get_mut(&hash).and_then(|sources| {
            // A new spelling of the same name can only come from the old spelling.
            let respelled = names.respelled(&target.path);
            let at = match respelled {
                Some(old) => sources.iter().position(|(path, ..)| path == old)?,
                None => 0,
            };
            // A file can't be moved to below itself: it has to go first.
            let possible = target.over == Over::Nothing
                && sources
                    .get(at)
                    .is_some_and(|(path, ..)| !target.path.is_within(path.as_str()));
            possible.then(|| sources.remove(at))
        });
        if let Some((from, from_stamp, uid)) = from_leaving {
            moved.insert(from.clone());
            plan.reuse.push(Reuse {
                target,
                from,
                from_stamp,
                moved_by: Some(uid),
            });
        } else if let Some((from, from_stamp)) = staying.get(&hash)
            && target.file.sealed_size > 0
        {
            let (from, from_stamp) = (from.clone(), from_stamp.clone());
            plan.reuse.push(Reuse {
                target,
                from,
                from_stamp,
                moved_by: None,
            });
        } else {
            downloads.push(Download {
                target,
                also: Vec::new(),
            });
        }
    }
    plan.removals
        .retain(|removal| !moved.contains(&removal.path));
    plan.downloads = downloads;
    clear_old_spellings(input, names, plan);
    plan.downloads = group(std::mem::take(&mut plan.downloads));
}

type Leaving = HashMap<ContentHash, Vec<(VaultPath, Stamp, obsidian_sync::Uid)>>;

/// Our own files that this run removes: sources for moves.
fn leaving_files(
    input: &Input<'_>,
    names: &Names<'_>,
    plan: &Plan,
    wanted: &HashSet<ContentHash>,
) -> Leaving {
    let mut leaving = Leaving::new();
    let cleared: HashSet<&VaultPath> = plan
        .clear
        .iter()
        .filter_map(|clear| match clear {
            Clear::Folder(path, _) => Some(path),
            _ => None,
        })
        .collect();
    let folders = plan.folders.iter().map(|(path, _)| path);
    let respelled: HashSet<&VaultPath> = folders.filter_map(|path| names.respelled(path)).collect();
    for removal in &plan.removals {
        // What lies below a place that must become free, or stands in a folder's place under another
        // spelling, goes before anything is moved.
        let below = !cleared.is_empty()
            && removal
                .path
                .ancestors()
                .any(|above| cleared.contains(&above));
        if below || respelled.contains(&removal.path) {
            continue;
        }
        if let (Some(Entry::File(file)), Here::Ours(stamp)) =
            (input.entries.get(&removal.path), input.at(&removal.path))
            && wanted.contains(&file.hash)
        {
            let source = (removal.path.clone(), stamp.clone(), removal.uid);
            leaving.entry(file.hash).or_default().push(source);
        }
    }
    leaving
}

/// Our own files that stay as they are: sources for copies. The lowest path wins, for a plan that
/// does not depend on the order of a map.
fn staying_files(
    input: &Input<'_>,
    plan: &Plan,
    wanted: &HashSet<ContentHash>,
) -> HashMap<ContentHash, (VaultPath, Stamp)> {
    if input.entries.is_empty() {
        return HashMap::new();
    }
    let mut touched: HashSet<&VaultPath> = plan.downloads.iter().map(|d| &d.target.path).collect();
    touched.extend(plan.removals.iter().map(|removal| &removal.path));
    touched.extend(plan.forget.iter());
    touched.extend(plan.clear.iter().map(|clear| match clear {
        Clear::File(removal) => &removal.path,
        Clear::Folder(path, _) | Clear::SetAside(path, _) => path,
    }));
    let mut staying: HashMap<ContentHash, (VaultPath, Stamp)> = HashMap::new();
    for (path, entry) in input.entries {
        let Entry::File(file) = entry else { continue };
        if !wanted.contains(&file.hash) || touched.contains(path) {
            continue;
        }
        // Where nobody looked, the store checks stamp and hash when it copies.
        let Here::Ours(stamp) = input.at(path) else {
            continue;
        };
        match staying.entry(file.hash) {
            hash_map::Entry::Vacant(slot) => {
                slot.insert((path.clone(), stamp.clone()));
            }
            hash_map::Entry::Occupied(mut slot) => {
                if *path < slot.get().0 {
                    slot.insert((path.clone(), stamp.clone()));
                }
            }
        }
    }
    staying
}

/// Where names fold, the old spelling must be gone before new content comes under the new one.
fn clear_old_spellings(input: &Input<'_>, names: &Names<'_>, plan: &mut Plan) {
    if !input.folding.any() {
        return;
    }
    let copies = plan
        .reuse
        .iter()
        .filter(|r| r.moved_by.is_none())
        .map(|r| &r.target.path);
    let folders = plan.folders.iter().map(|(path, _)| path);
    let old: HashSet<&VaultPath> = plan
        .downloads
        .iter()
        .map(|download| &download.target.path)
        .chain(copies)
        .chain(folders)
        .filter_map(|path| names.respelled(path))
        .collect();
    for removal in plan
        .removals
        .extract_if(.., |removal| old.contains(&removal.path))
    {
        plan.clear.push(Clear::File(removal));
    }
    // Else the new spelling of an empty folder would be removed as the old one.
    for (path, uid) in plan
        .folder_removals
        .extract_if(.., |(path, _)| old.contains(path))
    {
        plan.clear.push(Clear::Folder(path, uid));
    }
}

/// Fetches each content once.
pub(crate) fn group(downloads: Vec<Download>) -> Vec<Download> {
    let mut grouped: Vec<Download> = Vec::with_capacity(downloads.len());
    let mut leaders: HashMap<ContentHash, usize> = HashMap::new();
    for download in downloads {
        match leaders.entry(download.target.file.hash) {
            hash_map::Entry::Occupied(leader) => grouped[*leader.get()].also.push(download.target),
            hash_map::Entry::Vacant(slot) => {
                slot.insert(grouped.len());
                grouped.push(download);
            }
        }
    }
    grouped
}
