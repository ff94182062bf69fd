//! Looking at what is there: kinds, stamps, hashes.

use std::fs::File;
use std::io::Read as _;

use obsidian_sync::ContentHash;
use obsync_core::{Found, Stamp, StoreError, VaultPath};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::Inner;
use crate::error::{Context as _, changed};

/// What tells one write of a file from another.
///
/// Size, modification time and file number, and the time of the last change of the inode, which
/// no program can set: it betrays an edit that restores size and time. A rename moves that last
/// one too, so a stamp is taken after the file is in its place, and checks around our own moves
/// compare [`FileId::content`] only. What else moves it (new rights, a hard link) costs the engine
/// one hash, and loses nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
    number: u64,
}

impl FileId {
    // The types of these fields differ between systems.
    #[allow(clippy::unnecessary_cast)]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            size: stat.st_size as u64,
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            number: stat.st_ino as u64,
        }
    }

    pub(super) fn stamp(&self) -> Stamp {
        let Self {
            size,
            mtime,
            ctime,
            number,
        } = self;
        Stamp(format!(
            "{size} {}.{:09} {}.{:09} {number}",
            mtime.0, mtime.1, ctime.0, ctime.1
        ))
    }

    /// The part that a rename leaves as it is.
    pub(super) fn content(&self) -> (u64, (i64, i64), u64) {
        (self.size, self.mtime, self.number)
    }

    /// The same part as a short text, for a file name.
    pub(super) fn short(&self) -> String {
        crate::paths::short_hash(&format!("{:?}", self.content()))
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn mtime(&self) -> (i64, i64) {
        self.mtime
    }
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Absent,
    File { id: FileId, mode: Mode },
    Folder,
    Foreign(&'static str),
}

impl From<Seen> for Found {
    fn from(seen: Seen) -> Self {
        match seen {
            Seen::Absent => Self::Absent,
            Seen::File { id, .. } => Self::File {
                stamp: id.stamp(),
                size: id.size,
            },
            Seen::Folder => Self::Folder,
            Seen::Foreign(what) => Self::Foreign(what.to_owned()),
        }
    }
}

impl From<&Stat> for Seen {
    fn from(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Self::File {
                id: FileId::of(stat),
                mode: Mode::from_raw_mode(stat.st_mode),
            },
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Foreign("a symbolic link"),
            FileType::Fifo => Self::Foreign("a named pipe"),
            FileType::Socket => Self::Foreign("a socket"),
            _ => Self::Foreign("a device"),
        }
    }
}

/// Looks at one name in an open folder.
pub(super) fn look(folder: BorrowedFd<'_>, leaf: &str) -> rustix::io::Result<Seen> {
    match statat(folder, leaf, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Seen::from(&stat)),
        Err(Errno::NOENT) => Ok(Seen::Absent),
        Err(error) => Err(error),
    }
}

/// A path whose folder could be opened, or why not.
pub(super) enum Parent<'a> {
    Open(OwnedFd, &'a str),
    /// No folder is there, or a file stands in its place: nothing can be at the path.
    Missing,
    /// A link is among the folders above.
    Linked,
}

impl Inner {
    pub(super) fn parent<'a>(&self, path: &'a VaultPath) -> Result<Parent<'a>, StoreError> {
        let Some(root) = self.root()? else {
            return Ok(Parent::Missing);
        };
        match root.parent(path.as_str()) {
            Ok((folder, leaf)) => Ok(Parent::Open(folder, leaf)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(Parent::Missing),
            Err(Errno::LOOP) => Ok(Parent::Linked),
            Err(error) => {
                Err(error).context(|| format!("can't open the folder of '{}'", path.display()))
            }
        }
    }

    pub(super) fn inspect(&self, path: &VaultPath) -> Result<Found, StoreError> {
        match self.parent(path)? {
            Parent::Missing => Ok(Found::Absent),
            Parent::Linked => Ok(Found::Foreign(
                "a symbolic link is among the folders above it".to_owned(),
            )),
            Parent::Open(folder, leaf) => look(folder.as_fd(), leaf)
                .map(Found::from)
                .context(|| format!("can't look at '{}'", path.display())),
        }
    }

    /// Opens a regular file for reading, with its identity; `None` if none is there.
    pub(super) fn open_file(&self, path: &VaultPath) -> Result<Option<(File, FileId)>, StoreError> {
        let deed = || format!("can't open '{}'", path.display());
        let Parent::Open(folder, leaf) = self.parent(path)? else {
            return Ok(None);
        };
        // Without NONBLOCK, a named pipe would make us wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&folder, leaf, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ISDIR) => return Ok(None),
            Err(error) => return Err(error).context(deed),
        };
        match Seen::from(&fstat(&file).context(deed)?) {
            Seen::File { id, .. } => Ok(Some((File::from(file), id))),
            _ => Ok(None),
        }
    }

    pub(super) fn hash(
        &self,
        path: &VaultPath,
    ) -> Result<Option<(ContentHash, Stamp)>, StoreError> {
        let Some((mut file, id)) = self.open_file(path)? else {
            return Ok(None);
        };
        let hash = read_through(&mut file, path, |_| Ok(()))?;
        unchanged(&file, id, path)?;
        Ok(Some((hash, id.stamp())))
    }
}

/// Reads a file to its end, hands on each piece, and gives the hash of all.
pub(super) fn read_through(
    file: &mut File,
    path: &VaultPath,
    mut piece: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<ContentHash, StoreError> {
    let mut buffer = vec![0; 128 * 1024];
    let mut hasher = Sha256::new();
    loop {
        let length = file
            .read(&mut buffer)
            .context(|| format!("can't read '{}'", path.display()))?;
        if length == 0 {
            return Ok(ContentHash(hasher.finalize().into()));
        }
        hasher.update(&buffer[..length]);
        piece(&buffer[..length])?;
    }
}

/// Fails when an open file is no longer what it was when it was opened.
pub(super) fn unchanged(file: &File, id: FileId, path: &VaultPath) -> Result<(), StoreError> {
    let stat = fstat(file).context(|| format!("can't look at '{}'", path.display()))?;
    if FileId::of(&stat) == id {
        return Ok(());
    }
    Err(changed(format!(
        "'{}' changed while it was read",
        path.display()
    )))
}
