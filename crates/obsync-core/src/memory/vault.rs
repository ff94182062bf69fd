//! [`MemoryVaultStore`].

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use obsidian_sync::ContentHash;

use super::lock;
use super::tree::{Node, Tree, error};
use crate::path::{PathProblem, VaultPath};
use crate::store::{
    Expect, FileMeta, Folding, Found, Listed, Pages, PublishError, Retire, Staged, StagedWriter,
    Stamp, StoreError, StoreErrorKind, VaultStore,
};

/// A vault's files in memory. Clones share them, as two handles on one folder would.
///
/// Stricter than the real stores: staged content must be what its meta promises, a name that
/// [`VaultStore::check_path`] refuses can't be published, every write gets a new stamp, and
/// [`MemoryVaultStore::lose_unflushed`] takes back what nobody flushed.
#[derive(Clone, Debug, Default)]
pub struct MemoryVaultStore {
    pub(super) tree: Arc<Mutex<Tree>>,
}

/// Content in waiting. Counted, so that tests see what is left over.
struct Waiting {
    tree: Arc<Mutex<Tree>>,
    content: Bytes,
}

impl Waiting {
    fn new(tree: &Arc<Mutex<Tree>>, content: Bytes) -> Self {
        lock(tree).staged += 1;
        Self {
            tree: Arc::clone(tree),
            content,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.tree).staged -= 1;
    }
}

impl MemoryVaultStore {
    /// An empty store that folds no names.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store with these rules for names.
    pub fn with_folding(folding: Folding) -> Self {
        let store = Self::default();
        lock(&store.tree).folding = folding;
        store
    }

    /// An empty store like a bucket: its files are taken to bear a mark of whose they are, and its folders
    /// to be nothing by themselves.
    pub fn with_marks() -> Self {
        let store = Self::default();
        lock(&store.tree).marks = true;
        store
    }

    fn checked(&self, path: &VaultPath) -> Result<(), StoreError> {
        self.check_path(path)
            .map_err(|problem| error(StoreErrorKind::Unholdable, &problem.to_string(), path))
    }

    fn listed(&self, config_dir: &str) -> Vec<Listed> {
        let tree = lock(&self.tree);
        let hidden = |path: &VaultPath| {
            path.ancestors().any(|above| {
                above.file_name().starts_with('.') && above.as_str() != config_dir
                    || tree.is_refused(&above)
                    || matches!(tree.get(&above), Some(Node::Foreign))
            })
        };
        let mut paths: Vec<_> = tree.nodes.values().map(|(path, _)| path.clone()).collect();
        paths.sort_by(|a, b| a.segments().cmp(b.segments()));
        paths.retain(|path| !hidden(path));
        let paths = paths.into_iter();
        let listed = paths.map(|path| Listed {
            found: match tree.look(&path) {
                Found::Folder if tree.is_refused(&path) => {
                    Found::Foreign("a folder that can't be listed".to_owned())
                }
                found => found,
            },
            path,
        });
        listed.collect()
    }

    fn staged_from(
        &self,
        path: &VaultPath,
        content: Bytes,
        meta: FileMeta,
    ) -> Result<Staged, StoreError> {
        if ContentHash::of(&content) != meta.hash || content.len() as u64 != meta.size {
            return Err(error(
                StoreErrorKind::Other,
                "staged content is not its meta's",
                path,
            ));
        }
        let handle = Box::new(Waiting::new(&self.tree, content));
        Ok(Staged {
            path: path.clone(),
            meta,
            handle,
        })
    }
}

pub(super) fn valid(path: &str) -> VaultPath {
    VaultPath::parse(path).expect("a test names a valid path")
}

struct Writer {
    store: MemoryVaultStore,
    path: VaultPath,
    size: u64,
    content: BytesMut,
}

#[async_trait]
impl StagedWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.content.extend_from_slice(&bytes);
        if self.content.len() as u64 > self.size {
            return Err(error(
                StoreErrorKind::Other,
                "more bytes than announced",
                &self.path,
            ));
        }
        Ok(())
    }

    async fn finish(self: Box<Self>, meta: FileMeta) -> Result<Staged, StoreError> {
        self.store
            .staged_from(&self.path, self.content.freeze(), meta)
    }
}

#[async_trait]
impl VaultStore for MemoryVaultStore {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn folding(&self) -> Folding {
        let tree = lock(&self.tree);
        // A folder may not know before it is marked; here it never does.
        match tree.identity {
            Some(_) => tree.folding,
            None => Folding::default(),
        }
    }

    fn has_folders(&self) -> bool {
        !lock(&self.tree).marks
    }

    fn marks_own_files(&self) -> bool {
        lock(&self.tree).marks
    }

    fn check_path(&self, path: &VaultPath) -> Result<(), PathProblem> {
        if path.segments().any(|segment| segment.len() > 255) {
            return Err(PathProblem::Unholdable(
                "a part of it is longer than 255 bytes".to_owned(),
            ));
        }
        if path.segments().next() == Some(".obsync") || path.as_str() == ".obsyncignore" {
            return Err(PathProblem::Unholdable(
                "obsync keeps it for itself".to_owned(),
            ));
        }
        Ok(())
    }

    async fn identity(&self) -> Result<Option<String>, StoreError> {
        Ok(lock(&self.tree).identity.clone())
    }

    async fn set_identity(&self, id: &str) -> Result<(), StoreError> {
        lock(&self.tree).identity = Some(id.to_owned());
        Ok(())
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(lock(&self.tree).nodes.is_empty())
    }

    async fn ignore_file(&self) -> Result<Option<String>, StoreError> {
        Ok(lock(&self.tree).ignore.clone())
    }

    async fn inspect(&self, path: &VaultPath, _known: Option<&Stamp>) -> Result<Found, StoreError> {
        let mut tree = lock(&self.tree);
        tree.enter(path)?;
        Ok(tree.look(path))
    }

    async fn hash(&self, path: &VaultPath) -> Result<Option<(ContentHash, Stamp)>, StoreError> {
        let mut tree = lock(&self.tree);
        tree.enter(path)?;
        Ok(match (tree.look(path), tree.get(path)) {
            (Found::File { stamp, .. }, Some(Node::File { content, .. })) => {
                Some((ContentHash::of(content), stamp))
            }
            _ => None,
        })
    }

    async fn list(&self, config_dir: &str) -> Result<Vec<Listed>, StoreError> {
        Ok(self.listed(config_dir))
    }

    fn pages<'a>(&'a self, config_dir: &'a str) -> Option<Pages<'a>> {
        self.in_pages(self.listed(config_dir))
    }

    async fn stage(
        &self,
        path: &VaultPath,
        content: Bytes,
        meta: FileMeta,
    ) -> Result<Staged, StoreError> {
        self.checked(path)?;
        self.staged_from(path, content, meta)
    }

    async fn stage_stream(
        &self,
        path: &VaultPath,
        size: u64,
    ) -> Result<Box<dyn StagedWriter>, StoreError> {
        self.checked(path)?;
        let (store, path) = (self.clone(), path.clone());
        Ok(Box::new(Writer {
            store,
            path,
            size,
            content: BytesMut::new(),
        }))
    }

    async fn stage_copy(
        &self,
        source: &VaultPath,
        source_stamp: &Stamp,
        path: &VaultPath,
        meta: FileMeta,
    ) -> Result<Staged, StoreError> {
        self.checked(path)?;
        let content = {
            let tree = lock(&self.tree);
            match (tree.look(source), tree.get(source)) {
                (Found::File { stamp, .. }, Some(Node::File { content, .. }))
                    if stamp == *source_stamp && ContentHash::of(content) == meta.hash =>
                {
                    content.clone()
                }
                _ => return Err(error(StoreErrorKind::Changed, "the source changed", source)),
            }
        };
        self.staged_from(path, content, meta)
    }

    async fn publish(
        &self,
        staged: Staged,
        expect: &Expect,
        retire: Retire,
    ) -> Result<Stamp, PublishError> {
        let waiting = match staged.handle.downcast_ref::<Waiting>() {
            Some(waiting) if Arc::ptr_eq(&waiting.tree, &self.tree) => waiting,
            _ => {
                let error = error(
                    StoreErrorKind::Other,
                    "staged by another store",
                    &staged.path,
                );
                return Err(PublishError {
                    staged: Some(staged),
                    error,
                });
            }
        };
        let result = self.checked(&staged.path).and_then(|()| {
            let mut tree = lock(&self.tree);
            tree.check(&staged.path, expect)?;
            if let (Some(Node::File { content, .. }), Retire::Trash) =
                (tree.take(&staged.path), retire)
            {
                tree.trash.push((staged.path.clone(), content));
            }
            Ok(tree.put(&staged.path, waiting.content.clone(), staged.meta.mtime))
        });
        result.map_err(|error| PublishError {
            staged: Some(staged),
            error,
        })
    }

    async fn rename(
        &self,
        from: &VaultPath,
        source_stamp: &Stamp,
        to: &VaultPath,
        meta: &FileMeta,
    ) -> Result<Stamp, StoreError> {
        self.checked(to)?;
        let mut tree = lock(&self.tree);
        let Some(Node::File {
            content, serial, ..
        }) = tree.get(from).cloned()
        else {
            return Err(error(StoreErrorKind::Changed, "the source is gone", from));
        };
        if tree.blocked(from).is_some() || Tree::stamp_of(serial) != *source_stamp {
            return Err(error(StoreErrorKind::Changed, "the source changed", from));
        }
        if tree.key(from) != tree.key(to) {
            tree.check(to, &Expect::Absent).map_err(|mut error| {
                if tree.blocked(to).is_none() {
                    error.kind = StoreErrorKind::Changed;
                }
                error
            })?;
        }
        tree.take(from);
        Ok(tree.put(to, content, meta.mtime))
    }

    async fn set_aside(&self, from: &VaultPath, to: &VaultPath) -> Result<(), StoreError> {
        self.checked(to)?;
        let mut tree = lock(&self.tree);
        match tree.look(from) {
            Found::Absent => return Err(error(StoreErrorKind::Changed, "nothing is there", from)),
            Found::Foreign(_) => return Err(error(StoreErrorKind::InTheWay, "a link", from)),
            Found::File { .. } | Found::Folder => {}
        }
        if tree.blocked(to).is_some() || to.is_within(from.as_str()) {
            return Err(error(StoreErrorKind::InTheWay, "no folder above", to));
        }
        if tree.look(to) != Found::Absent {
            return Err(error(StoreErrorKind::Changed, "something is there", to));
        }
        tree.make_parents(to);
        let mut moved = tree.below(from);
        moved.insert(0, from.clone());
        for path in moved {
            let rest = path.segments().skip(from.depth());
            let target = to.segments().chain(rest).collect::<Vec<_>>().join("/");
            let target = valid(&target);
            if let Some(node) = tree.take(&path) {
                let key = tree.key(&target);
                tree.nodes.insert(key, (target, node));
            }
        }
        Ok(())
    }

    async fn remove_file(
        &self,
        path: &VaultPath,
        stamp: &Stamp,
        retire: Retire,
    ) -> Result<(), StoreError> {
        let mut tree = lock(&self.tree);
        match tree.look(path) {
            Found::Absent => return Ok(()),
            Found::File { stamp: found, .. } if found == *stamp => {}
            _ => {
                return Err(error(
                    StoreErrorKind::Changed,
                    "not what was expected",
                    path,
                ));
            }
        }
        if let (Some(Node::File { content, .. }), Retire::Trash) = (tree.take(path), retire) {
            tree.trash.push((path.clone(), content));
        }
        Ok(())
    }

    async fn create_folder(&self, path: &VaultPath) -> Result<(), StoreError> {
        self.checked(path)?;
        let mut tree = lock(&self.tree);
        match (tree.blocked(path), tree.look(path)) {
            (None, Found::Folder) => Ok(()),
            (None, Found::Absent) => {
                tree.make_parents(path);
                let key = tree.key(path);
                tree.nodes.insert(key, (path.clone(), Node::Folder));
                Ok(())
            }
            _ => Err(error(StoreErrorKind::InTheWay, "not a folder", path)),
        }
    }

    async fn remove_folder(&self, path: &VaultPath) -> Result<bool, StoreError> {
        let mut tree = lock(&self.tree);
        match tree.look(path) {
            Found::Absent => Ok(true),
            Found::Folder if !tree.below(path).is_empty() => Ok(false),
            Found::Folder => {
                tree.take(path);
                Ok(true)
            }
            _ => Err(error(StoreErrorKind::InTheWay, "not a folder", path)),
        }
    }

    async fn flush(&self) -> Result<(), StoreError> {
        let mut tree = lock(&self.tree);
        tree.durable = tree.nodes.clone();
        Ok(())
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn rescued(&self) -> Result<Vec<String>, StoreError> {
        Ok(lock(&self.tree).rescued.clone())
    }
}
