//! [`Trash`]: where `mirror` keeps what it removes or replaces.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use obsidian_sync::Millis;
use obsync_core::{StoreError, StoreErrorKind, VaultPath};
use rustix::fd::AsFd as _;
use rustix::fs::{AtFlags, Mode, OFlags, fsync, openat, unlinkat};
use rustix::io::Errno;

use crate::confined::{Confined, split};
use crate::durable;
use crate::error::Context as _;
use crate::folder::moves::{Moves, Place, Step};
use crate::private;

/// How many names are tried for one file before giving up.
const NAMES: u32 = 1000;

/// A folder for one run's removals, made when the first comes. It never overwrites: a second file
/// of one name gets a number.
#[derive(Debug)]
pub struct Trash {
    path: PathBuf,
    folder: OnceLock<Confined>,
    /// Folders whose entries are not durable yet.
    touched: Mutex<BTreeSet<String>>,
    pub(crate) moves: Moves,
}

/// A file that was kept. It can be taken back until its original is gone.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: String,
    name: String,
    /// Whether it is a copy, on another file system than its original. Then it must be durable
    /// before the original goes.
    pub(crate) copied: bool,
}

impl Trash {
    /// The trash of a run that started at `started`, below the vault's own; see
    /// [`crate::StateDir::trash`]. Nothing is created yet.
    pub fn new(vault_trash: &Path, started: Millis) -> Self {
        let time = jiff::Timestamp::from_millisecond(started.0).unwrap_or_default();
        let run = time.strftime("%Y%m%d-%H%M%S").to_string();
        Self {
            path: vault_trash.join(run),
            folder: OnceLock::new(),
            touched: Mutex::default(),
            moves: Moves::default(),
        }
    }

    /// Where this run's removals are, once there are any.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a file under its path: by a second name where it lies on the same file system, else
    /// by a copy. The original stays; the caller removes it, after [`Trash::flush`] if it is a copy.
    pub(crate) fn keep(&self, from: Place<'_>, path: &VaultPath) -> Result<Kept, StoreError> {
        let deed = || {
            format!(
                "can't keep '{}' in the trash {}",
                path.display(),
                self.path.display()
            )
        };
        let root = self.folder().context(deed)?;
        let (parent, name) = split(path.as_str());
        for number in 1..NAMES {
            // A file of an earlier removal may stand where a folder is needed: another root then.
            let parent = match number {
                1 => parent.to_owned(),
                _ => format!("({number})/{parent}")
                    .trim_end_matches('/')
                    .to_owned(),
            };
            let folder = match root.create(&parent, Mode::RWXU, |made| self.touch(made)) {
                Err(Errno::NOTDIR) => continue,
                folder => folder.context(deed)?,
            };
            for number in 1..NAMES {
                let name = numbered(name, number);
                let to = Place {
                    folder: folder.as_fd(),
                    name: &name,
                };
                match self.link_or_copy(from, to) {
                    Ok(copied) => {
                        self.touch(&parent);
                        return Ok(Kept {
                            folder: parent,
                            name,
                            copied,
                        });
                    }
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error).context(deed),
                }
            }
            break;
        }
        Err(StoreError::new(
            StoreErrorKind::Other,
            format!("{}: no name is free", deed()),
        ))
    }

    /// Takes a file out again: its original stays where it was.
    pub(crate) fn undo(&self, kept: &Kept) {
        // At worst a copy too many is left.
        if let Some(Ok(folder)) = self.folder.get().map(|root| root.folder(&kept.folder)) {
            let _ = unlinkat(&folder, &kept.name, AtFlags::empty());
        }
    }

    /// Makes what was kept durable.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        let deed = || format!("can't make the trash {} durable", self.path.display());
        let Some(root) = self.folder.get() else {
            return Ok(());
        };
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        if touched.is_empty() {
            return Ok(());
        }
        while let Some(folder) = touched.first() {
            self.moves.at(Step::Sync, &[]).context(deed)?;
            let folder = root.folder(folder).context(deed)?;
            durable::folder(folder.as_fd(), |fd| fsync(fd)).context(deed)?;
            touched.pop_first();
        }
        durable::settle(root.root()).context(deed)
    }

    fn folder(&self) -> io::Result<&Confined> {
        if self.folder.get().is_none() {
            private::create_folder(&self.path)?;
            let _ = self.folder.set(Confined::open(&self.path)?);
        }
        Ok(self.folder.get().expect("was set above"))
    }

    fn touch(&self, folder: &str) {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        if !touched.contains(folder) {
            touched.insert(folder.to_owned());
        }
    }

    /// `true`: it is a copy.
    fn link_or_copy(&self, from: Place<'_>, to: Place<'_>) -> io::Result<bool> {
        match self.moves.link(from, to) {
            Ok(()) => Ok(false),
            Err(Errno::EXIST) => Err(Errno::EXIST.into()),
            // Another file system, one without links, or a file of another owner: whatever the
            // reason, a copy may still work, and says what is wrong when it does not.
            Err(_) => copy(&self.moves, from, to).map(|()| true),
        }
    }
}

/// `a.md`, then `a (2).md`, shortened where a file system would find it too long.
pub(crate) fn numbered(leaf: &str, number: u32) -> String {
    if number == 1 {
        return leaf.to_owned();
    }
    let (stem, extension) = match leaf.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
        _ => (leaf, String::new()),
    };
    let tail = format!(" ({number}){extension}");
    let mut room = 255usize.saturating_sub(tail.len()).min(stem.len());
    while !stem.is_char_boundary(room) {
        room -= 1;
    }
    format!("{}{tail}", &stem[..room])
}

/// Copies a file under a name that must be free, with its time. Its bytes are durable then; its
/// name is not yet.
pub(crate) fn copy(moves: &Moves, from: Place<'_>, to: Place<'_>) -> io::Result<()> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut source = File::from(openat(from.folder, from.name, read, Mode::empty())?);
    let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let mut target = File::from(openat(to.folder, to.name, create, mode)?);
    let copied = (|| {
        io::copy(&mut source, &mut target)?;
        target.set_modified(source.metadata()?.modified()?)?;
        moves.at(Step::Sync, &[to])?;
        target.sync_all()
    })();
    if copied.is_err() {
        let _ = unlinkat(to.folder, to.name, AtFlags::empty());
    }
    copied
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn place<'a>(folder: &'a Confined, name: &'a str) -> Place<'a> {
        let folder = folder.root();
        Place { folder, name }
    }

    fn keep(trash: &Trash, dir: &Path, path: &str, content: &str) -> Kept {
        fs::write(dir.join("file"), content).unwrap();
        let confined = Confined::open(dir).unwrap();
        let kept = trash
            .keep(place(&confined, "file"), &VaultPath::parse(path).unwrap())
            .unwrap();
        fs::remove_file(dir.join("file")).unwrap();
        kept
    }

    #[test]
    fn never_overwrites() {
        let dir = tempfile::tempdir().unwrap();
        // 2026-11-22 10:20:30 UTC
        let trash = Trash::new(&dir.path().join("trash/id"), Millis(1_795_342_830_000));
        assert!(!dir.path().join("trash").exists());
        for (path, content) in [
            ("d/a.md", "one"),
            ("d/a.md", "two"),
            ("d", "three"),
            ("d/a.md/x/y", "four"),
        ] {
            keep(&trash, dir.path(), path, content);
        }
        trash.flush().unwrap();
        let run = dir.path().join("trash/id/20261122-102030");
        assert_eq!(trash.path(), run);
        for (path, content) in [
            ("d/a.md", "one"),
            ("d/a (2).md", "two"),
            ("d (2)", "three"),
            ("(2)/d/a.md/x/y", "four"),
        ] {
            assert_eq!(
                fs::read_to_string(run.join(path)).unwrap(),
                content,
                "{path}"
            );
        }
        let mode = run.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
    }

    #[test]
    fn undone_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let trash = Trash::new(&dir.path().join("trash"), Millis(0));
        trash.undo(&keep(&trash, dir.path(), "a.md", "one"));
        assert_eq!(fs::read_dir(trash.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_copy_keeps_bytes_and_time() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "text").unwrap();
        let past = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        File::options()
            .write(true)
            .open(dir.path().join("a"))
            .unwrap()
            .set_modified(past)
            .unwrap();
        let confined = Confined::open(dir.path()).unwrap();
        let copied = || {
            copy(
                &Moves::default(),
                place(&confined, "a"),
                place(&confined, "b"),
            )
        };
        copied().unwrap();
        let b = dir.path().join("b");
        assert_eq!(fs::read_to_string(&b).unwrap(), "text");
        assert_eq!(b.metadata().unwrap().modified().unwrap(), past);
        let again = copied().unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&b).unwrap(), "text");
    }

    #[test]
    fn long_names_are_shortened() {
        let long = format!("{}.md", "é".repeat(126));
        let leaf = numbered(&long, 12);
        assert!(leaf.len() <= 255 && leaf.ends_with(" (12).md"), "{leaf}");
        assert_eq!(numbered(".hidden", 2), ".hidden (2)");
    }
}
