//! How a [`MemoryVaultStore`] can be made to behave like others.

use futures_util::stream::{self, StreamExt as _};

use super::tree::{Tree, error};
use super::{MemoryVaultStore, lock};
use crate::path::VaultPath;
use crate::store::{Listed, Pages, StoreError, StoreErrorKind};

impl MemoryVaultStore {
    /// From now on nobody can look at this path or below it; with `None` they can again.
    pub fn refuse(&self, path: &str, kind: Option<StoreErrorKind>) {
        let mut tree = lock(&self.tree);
        match kind {
            Some(kind) => drop(tree.refused.insert(path.to_owned(), kind)),
            None => drop(tree.refused.remove(path)),
        }
    }

    /// From now on it hands its listing over in pages of this size, as S3 does.
    pub fn list_in_pages(&self, size: usize) {
        lock(&self.tree).page = size;
    }

    /// How many single looks there were.
    pub fn looks(&self) -> u64 {
        lock(&self.tree).looks
    }

    /// A listing in pages, if it is to be handed over so.
    pub(super) fn in_pages(&self, listed: Vec<Listed>) -> Option<Pages<'static>> {
        let size = lock(&self.tree).page;
        let mut rest = listed;
        (size > 0).then(|| {
            let pages = std::iter::from_fn(move || {
                let next = rest.split_off(rest.len().min(size));
                let page = std::mem::replace(&mut rest, next);
                (!page.is_empty()).then_some(Ok(page))
            });
            stream::iter(pages).boxed()
        })
    }
}

impl Tree {
    pub(super) fn is_refused(&self, path: &VaultPath) -> bool {
        self.refused.contains_key(path.as_str())
    }

    /// Notes a look at a path, and fails it where nobody can look.
    pub(super) fn enter(&mut self, path: &VaultPath) -> Result<(), StoreError> {
        self.looks += 1;
        let refused = self.refused.iter();
        let mut refused = refused.filter(|(at, _)| at.is_empty() || path.is_within(at));
        match refused.next() {
            Some((_, kind)) => Err(error(*kind, "nobody can look at it", path)),
            None => Ok(()),
        }
    }
}
