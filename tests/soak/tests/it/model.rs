//! What a destination must hold, said as simply as can be.
//!
//! The model knows what the vault holds, what obsync brought last, and what lay at the destination
//! before a run. It shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::filters::{Rules, Seen};

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
    /// What is synced.
    pub(crate) rules: Rules,
}

/// What a run compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// What changed in the vault.
    Changes,
    /// The vault as it stands.
    Whole,
    /// The same, and what a person edited is to be as in the vault.
    Mending,
}

/// What a run makes of a destination.
#[derive(Debug, Default)]
pub(crate) struct Prediction {
    /// Its files.
    pub(crate) files: BTreeMap<String, Bytes>,
    /// Local content that had to make way, by the path it had: it must be in a conflicted copy, or in
    /// the trash.
    pub(crate) displaced: Vec<(String, Bytes)>,
    /// Edited files that the vault deleted and that stay.
    pub(crate) spared: BTreeSet<String>,
}

impl Copy {
    /// Nothing was brought yet.
    pub(crate) fn new(holds: fn(&str) -> bool) -> Self {
        Self {
            holds,
            files: BTreeMap::new(),
            folders: BTreeMap::new(),
            mirror: false,
            rules: Rules::default(),
        }
    }

    /// What is to become of a name.
    pub(crate) fn seen(&self, path: &str, folder: bool) -> Seen {
        self.rules.seen(self.holds, path, folder)
    }

    /// Whether a record says what was brought already. A restored service gives numbers away a second
    /// time.
    pub(crate) fn has(&self, path: &str, uid: u64, content: &Bytes) -> bool {
        let same = |brought: &Brought| brought.uid == uid && brought.content == *content;
        self.files.get(path).is_some_and(same)
    }

    /// What a run that ends well makes of `before`.
    pub(crate) fn predict(
        &self,
        vault: &Vault,
        before: &BTreeMap<String, Bytes>,
        reach: Reach,
    ) -> Prediction {
        let whole = reach >= Reach::Whole;
        let synced = |path: &str| self.seen(path, false) == Seen::Synced;
        let mut files = before.clone();
        let mut displaced = Vec::new();
        let mut spared = BTreeSet::new();
        let is_ours = |path: &str, content: &Bytes| {
            self.files
                .get(path)
                .is_some_and(|brought| brought.content == *content)
        };
        for path in self.files.keys() {
            let gone = !vault.files.contains_key(path) && synced(path);
            let Some(there) = before.get(path).filter(|_| gone) else {
                continue;
            };
            if is_ours(path, there) {
                files.remove(path);
            } else if !self.mirror {
                spared.insert(path.clone());
            }
        }
        for (path, uid) in &vault.folders {
            let changed = whole || self.mirror || self.folders.get(path) != Some(uid);
            if changed
                && self.seen(path, true) == Seen::Synced
                && let Some(content) = before.get(path)
            {
                files.remove(path);
                spared.remove(path);
                if !is_ours(path, content) {
                    displaced.push((path.clone(), content.clone()));
                }
            }
        }
        for (path, (uid, content)) in &vault.files {
            let changed = !self.has(path, *uid, content);
            if !synced(path) || !(whole || changed || self.mirror) {
                continue;
            }
            // An edit stays where the vault has the same text still; only what was removed comes back.
            let reverts = self.mirror || reach == Reach::Mending;
            if is_ours(path, content) && !reverts && before.contains_key(path) {
                continue;
            }
            if let Some(there) = before.get(path)
                && there != content
                && !is_ours(path, there)
            {
                displaced.push((path.clone(), there.clone()));
            }
            files.insert(path.clone(), content.clone());
        }
        if self.mirror {
            files.retain(|path, content| {
                let stays = vault.files.contains_key(path) || !synced(path);
                if !stays && !is_ours(path, content) {
                    displaced.push((path.clone(), content.clone()));
                }
                stays
            });
        }
        Prediction {
            files,
            displaced,
            spared,
        }
    }

    /// Takes note of a run that ended well; `left` are paths that it could not bring.
    pub(crate) fn brought(&mut self, vault: &Vault, left: &BTreeSet<String>) {
        let (rules, holds) = (self.rules, self.holds);
        let hidden = |path: &str, folder| rules.seen(holds, path, folder) != Seen::Synced;
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
