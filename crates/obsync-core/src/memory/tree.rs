//! What a [`super::MemoryVaultStore`] holds: a tree of files, folders and foreign things.

use std::collections::BTreeMap;

use bytes::Bytes;
use obsidian_sync::Millis;

use crate::path::VaultPath;
use crate::store::{Expect, Folding, Found, Stamp, StoreError, StoreErrorKind};

/// What is at a path.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// A file.
    File {
        /// Its bytes.
        content: Bytes,
        /// Its modification time.
        mtime: Millis,
        /// Counts up with each write in the tree, so no two writes share one.
        serial: u64,
    },
    /// A folder.
    Folder,
    /// A symbolic link, say.
    Foreign,
}

/// Nodes by folded path.
pub(super) type Nodes = BTreeMap<String, (VaultPath, Node)>;

/// The tree, and what of it would survive a loss of power.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) folding: Folding,
    pub(super) marks: bool,
    pub(super) nodes: Nodes,
    pub(super) durable: Nodes,
    pub(super) identity: Option<String>,
    pub(super) ignore: Option<String>,
    pub(super) trash: Vec<(VaultPath, Bytes)>,
    pub(super) rescued: Vec<String>,
    pub(super) serial: u64,
    pub(super) staged: usize,
    /// Paths that nobody can look at.
    pub(super) refused: BTreeMap<String, StoreErrorKind>,
    /// How large the pages of a listing are; 0 where there are none.
    pub(super) page: usize,
    pub(super) looks: u64,
}

pub(super) fn error(kind: StoreErrorKind, what: &str, path: &VaultPath) -> StoreError {
    StoreError::new(kind, format!("{what}: '{}'", path.display()))
}

impl Tree {
    pub(super) fn key(&self, path: &VaultPath) -> String {
        self.folding.key(path)
    }

    pub(super) fn get(&self, path: &VaultPath) -> Option<&Node> {
        self.nodes.get(&self.key(path)).map(|(_, node)| node)
    }

    pub(super) fn stamp_of(serial: u64) -> Stamp {
        Stamp(format!("memory-{serial}"))
    }

    /// What stands above the path where a folder should: a link hides what is below it.
    pub(super) fn blocked(&self, path: &VaultPath) -> Option<Found> {
        path.ancestors().find_map(|above| match self.get(&above) {
            Some(Node::Foreign) => Some(Found::Foreign(
                "a symbolic link is among the folders above".to_owned(),
            )),
            Some(Node::File { .. }) => Some(Found::Absent),
            _ => None,
        })
    }

    pub(super) fn look(&self, path: &VaultPath) -> Found {
        if let Some(found) = self.blocked(path) {
            return found;
        }
        match self.get(path) {
            None => Found::Absent,
            Some(Node::Folder) => Found::Folder,
            Some(Node::Foreign) => Found::Foreign("a symbolic link".to_owned()),
            Some(Node::File {
                content, serial, ..
            }) => Found::File {
                stamp: Self::stamp_of(*serial),
                size: content.len() as u64,
            },
        }
    }

    /// Whether a change of the path may go ahead.
    pub(super) fn check(&self, path: &VaultPath, expect: &Expect) -> Result<(), StoreError> {
        if self.blocked(path).is_some() {
            return Err(error(StoreErrorKind::InTheWay, "no folder above", path));
        }
        match (self.look(path), expect) {
            (Found::Absent, Expect::Absent) => Ok(()),
            (Found::File { stamp, .. }, Expect::Is(expected)) if stamp == *expected => Ok(()),
            (Found::Folder | Found::Foreign(_), _) => {
                Err(error(StoreErrorKind::InTheWay, "not a file", path))
            }
            _ => Err(error(
                StoreErrorKind::Changed,
                "not what was expected",
                path,
            )),
        }
    }

    pub(super) fn make_parents(&mut self, path: &VaultPath) {
        for above in path.ancestors() {
            let key = self.key(&above);
            self.nodes.entry(key).or_insert((above, Node::Folder));
        }
    }

    /// Puts a file, whatever was there.
    pub(super) fn put(&mut self, path: &VaultPath, content: Bytes, mtime: Millis) -> Stamp {
        self.make_parents(path);
        self.serial += 1;
        let serial = self.serial;
        let key = self.key(path);
        self.nodes.insert(
            key,
            (
                path.clone(),
                Node::File {
                    content,
                    mtime,
                    serial,
                },
            ),
        );
        Self::stamp_of(serial)
    }

    pub(super) fn take(&mut self, path: &VaultPath) -> Option<Node> {
        let key = self.key(path);
        self.nodes.remove(&key).map(|(_, node)| node)
    }

    /// The paths below a folder.
    pub(super) fn below(&self, folder: &VaultPath) -> Vec<VaultPath> {
        let prefix = format!("{}/", self.key(folder));
        self.nodes
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .map(|(_, (path, _))| path.clone())
            .collect()
    }
}
