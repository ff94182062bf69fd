//! A destination in memory: the strictest of all, and one whose names can fold.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use obsidian_sync::Millis;
use obsync_core::memory::{Faults, MemoryStateStore, MemoryVaultStore};
use obsync_core::{Folding, VaultPath, VaultStore as _};

use super::{Place, Stores, short_parts};

pub(crate) struct Memory {
    files: MemoryVaultStore,
    state: Mutex<MemoryStateStore>,
    folding: Folding,
}

impl Memory {
    pub(crate) fn new(folding: Folding) -> Self {
        Self {
            files: MemoryVaultStore::with_folding(folding),
            state: Mutex::default(),
            folding,
        }
    }

    fn state(&self) -> MemoryStateStore {
        self.state.lock().unwrap().clone()
    }

    fn key(&self, path: &str) -> String {
        self.folding.key(&VaultPath::parse(path).unwrap())
    }

    /// What is at a path, in any spelling.
    fn is_file(&self, path: &str) -> bool {
        let key = self.key(path);
        self.files.files().keys().any(|file| self.key(file) == key)
    }

    fn is_folder(&self, path: &str) -> bool {
        let key = self.key(path);
        let inside = format!("{key}/");
        let all = self
            .files
            .folders()
            .into_iter()
            .chain(self.files.files().into_keys());
        all.map(|other| self.key(&other))
            .any(|other| other.starts_with(&inside))
            || self
                .files
                .folders()
                .iter()
                .any(|other| self.key(other) == key)
    }

    fn blocked(&self, path: &str) -> bool {
        let path = VaultPath::parse(path).unwrap();
        path.ancestors().any(|above| self.is_file(above.as_str()))
    }
}

#[async_trait]
impl Place for Memory {
    fn holds(&self) -> fn(&str) -> bool {
        short_parts
    }

    fn folding(&self) -> Folding {
        self.folding
    }

    async fn open(&self, faults: &Faults) -> Stores {
        Stores::new(self.files.clone(), self.state(), faults)
    }

    async fn closed(&self, _: Stores, _: bool) {}

    async fn reset(&self) {
        *self.state.lock().unwrap() = MemoryStateStore::new();
    }

    fn write(&self, path: &str, content: &Bytes) {
        if short_parts(path) && !self.blocked(path) && !self.is_folder(path) {
            self.files.write(path, content.clone());
        }
    }

    fn remove(&self, path: &str) {
        self.files.remove(path);
    }

    fn ignore(&self, text: &str) {
        self.files.write(".obsyncignore", text.to_owned());
    }

    fn mtime(&self, path: &str) -> Option<Millis> {
        self.files.mtime(path)
    }

    fn make_folder(&self, path: &str) {
        if !self.blocked(path) && !self.is_file(path) && !self.is_folder(path) {
            self.files.make_folder(path);
        }
    }

    fn files(&self) -> BTreeMap<String, Bytes> {
        self.files.files()
    }

    fn folders(&self) -> Vec<String> {
        self.files.folders()
    }

    fn trashed(&self) -> Vec<Bytes> {
        let all = self.files.trashed().into_iter();
        all.map(|(_, content)| content).collect()
    }

    fn leftovers(&self) -> Vec<String> {
        match self.files.staged() {
            0 => Vec::new(),
            count => vec![format!("{count} staged contents")],
        }
    }

    fn print(&self) -> String {
        let mut print = format!("{} commits", self.state().commits());
        for path in self.files.files().keys() {
            let at = VaultPath::parse(path).unwrap();
            let found = now(self.files.inspect(&at, None));
            let _ = write!(print, "\n{path:?} {found:?}");
        }
        let _ = write!(print, "\n{:?}", self.files.folders());
        print
    }

    fn harm(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The answer of a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("memory never waits"),
    }
}
