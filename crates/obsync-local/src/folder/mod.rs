//! [`FolderStore`]: a vault's files in a folder on this machine.
//!
//! What belongs to obsync itself lies in `.obsync` at the root, a dot-folder and so outside the
//! vault's namespace:
//!
//! ```text
//! .obsync/id.json     the mark: whose copy this is
//!         lock        held during a run
//!         Folding-é   tells which names the file system takes for the same
//!         tmp/        content in waiting; cleared when a run starts
//!         kept/       what others wrote in the instant of a change of ours; hardly ever there
//! ```
//!
//! Each call runs on tokio's blocking threads and opens what it needs from the root's handle: one
//! `openat2` a call, no cache, so nothing that other programs move or link can lead outside.

mod aside;
mod change;
mod check;
mod inspect;
mod mark;
pub(crate) mod moves;
pub(crate) mod names;
mod out;
mod probe;
mod publish;
mod remove;
mod stage;
mod store;
mod sweep;
#[cfg(test)]
mod tests;
mod times;
mod walk;

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use obsidian_sync::VaultId;
use obsync_core::{Folding, PathProblem, StoreError, StoreErrorKind, VaultPath};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, fsync};
use rustix::io::Errno;

use crate::blocking;
use crate::confined::Confined;
use crate::durable;
use crate::error::{Context as _, in_the_way};
use crate::lock::RunLock;
use crate::trash::Trash;

pub use check::FolderCheck;
use probe::Probed;

/// How a [`FolderStore`] is to behave.
#[derive(Debug, Default)]
pub struct FolderOptions {
    /// The vault, noted in the mark.
    pub vault_id: Option<VaultId>,
    /// Where [`obsync_core::Retire::Trash`] goes; with `None` it is discarded (`--no-trash`).
    pub trash: Option<Trash>,
    /// Which names fold, instead of finding out.
    pub folding: Option<Folding>,
}

/// A vault's files in a folder.
#[derive(Debug)]
pub struct FolderStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    path: PathBuf,
    options: FolderOptions,
    root: OnceLock<Confined>,
    probed: OnceLock<Probed>,
    lock: Mutex<Option<RunLock>>,
    /// Makes names in `tmp` that no other process uses.
    session: u64,
    counter: AtomicU64,
    /// Folders whose entries changed since the last flush.
    touched: Mutex<BTreeSet<String>>,
    moves: moves::Moves,
    /// `fsync`, or a test's idea of it.
    sync: fn(BorrowedFd<'_>) -> rustix::io::Result<()>,
}

/// The mode of files: what the user's umask leaves of it.
fn file_mode() -> Mode {
    Mode::from_raw_mode(0o666)
}

/// The mode of folders, likewise.
fn folder_mode() -> Mode {
    Mode::from_raw_mode(0o777)
}

impl FolderStore {
    /// Opens a store on a folder. One that is missing is created by the first call that writes;
    /// until then nothing is. A link that the path itself goes through is resolved once.
    ///
    /// # Errors
    /// When something that is no folder is there, or it can't be opened.
    pub fn open(path: &Path, options: FolderOptions) -> Result<Self, StoreError> {
        Self::with_sync(path, options, |fd| fsync(fd))
    }

    fn with_sync(
        path: &Path,
        options: FolderOptions,
        sync: fn(BorrowedFd<'_>) -> rustix::io::Result<()>,
    ) -> Result<Self, StoreError> {
        let absolute = std::path::absolute(path)
            .context(|| format!("can't tell where '{}' is", path.display()))?;
        let inner = Inner {
            path: crate::paths::resolve(&absolute),
            options,
            root: OnceLock::new(),
            probed: OnceLock::new(),
            lock: Mutex::default(),
            session: std::hash::RandomState::new().build_hasher().finish(),
            counter: AtomicU64::new(0),
            touched: Mutex::default(),
            moves: moves::Moves::default(),
            sync,
        };
        inner.root()?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Locks the destination, so that a run with another state folder can't write it at the same
    /// time. Held until the store is dropped. Does nothing where no run has been yet: then
    /// [`obsync_core::VaultStore::set_identity`] takes the lock.
    ///
    /// # Errors
    /// [`StoreErrorKind::Busy`] when another run holds it.
    pub fn lock(&self) -> Result<(), StoreError> {
        self.inner.lock()
    }

    /// Looks whether a run holds that lock, without keeping one from it.
    ///
    /// # Errors
    /// [`StoreErrorKind::Busy`] when one does.
    pub fn look_at_lock(&self) -> Result<(), StoreError> {
        self.inner.look_at_lock()
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        blocking::run(move || work(&inner)).await
    }
}

impl Inner {
    /// The root, if it is there.
    fn root(&self) -> Result<Option<&Confined>, StoreError> {
        if self.root.get().is_none() {
            match Confined::open(&self.path) {
                Ok(root) => drop(self.root.set(root)),
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::NOTDIR) => {
                    let path = self.path.display();
                    return Err(in_the_way(format!(
                        "the destination {path} is not a folder"
                    )));
                }
                Err(error) => {
                    let path = self.path.display();
                    return Err(error).context(|| format!("can't open the destination {path}"));
                }
            }
        }
        Ok(self.root.get())
    }

    /// The root, created with the folders above it where missing.
    fn create_root(&self) -> Result<&Confined, StoreError> {
        if let Some(root) = self.root()? {
            return Ok(root);
        }
        let deed = || format!("can't create the destination {}", self.path.display());
        let new: Vec<_> = self
            .path
            .ancestors()
            .take_while(|folder| !folder.exists())
            .collect();
        std::fs::create_dir_all(&self.path).context(deed)?;
        for folder in new.iter().filter_map(|folder| folder.parent()) {
            let parent = Confined::open(folder).context(deed)?;
            (self.sync)(parent.root()).context(deed)?;
        }
        self.root()?.ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::Other,
                format!("{}: it is gone again", deed()),
            )
        })
    }

    /// The folder that a change of `path` needs, created where missing.
    fn create_parent<'a>(&self, path: &'a VaultPath) -> Result<(OwnedFd, &'a str), StoreError> {
        let (parent, leaf) = crate::confined::split(path.as_str());
        Ok((self.create_folders(parent, path)?, leaf))
    }

    /// Creates a folder and those above it; `path` is what they are for.
    fn create_folders(&self, folder: &str, path: &VaultPath) -> Result<OwnedFd, StoreError> {
        let root = self.create_root()?;
        root.create(folder, folder_mode(), |made| self.touch(made))
            .naming(|| format!("can't create the folder for '{}'", path.display()))
    }

    /// What the file system does with names, once a run has marked the folder.
    fn probed(&self) -> Option<Probed> {
        if self.probed.get().is_none() {
            let root = self.root().ok().flatten();
            let own = root.and_then(|root| root.folder(names::OWN).ok())?;
            let _ = self.probed.set(probe::ask(own.as_fd())?);
        }
        self.probed.get().copied()
    }

    fn folding(&self) -> Folding {
        let found = || self.probed().map(|probed| probed.folding);
        let folding = self.options.folding.or_else(found);
        folding.unwrap_or_else(|| probe::estimate(&self.path))
    }

    fn check_path(&self, path: &VaultPath) -> Result<(), PathProblem> {
        let rules = self.probed().map(|probed| probed.names);
        let rules = rules.unwrap_or_default();
        rules.check(path, self.path.as_os_str().len())
    }

    /// Notes that a folder's entries changed.
    fn touch(&self, folder: &str) {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        if !touched.contains(folder) {
            touched.insert(folder.to_owned());
        }
    }

    /// Notes that the entries of the folder that holds `path` changed.
    fn touch_parent(&self, path: &VaultPath) {
        self.touch(crate::confined::split(path.as_str()).0);
    }

    fn flush(&self) -> Result<(), StoreError> {
        if let Some(trash) = &self.options.trash {
            trash.flush()?;
        }
        let Some(root) = self.root()? else {
            return Ok(());
        };
        let mut touched =
            std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner));
        if touched.is_empty() {
            return Ok(());
        }
        while let Some(folder) = touched.first() {
            let synced = match root.folder(folder) {
                Ok(open) => durable::folder(open.as_fd(), self.sync),
                // Removed since, which touched its parent.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = synced {
                let name = self.path.join(folder);
                let mut again = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
                again.append(&mut touched);
                return Err(error)
                    .context(|| format!("can't make the folder {} durable", name.display()));
            }
            touched.pop_first();
        }
        durable::settle(root.root())
            .context(|| format!("can't make {} durable", self.path.display()))
    }
}

/// The system's error numbers for "this file system can't do that".
fn unsupported(error: Errno) -> bool {
    // The last two are one number on Linux and two elsewhere.
    [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP].contains(&error)
}
