//! [`Confined`]: access to what lies below one folder, and to nothing else.
//!
//! Every path is walked from an open handle on that folder, and no symbolic link is ever followed,
//! neither among the parents nor as the last part, whoever plants it and when. On Linux one
//! `openat2` does the walk; elsewhere, or where a sandbox forbids that call, each part is opened
//! by itself.

use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, openat, statat};
use rustix::io::{Errno, Result};

/// How a folder is opened. Reading rights are needed: a folder that is opened to be searched only
/// can't be made durable.
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// A folder whose inside is all that can be reached.
#[derive(Debug)]
pub(crate) struct Confined {
    root: OwnedFd,
}

impl Confined {
    /// Opens the folder. Links in its own path are its owner's business and are followed.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            root: openat(CWD, path, FOLDER, Mode::empty())?,
        })
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens a folder below; `""` is the root. `LOOP`: a link is in the way. `NOTDIR`: a file is.
    pub(crate) fn folder(&self, path: &str) -> Result<OwnedFd> {
        if path.is_empty() {
            return openat(&self.root, ".", FOLDER, Mode::empty());
        }
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{ResolveFlags, openat2};
            let resolve =
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match openat2(&self.root, path, FOLDER, Mode::empty(), resolve) {
                // Old kernels, and sandboxes that don't know the call.
                Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {}
                done => return done,
            }
        }
        self.folder_by_parts(path)
    }

    fn folder_by_parts(&self, path: &str) -> Result<OwnedFd> {
        let mut parts = path.split('/');
        let mut folder = step(self.root(), parts.next().unwrap_or("."))?;
        for part in parts {
            folder = step(folder.as_fd(), part)?;
        }
        Ok(folder)
    }

    /// Opens the folder that holds a path, and gives it with the last part of the path.
    pub(crate) fn parent<'a>(&self, path: &'a str) -> Result<(OwnedFd, &'a str)> {
        let (parent, leaf) = split(path);
        Ok((self.folder(parent)?, leaf))
    }

    /// Opens a folder below, creating it and those above it where they are missing. Tells of each
    /// folder in which it created one.
    pub(crate) fn create(
        &self,
        path: &str,
        mode: Mode,
        mut created_in: impl FnMut(&str),
    ) -> Result<OwnedFd> {
        match self.folder(path) {
            Err(Errno::NOENT) => {}
            done => return done,
        }
        let mut folder = self.folder("")?;
        let mut done = 0;
        for part in path.split('/') {
            match mkdirat(&folder, part, mode) {
                Ok(()) => created_in(path[..done].trim_end_matches('/')),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            folder = step(folder.as_fd(), part)?;
            done += part.len() + 1;
        }
        Ok(folder)
    }
}

/// Opens one folder inside another. A link is told from a file: systems answer both alike.
fn step(folder: BorrowedFd<'_>, part: &str) -> Result<OwnedFd> {
    match openat(folder, part, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
        Err(Errno::NOTDIR) => {
            let stat = statat(folder, part, AtFlags::SYMLINK_NOFOLLOW)?;
            let link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
            Err(if link { Errno::LOOP } else { Errno::NOTDIR })
        }
        done => done,
    }
}

/// Splits a path into the folder's and the last part.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    type Open = fn(&Confined, &str) -> Result<OwnedFd>;

    #[test]
    fn both_walks_stop_at_links_and_files() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(outside.join("b")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        symlink(&outside, root.join("out")).unwrap();
        symlink("a", root.join("in")).unwrap();
        let confined = Confined::open(&root).unwrap();
        for open in [Confined::folder as Open, Confined::folder_by_parts] {
            open(&confined, "a/b").unwrap();
            for (path, errno) in [
                ("out", Errno::LOOP),
                ("out/b", Errno::LOOP),
                ("in", Errno::LOOP),
                ("in/b", Errno::LOOP),
                ("file", Errno::NOTDIR),
                ("file/b", Errno::NOTDIR),
                ("none/b", Errno::NOENT),
            ] {
                assert_eq!(open(&confined, path).unwrap_err(), errno, "{path}");
            }
        }
        for path in ["out/new", "in/new", "out"] {
            let created = confined.create(path, Mode::RWXU, |_| {});
            assert_eq!(created.unwrap_err(), Errno::LOOP, "{path}");
        }
        assert!(!outside.join("new").exists());
    }

    #[test]
    fn creating_tells_where() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        let confined = Confined::open(dir.path()).unwrap();
        let mut told = Vec::new();
        confined
            .create("a/b/c", Mode::RWXU, |folder| told.push(folder.to_owned()))
            .unwrap();
        assert_eq!(told, ["a", "a/b"]);
        confined
            .create("a/b/c", Mode::RWXU, |_| panic!("nothing to create"))
            .unwrap();
        told.clear();
        confined
            .create("x", Mode::RWXU, |folder| told.push(folder.to_owned()))
            .unwrap();
        assert_eq!(told, [""]);
    }
}
