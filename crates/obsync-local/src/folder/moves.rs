//! Renames that never overwrite, exchanges, and what else makes names change.

use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, linkat, renameat, statat, unlinkat};
use rustix::io::{Errno, Result};

use super::unsupported;

/// One name in an open folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) folder: BorrowedFd<'a>,
    pub(crate) name: &'a str,
}

/// How a name was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// The old one is gone.
    Whole,
    /// The old one is there still.
    Linked,
}

/// What is asked of the system when names change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Exchange,
    RenameNew,
    Link,
    Rename,
    Unlink,
    SetTimes,
    Sync,
}

#[cfg(test)]
type Before = Box<dyn Fn(Step, &[Place<'_>]) -> Result<()> + Send + Sync>;

/// The steps by which names change. Tests fail them, stop at them, and meddle between them.
#[derive(Default)]
pub(crate) struct Moves {
    #[cfg(test)]
    pub(crate) before: std::sync::OnceLock<Before>,
}

impl std::fmt::Debug for Moves {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Moves")
    }
}

impl Moves {
    /// Tells that a step comes next, and between which places.
    pub(crate) fn at(&self, step: Step, places: &[Place<'_>]) -> Result<()> {
        #[cfg(test)]
        if let Some(before) = self.before.get() {
            return before(step, places);
        }
        let _ = (step, places);
        Ok(())
    }

    pub(crate) fn unlink(&self, place: Place<'_>) -> Result<()> {
        self.at(Step::Unlink, &[place])?;
        unlinkat(place.folder, place.name, AtFlags::empty())
    }

    /// Renames onto a name, whatever bears it.
    pub(crate) fn rename(&self, from: Place<'_>, to: Place<'_>) -> Result<()> {
        self.at(Step::Rename, &[from, to])?;
        renameat(from.folder, from.name, to.folder, to.name)
    }

    /// Renames a name of our own onto one that must be free. `EXIST`: it is not.
    pub(crate) fn rename_new(&self, from: Place<'_>, to: Place<'_>) -> Result<()> {
        match self.rename_or_link(from, to)? {
            Moved::Whole => Ok(()),
            Moved::Linked => self.unlink(from),
        }
    }

    /// Gives a file a name that must be free. Where no single step does that, its old name is left
    /// to the caller: somebody may have put another file there by now.
    pub(crate) fn rename_or_link(&self, from: Place<'_>, to: Place<'_>) -> Result<Moved> {
        match self.rename_new_at_once(from, to) {
            Err(error) if unsupported(error) => {}
            done => return done.map(|()| Moved::Whole),
        }
        match self.link(from, to) {
            Ok(()) => return Ok(Moved::Linked),
            // It is a folder, or there are no hard links here.
            Err(Errno::PERM | Errno::MLINK) => {}
            Err(error) if unsupported(error) => {}
            Err(error) => return Err(error),
        }
        // A last resort with a gap between look and rename: there is no better way on such a system.
        match statat(to.folder, to.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => self.rename(from, to).map(|()| Moved::Whole),
            Err(error) => Err(error),
        }
    }

    fn rename_new_at_once(&self, from: Place<'_>, to: Place<'_>) -> Result<()> {
        self.at(Step::RenameNew, &[from, to])?;
        #[cfg(any(target_os = "linux", target_vendor = "apple"))]
        {
            use rustix::fs::{RenameFlags, renameat_with};
            let flags = RenameFlags::NOREPLACE;
            renameat_with(from.folder, from.name, to.folder, to.name, flags)
        }
        #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
        {
            let _ = (from, to);
            Err(Errno::NOSYS)
        }
    }

    pub(crate) fn link(&self, from: Place<'_>, to: Place<'_>) -> Result<()> {
        self.at(Step::Link, &[from, to])?;
        linkat(from.folder, from.name, to.folder, to.name, AtFlags::empty())
    }

    /// Exchanges two names in one step. An error that is [`unsupported`]: nothing happened, and
    /// never will on this file system.
    pub(crate) fn exchange(&self, a: Place<'_>, b: Place<'_>) -> Result<()> {
        self.at(Step::Exchange, &[a, b])?;
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::confined::Confined;
    use std::fs;

    /// Moves on a file system that has none but the plain rename, and links perhaps.
    fn without(links: bool) -> Moves {
        let moves = Moves::default();
        let refuse = move |step, _: &[Place<'_>]| match step {
            Step::Exchange | Step::RenameNew => Err(Errno::INVAL),
            Step::Link if !links => Err(Errno::PERM),
            _ => Ok(()),
        };
        moves.before.set(Box::new(refuse)).ok().unwrap();
        moves
    }

    #[test]
    fn a_taken_name_stays() {
        let dir = tempfile::tempdir().unwrap();
        let confined = Confined::open(dir.path()).unwrap();
        let place = |name| Place {
            folder: confined.root(),
            name,
        };
        for moves in [Moves::default(), without(true), without(false)] {
            for name in ["a", "b"] {
                fs::write(dir.path().join(name), name).unwrap();
            }
            fs::create_dir_all(dir.path().join("d")).unwrap();
            fs::create_dir_all(dir.path().join("e")).unwrap();
            for (from, to) in [("a", "b"), ("a", "d"), ("d", "a"), ("d", "e")] {
                let renamed = moves.rename_new(place(from), place(to));
                assert_eq!(renamed.unwrap_err(), Errno::EXIST, "{from} {to}");
            }
            assert_eq!(fs::read_to_string(dir.path().join("b")).unwrap(), "b");
            moves.rename_new(place("a"), place("c")).unwrap();
            moves.rename_new(place("d"), place("f")).unwrap();
            assert!(!dir.path().join("a").exists() && !dir.path().join("d").exists());
            assert_eq!(fs::read_to_string(dir.path().join("c")).unwrap(), "a");
            fs::remove_dir(dir.path().join("f")).unwrap();
            fs::remove_file(dir.path().join("c")).unwrap();
        }
    }
}
