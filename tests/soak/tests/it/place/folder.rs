//! A folder on a real disk, with its state in SQLite.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use obsidian_sync::{Millis, VaultId};
use obsync_core::StateStore as _;
use obsync_core::memory::Faults;
use obsync_local::{
    About, FolderOptions, FolderStore, SqliteStateStore, StateDir, StatePaths, Trash, destination,
};
use tempfile::TempDir;

use super::{Place, Stores, short_parts};
use crate::world::NOW;

const IGNORE: &str = ".obsyncignore";

pub(crate) struct Folder {
    root: TempDir,
    vault: VaultId,
    /// How the state looked after the last run.
    state: Mutex<String>,
}

impl Folder {
    pub(crate) fn new(vault: &VaultId) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("outside")).unwrap();
        fs::write(root.path().join("outside/theirs.md"), "theirs").unwrap();
        fs::create_dir(root.path().join("copy")).unwrap();
        Self {
            root,
            vault: vault.clone(),
            state: Mutex::default(),
        }
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.root.path().join("outside")
    }

    pub(crate) fn copy(&self) -> PathBuf {
        self.root.path().join("copy")
    }

    fn about(&self) -> About {
        About::new(&self.vault, "Notes", destination(&self.copy()))
    }

    fn states(&self) -> StateDir {
        StateDir::new(self.root.path().join("state"))
    }

    fn paths(&self) -> StatePaths {
        self.states().state(&self.about())
    }
}

#[async_trait]
impl Place for Folder {
    fn holds(&self) -> fn(&str) -> bool {
        short_parts
    }

    async fn open(&self, faults: &Faults) -> Stores {
        let trash = Trash::new(&self.states().trash(&self.vault), NOW);
        let options = FolderOptions {
            vault_id: Some(self.vault.clone()),
            trash: Some(trash),
            ..FolderOptions::default()
        };
        let files = FolderStore::open(&self.copy(), options).unwrap();
        let state = SqliteStateStore::open(&self.paths(), &self.about()).unwrap();
        files.lock().unwrap();
        Stores::new(files, state, faults)
    }

    async fn closed(&self, stores: Stores, died: bool) {
        drop(stores);
        if died {
            return;
        }
        let state = SqliteStateStore::open_read_only(&self.paths());
        let header = state.header().await.unwrap();
        let mut entries: Vec<_> = state.load().await.unwrap().entries.into_iter().collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (intents, unapplied) = (state.intents().await, state.unapplied().await);
        let (intents, unapplied) = (intents.unwrap(), unapplied.unwrap());
        *self.state.lock().unwrap() =
            format!("{header:?}\n{entries:?}\n{intents:?}\n{unapplied:?}");
    }

    async fn reset(&self) {
        SqliteStateStore::reset(&self.paths()).unwrap();
    }

    fn write(&self, path: &str, content: &Bytes) {
        let path = self.copy().join(path);
        if fs::create_dir_all(path.parent().unwrap()).is_ok() {
            // A folder in the way: then nothing is written.
            let _ = fs::write(path, content);
        }
    }

    fn replace(&self, path: &str, content: &Bytes) {
        let (new, path) = (self.copy().join(".new"), self.copy().join(path));
        fs::write(&new, content).unwrap();
        if fs::create_dir_all(path.parent().unwrap()).is_err() || fs::rename(&new, path).is_err() {
            fs::remove_file(new).unwrap();
        }
    }

    fn remove(&self, path: &str) {
        let _ = fs::remove_file(self.copy().join(path));
    }

    fn ignore(&self, text: &str) {
        fs::write(self.copy().join(IGNORE), text).unwrap();
    }

    fn mtime(&self, path: &str) -> Option<Millis> {
        let meta = fs::symlink_metadata(self.copy().join(path)).ok()?;
        Some(Millis(meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000))
    }

    fn make_folder(&self, path: &str) {
        let _ = fs::create_dir_all(self.copy().join(path));
    }

    fn files(&self) -> BTreeMap<String, Bytes> {
        let mut files = BTreeMap::new();
        walk(&self.copy(), "", &mut |name, path| {
            if path.is_file() {
                files.insert(name.to_owned(), Bytes::from(fs::read(path).unwrap()));
            }
        });
        files
    }

    fn folders(&self) -> Vec<String> {
        let mut folders = Vec::new();
        walk(&self.copy(), "", &mut |name, path| {
            if path.is_dir() {
                folders.push(name.to_owned());
            }
        });
        folders
    }

    fn trashed(&self) -> Vec<Bytes> {
        let mut contents = Vec::new();
        walk(&self.states().trash(&self.vault), "", &mut |_, path| {
            if path.is_file() {
                contents.push(Bytes::from(fs::read(path).unwrap()));
            }
        });
        contents
    }

    fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        for own in ["tmp", "kept"] {
            let folder = self.copy().join(".obsync").join(own);
            walk(&folder, "", &mut |name, _| {
                left.push(format!("{own}/{name}"));
            });
        }
        walk(&self.copy(), "", &mut |name, _| {
            if name.contains(".obsync-tmp-") {
                left.push(name.to_owned());
            }
        });
        left
    }

    fn print(&self) -> String {
        let mut print = self.state.lock().unwrap().clone();
        let mut note = |name: &str, path: &Path| {
            let meta = path.symlink_metadata().unwrap();
            let (written, changed) = (meta.mtime_nsec(), meta.ctime_nsec());
            let _ = write!(
                print,
                "\n{name:?} {} {} {}.{written} {}.{changed}",
                meta.ino(),
                meta.len(),
                meta.mtime(),
                meta.ctime()
            );
        };
        walk(&self.copy(), "", &mut note);
        walk(&self.copy().join(".obsync"), "", &mut note);
        walk(&self.states().trash(&self.vault), "", &mut note);
        print
    }

    fn harm(&self) -> Vec<String> {
        let mut harm = Vec::new();
        let mut names: Vec<_> = fs::read_dir(self.root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        if names != ["copy", "outside", "state"] && names != ["copy", "outside"] {
            harm.push(format!("beside the copy are {names:?}"));
        }
        if fs::read_dir(self.outside()).unwrap().count() != 1 {
            harm.push("there is more outside than there was".to_owned());
        }
        let theirs = fs::read_to_string(self.root.path().join("outside/theirs.md"));
        if theirs.ok().as_deref() != Some("theirs") {
            harm.push("outside/theirs.md changed".to_owned());
        }
        harm
    }
}

/// Everything below a folder but `.obsync` and the ignore file at its root, in a fixed order. No link is followed.
fn walk(folder: &Path, prefix: &str, visit: &mut dyn FnMut(&str, &Path)) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        if prefix.is_empty() && matches!(name, ".obsync" | IGNORE) {
            continue;
        }
        let name = format!("{prefix}{name}");
        visit(&name, &path);
        if path.symlink_metadata().unwrap().is_dir() {
            walk(&path, &format!("{name}/"), visit);
        }
    }
}
