//! Renames that never overwrite, and exchanges.

use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, linkat, renameat, statat, unlinkat};
use rustix::io::{Errno, Result};

use super::unsupported;

/// One name in an open folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) folder: BorrowedFd<'a>,
    pub(super) name: &'a str,
}

impl Place<'_> {
    pub(super) fn unlink(self) -> Result<()> {
        unlinkat(self.folder, self.name, AtFlags::empty())
    }
}

/// Renames onto a name that must be free. `EXIST`: it is not.
pub(super) fn rename_new(from: Place<'_>, to: Place<'_>) -> Result<()> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::{RenameFlags, renameat_with};
        match renameat_with(
            from.folder,
            from.name,
            to.folder,
            to.name,
            RenameFlags::NOREPLACE,
        ) {
            Err(error) if unsupported(error) => {}
            done => return done,
        }
    }
    rename_new_by_link(from, to)
}

/// The same where the file system has no such rename.
fn rename_new_by_link(from: Place<'_>, to: Place<'_>) -> Result<()> {
    match linkat(from.folder, from.name, to.folder, to.name, AtFlags::empty()) {
        Ok(()) => return from.unlink(),
        // It is a folder, or there are no hard links here.
        Err(Errno::PERM | Errno::MLINK) => {}
        Err(error) if unsupported(error) => {}
        Err(error) => return Err(error),
    }
    // A last resort with a gap between look and rename: there is no better way on such a system.
    match statat(to.folder, to.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => renameat(from.folder, from.name, to.folder, to.name),
        Err(error) => Err(error),
    }
}

/// Exchanges two names in one step. An error that is [`unsupported`]: nothing happened, and never
/// will on this file system.
pub(super) fn exchange(a: Place<'_>, b: Place<'_>) -> Result<()> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::{RenameFlags, renameat_with};
        renameat_with(a.folder, a.name, b.folder, b.name, RenameFlags::EXCHANGE)
    }
    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    {
        let _ = (a, b);
        Err(Errno::NOSYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::confined::Confined;
    use std::fs;

    #[test]
    fn a_taken_name_stays() {
        let dir = tempfile::tempdir().unwrap();
        let confined = Confined::open(dir.path()).unwrap();
        let place = |name| Place {
            folder: confined.root(),
            name,
        };
        for rename in [rename_new, rename_new_by_link] {
            for name in ["a", "b"] {
                fs::write(dir.path().join(name), name).unwrap();
            }
            fs::create_dir_all(dir.path().join("d")).unwrap();
            fs::create_dir_all(dir.path().join("e")).unwrap();
            for (from, to) in [("a", "b"), ("a", "d"), ("d", "a"), ("d", "e")] {
                let renamed = rename(place(from), place(to));
                assert_eq!(renamed.unwrap_err(), Errno::EXIST, "{from} {to}");
            }
            assert_eq!(fs::read_to_string(dir.path().join("b")).unwrap(), "b");
            rename(place("a"), place("c")).unwrap();
            rename(place("d"), place("f")).unwrap();
            assert!(!dir.path().join("a").exists() && !dir.path().join("d").exists());
            assert_eq!(fs::read_to_string(dir.path().join("c")).unwrap(), "a");
            fs::remove_dir(dir.path().join("f")).unwrap();
            fs::remove_file(dir.path().join("c")).unwrap();
        }
    }
}
