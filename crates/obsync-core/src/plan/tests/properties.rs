//! What holds for every plan, whatever the world.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;

use super::world::{World, path};
use crate::path::VaultPath;
use crate::plan::{Basis, Clear, Local, Mode, Over, Plan, Target, conflict_name};
use crate::record::Change;
use crate::state::Entry;
use obsidian_sync::{ContentHash, Millis};

const NAMES: [&str; 8] = [
    "a", "b.md", "c", "a/x.md", "a/y.md", "c/z.md", "d.md", ".git/x",
];
const CONTENTS: [&str; 4] = ["", "one", "two", "three"];

/// What one path goes through: what was synced, what is there now, what the vault says.
#[derive(Debug, Clone)]
struct Fate {
    name: usize,
    synced: Option<usize>,
    local: u8,
    remote: u8,
    content: usize,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let one = (
        0..NAMES.len(),
        proptest::option::of(0..CONTENTS.len()),
        0..4_u8,
        0..4_u8,
        0..CONTENTS.len(),
    )
        .prop_map(|(name, synced, local, remote, content)| Fate {
            name,
            synced,
            local,
            remote,
            content,
        });
    proptest::collection::vec(one, 0..8)
}

fn world(fates: &[Fate], whole: bool, mirror: bool) -> World {
    let mut world = World::new();
    let mut seen = HashSet::new();
    for (index, fate) in fates.iter().enumerate() {
        let name = NAMES[fate.name];
        // One fate per path, and no path that is both a file and a folder at the destination.
        if !seen.insert(name) {
            continue;
        }
        let uid = index as u64 * 2 + 1;
        if let Some(content) = fate.synced {
            world = world.synced(uid, name, CONTENTS[content]);
        }
        world = match fate.local {
            0 => world.gone(name),
            1 => world.local(name, "edited behind our back"),
            2 => world.local(name, CONTENTS[fate.content]),
            _ => world,
        };
        world = match fate.remote {
            0 => world.deleted(100 + uid, name),
            1 => world.folder(100 + uid, name),
            2 => world.file(100 + uid, name, CONTENTS[fate.content]),
            _ => world,
        };
    }
    if whole {
        world = world.whole();
    }
    if mirror {
        world = world.mirror();
    }
    world
}

/// What the destination holds after a plan is applied by a simple-minded executor, which refuses
/// whatever a real store would refuse.
fn apply(world: &World, plan: &Plan) -> BTreeMap<String, ContentHash> {
    let mut files: BTreeMap<VaultPath, ContentHash> = BTreeMap::new();
    for (path, local) in &world.local {
        match local {
            Local::Other { hash, .. } => {
                files.insert(path.clone(), *hash);
            }
            Local::Ours(_) => {
                if let Some(Entry::File(file)) = world.entries.get(path) {
                    files.insert(path.clone(), file.hash);
                }
            }
            _ => {}
        }
    }
    for clear in &plan.clear {
        match clear {
            Clear::File(removal) => {
                assert!(
                    files.remove(&removal.path).is_some(),
                    "clears what is there"
                );
            }
            Clear::SetAside(path, _) => {
                let hash = files.remove(path).expect("sets aside what is there");
                files.insert(crate::plan::aside_name(path, 0), hash);
            }
            Clear::Folder(..) => {}
        }
    }
    let place = |files: &mut BTreeMap<VaultPath, ContentHash>, target: &Target| {
        if let Over::Local(_) = target.over
            && world.mode == Mode::Pull
            && let Some(hash) = files.remove(&target.path)
        {
            files.insert(conflict_name(&target.path, "test", Millis(0), 0), hash);
        }
        files.insert(target.path.clone(), target.file.hash);
    };
    for reuse in &plan.reuse {
        // A source that nobody looked at may turn out to be gone: then the content is fetched.
        match files.get(&reuse.from) {
            Some(hash) => assert_eq!(*hash, reuse.target.file.hash, "reuses the right content"),
            None => assert!(reuse.moved_by.is_none(), "moves what is there"),
        }
        if reuse.moved_by.is_some() {
            files.remove(&reuse.from);
        }
        place(&mut files, &reuse.target);
    }
    for target in plan
        .downloads
        .iter()
        .flat_map(|d| std::iter::once(&d.target).chain(&d.also))
    {
        place(&mut files, target);
    }
    for removal in &plan.removals {
        assert!(
            files.remove(&removal.path).is_some(),
            "removes what is there"
        );
    }
    files
        .into_iter()
        .map(|(path, hash)| (path.as_str().to_owned(), hash))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Invariant 3: in `pull`, every content that did not come from the server is still there.
    #[test]
    fn pull_loses_no_local_content(fates in fates(), whole: bool) {
        let world = world(&fates, whole, false);
        let after: HashSet<ContentHash> = apply(&world, &world.plan()).into_values().collect();
        for (path, local) in &world.local {
            if let Local::Other { hash, .. } = local {
                prop_assert!(after.contains(hash), "{path:?} was lost");
            }
        }
    }

    /// Every live record that may be written is at its path afterwards, or, in `pull`, an edit of that very
    /// content.
    #[test]
    fn the_vaults_files_arrive(fates in fates(), whole: bool, mirror: bool) {
        let world = world(&fates, whole, mirror);
        let after = apply(&world, &world.plan());
        for record in &world.records {
            if let Change::File(file) = &record.change
                && !record.path.as_str().starts_with('.')
            {
                let entry = world.entries.get(&record.path).and_then(Entry::file);
                let same = entry.is_some_and(|entry| entry.hash == file.hash);
                if let Some(Local::Other { hash, .. }) = world.local.get(&record.path)
                    && same
                    && !mirror
                {
                    prop_assert_eq!(after.get(record.path.as_str()), Some(hash));
                    continue;
                }
                prop_assert_eq!(after.get(record.path.as_str()), Some(&file.hash));
            }
        }
    }

    /// A mirror of the whole vault holds the vault's files, and nothing else that it may touch.
    #[test]
    fn a_mirror_is_the_vault(fates in fates()) {
        let world = world(&fates, true, true);
        let after = apply(&world, &world.plan());
        let vault: HashMap<&str, ContentHash> = world
            .records
            .iter()
            .filter_map(|record| match &record.change {
                Change::File(file) if !record.path.as_str().starts_with('.') => {
                    Some((record.path.as_str(), file.hash))
                }
                _ => None,
            })
            .collect();
        for (name, hash) in after.iter().filter(|(name, _)| !name.starts_with('.')) {
            prop_assert_eq!(vault.get(name.as_str()), Some(hash), "{}", name);
        }
    }

    /// Nothing that obsync did not write is deleted in `pull`, and no path is acted on twice.
    #[test]
    fn pull_deletes_only_its_own(fates in fates(), whole: bool) {
        let world = world(&fates, whole, false);
        let plan = world.plan();
        let mut removed = HashSet::new();
        let cleared = plan.clear.iter().filter_map(|clear| match clear {
            Clear::File(removal) => Some(removal),
            _ => None,
        });
        for removal in plan.removals.iter().chain(cleared) {
            let ours = matches!(world.local.get(&removal.path), Some(Local::Ours(_)));
            prop_assert!(ours, "{:?}", removal.path);
            prop_assert!(removed.insert(removal.path.clone()));
        }
    }

    /// Equal inputs give equal plans, whatever the order of a map.
    #[test]
    fn plans_are_reproducible(fates in fates(), whole: bool, mirror: bool) {
        let one = world(&fates, whole, mirror);
        let mut two = one.clone();
        two.entries = one.entries.clone().into_iter().collect();
        two.local = one.local.clone().into_iter().collect();
        prop_assert_eq!(one.plan(), two.plan());
    }

    /// Dot-names are never written, moved to, or created.
    #[test]
    fn dot_names_are_never_touched(fates in fates(), whole: bool, mirror: bool) {
        let world = world(&fates, whole, mirror);
        let plan = world.plan();
        let forbidden = path(".git/x");
        prop_assert!(plan.downloads.iter().all(|d| d.target.path != forbidden));
        prop_assert!(plan.reuse.iter().all(|r| r.target.path != forbidden));
        prop_assert!(plan.removals.iter().all(|r| r.path != forbidden));
        prop_assert!(world.basis == Basis::Changes || plan.folders.iter().all(|(p, _)| *p != forbidden));
    }
}
