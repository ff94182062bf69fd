//! What a test does to a [`MemoryVaultStore`] behind its back, and what it sees there.

use std::collections::BTreeMap;

use bytes::Bytes;
use obsidian_sync::Millis;

use super::tree::Node;
use super::vault::valid;
use super::{MemoryVaultStore, lock};

impl MemoryVaultStore {
    /// Writes a file behind the store's back, with the folders above it.
    pub fn write(&self, path: &str, content: impl Into<Bytes>) {
        if path == ".obsyncignore" {
            let text = String::from_utf8_lossy(&content.into()).into_owned();
            lock(&self.tree).ignore = Some(text);
            return;
        }
        lock(&self.tree).put(&valid(path), content.into(), Millis(0));
    }

    /// Changes a file's bytes so that its stamp does not show it: a disk that forgets.
    pub fn rot(&self, path: &str, bytes: impl Into<Bytes>) {
        let (mut tree, path) = (lock(&self.tree), valid(path));
        let key = tree.key(&path);
        if let Some((_, Node::File { content, .. })) = tree.nodes.get_mut(&key) {
            *content = bytes.into();
        }
    }

    /// Creates a folder behind the store's back.
    pub fn make_folder(&self, path: &str) {
        let (mut tree, path) = (lock(&self.tree), valid(path));
        tree.make_parents(&path);
        let key = tree.key(&path);
        tree.nodes.insert(key, (path, Node::Folder));
    }

    /// Plants a symbolic link behind the store's back.
    pub fn plant_link(&self, path: &str) {
        let (mut tree, path) = (lock(&self.tree), valid(path));
        tree.make_parents(&path);
        let key = tree.key(&path);
        tree.nodes.insert(key, (path, Node::Foreign));
    }

    /// Says where content is that lost its place.
    pub fn set_rescued(&self, places: &[&str]) {
        lock(&self.tree).rescued = places.iter().map(|place| (*place).to_owned()).collect();
    }

    /// Removes whatever is at a path behind the store's back, with all below it.
    pub fn remove(&self, path: &str) {
        let (mut tree, path) = (lock(&self.tree), valid(path));
        for below in tree.below(&path) {
            tree.take(&below);
        }
        tree.take(&path);
    }

    /// Removes everything, the mark too: an unmounted or swapped destination.
    pub fn clear(&self) {
        let mut tree = lock(&self.tree);
        tree.nodes.clear();
        tree.identity = None;
        tree.ignore = None;
    }

    /// A file's bytes.
    pub fn read(&self, path: &str) -> Option<Bytes> {
        match lock(&self.tree).get(&valid(path)) {
            Some(Node::File { content, .. }) => Some(content.clone()),
            _ => None,
        }
    }

    /// A file's modification time.
    pub fn mtime(&self, path: &str) -> Option<Millis> {
        match lock(&self.tree).get(&valid(path)) {
            Some(Node::File { mtime, .. }) => Some(*mtime),
            _ => None,
        }
    }

    /// All files by path.
    pub fn files(&self) -> BTreeMap<String, Bytes> {
        let tree = lock(&self.tree);
        let files = tree.nodes.values().filter_map(|(path, node)| match node {
            Node::File { content, .. } => Some((path.as_str().to_owned(), content.clone())),
            _ => None,
        });
        files.collect()
    }

    /// All folders.
    pub fn folders(&self) -> Vec<String> {
        let tree = lock(&self.tree);
        let folders = tree
            .nodes
            .values()
            .filter(|(_, node)| matches!(node, Node::Folder));
        folders.map(|(path, _)| path.as_str().to_owned()).collect()
    }

    /// What went to the trash, in order.
    pub fn trashed(&self) -> Vec<(String, Bytes)> {
        let tree = lock(&self.tree);
        tree.trash
            .iter()
            .map(|(path, content)| (path.as_str().to_owned(), content.clone()))
            .collect()
    }

    /// How many staged contents are alive. 0 after a run, or something leaks.
    pub fn staged(&self) -> usize {
        lock(&self.tree).staged
    }

    /// A loss of power: what was not flushed is gone.
    pub fn lose_unflushed(&self) {
        let mut tree = lock(&self.tree);
        tree.nodes = tree.durable.clone();
    }
}
