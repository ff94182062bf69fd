//! What a destination must hold, said as simply as can be.
//!
//! The model knows what the vault holds, what obsync brought last, and what lay at the destination
//! before a run. It shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use obsync_core::filter::{FileType, FilterSpec};

/// The vault as it stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vault {
    /// Files with their records.
    pub(crate) files: BTreeMap<String, (u64, Bytes)>,
    /// Folders with their records.
    pub(crate) folders: BTreeMap<String, u64>,
}

/// What obsync brought to a path and what it should remember of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Brought {
    pub(crate) uid: u64,
    pub(crate) content: Bytes,
}

/// What obsync brought, and under which rules.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    /// Whether the destination can hold a name at all.
    pub(crate) holds: fn(&str) -> bool,
    /// Files by path.
    pub(crate) files: BTreeMap<String, Brought>,
    /// Folders by path.
    pub(crate) folders: BTreeMap<String, u64>,
    /// Whether it is a mirror.
    pub(crate) mirror: bool,
    /// Which filter is set.
    pub(crate) filter: u8,
}

/// Why a name of the vault is not at the destination, if it can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Synced,
    /// Left out by the user.
    Hidden,
    /// Never written; every report names it.
    Refused,
}

/// The spec of a filter.
pub(crate) fn spec(filter: u8) -> FilterSpec {
    match filter {
        1 => FilterSpec {
            excluded_folders: vec!["Private".into()],
            ..FilterSpec::default()
        },
        2 => FilterSpec {
            file_types: [FileType::Image].into(),
            ..FilterSpec::default()
        },
        3 => FilterSpec {
            configs: BTreeSet::new(),
            exclude: vec!["d/e".into()],
            ..FilterSpec::default()
        },
        _ => FilterSpec::default(),
    }
}

/// What is to become of a name under a filter.
pub(crate) fn seen(filter: u8, holds: fn(&str) -> bool, path: &str, folder: bool) -> Seen {
    if path == ".obsidian" && folder || path == ".obsidian/app.json" && !folder {
        return match filter {
            3 => Seen::Hidden,
            _ => Seen::Synced,
        };
    }
    let dots = path.split('/').any(|part| part.starts_with('.'));
    if dots {
        return Seen::Refused;
    }
    let below = |dir: &str| path == dir || path.starts_with(&format!("{dir}/"));
    let note = [".md", ".canvas", ".base"]
        .iter()
        .any(|end| path.ends_with(end));
    let hidden = match filter {
        1 => below("Private"),
        2 => !folder && !note && !path.ends_with(".png"),
        3 => below("d/e"),
        _ => false,
    };
    if hidden {
        Seen::Hidden
    } else if holds(path) {
        Seen::Synced
    } else {
        Seen::Refused
    }
}

/// What a run makes of a destination.
#[derive(Debug, Default)]
pub(crate) struct Prediction {
    /// Its files.
    pub(crate) files: BTreeMap<String, Bytes>,
    /// Local content that had to make way: it must be in a conflicted copy, or in the trash.
    pub(crate) displaced: Vec<Bytes>,
}

impl Copy {
    /// Nothing was brought yet.
    pub(crate) fn new(holds: fn(&str) -> bool) -> Self {
        Self {
            holds,
            files: BTreeMap::new(),
            folders: BTreeMap::new(),
            mirror: false,
            filter: 0,
        }
    }

    /// What is to become of a name.
    pub(crate) fn seen(&self, path: &str, folder: bool) -> Seen {
        seen(self.filter, self.holds, path, folder)
    }

    /// What a run that ends well makes of `before`. `whole` says that it compares everything.
    pub(crate) fn predict(
        &self,
        vault: &Vault,
        before: &BTreeMap<String, Bytes>,
        whole: bool,
    ) -> Prediction {
        let synced = |path: &str| self.seen(path, false) == Seen::Synced;
        let mut files = before.clone();
        let mut displaced = Vec::new();
        let is_ours = |path: &str, content: &Bytes| {
            self.files
                .get(path)
                .is_some_and(|brought| brought.content == *content)
        };
        for (path, brought) in &self.files {
            let gone = !vault.files.contains_key(path) && synced(path);
            if gone && before.get(path) == Some(&brought.content) {
                files.remove(path);
            }
        }
        for (path, uid) in &vault.folders {
            let changed = whole || self.mirror || self.folders.get(path) != Some(uid);
            if changed
                && self.seen(path, true) == Seen::Synced
                && let Some(content) = before.get(path)
            {
                files.remove(path);
                if !is_ours(path, content) {
                    displaced.push(content.clone());
                }
            }
        }
        for (path, (uid, content)) in &vault.files {
            // A restored service gives numbers away a second time.
            let same = |brought: &Brought| brought.uid == *uid && brought.content == *content;
            let changed = !self.files.get(path).is_some_and(same);
            if !synced(path) || !(whole || changed || self.mirror) {
                continue;
            }
            // An edit of what the vault did not change stays; only what was removed comes back.
            if !changed && !self.mirror && before.contains_key(path) {
                continue;
            }
            if let Some(there) = before.get(path)
                && there != content
                && !is_ours(path, there)
            {
                displaced.push(there.clone());
            }
            files.insert(path.clone(), content.clone());
        }
        if self.mirror {
            files.retain(|path, content| {
                let stays = vault.files.contains_key(path) || !synced(path);
                if !stays && !is_ours(path, content) {
                    displaced.push(content.clone());
                }
                stays
            });
        }
        Prediction { files, displaced }
    }

    /// Takes note of a run that ended well; `left` are paths that it could not bring.
    pub(crate) fn brought(&mut self, vault: &Vault, left: &BTreeSet<String>) {
        let (filter, holds) = (self.filter, self.holds);
        let hidden = |path: &str, folder| seen(filter, holds, path, folder) != Seen::Synced;
        self.files
            .retain(|path, _| hidden(path, false) || left.contains(path));
        self.folders
            .retain(|path, _| hidden(path, true) || left.contains(path));
        for (path, (uid, content)) in &vault.files {
            if !hidden(path, false) && !left.contains(path) {
                let (uid, content) = (*uid, content.clone());
                self.files.insert(path.clone(), Brought { uid, content });
            }
        }
        for (path, uid) in &vault.folders {
            if !hidden(path, true) && !left.contains(path) {
                self.folders.insert(path.clone(), *uid);
            }
        }
    }
}
