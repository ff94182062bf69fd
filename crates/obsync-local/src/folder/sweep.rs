//! Clearing what a dead run left, and keeping what is not ours.

use std::io::Read as _;

use obsync_core::{StoreError, StoreErrorKind, VaultPath};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::Dir;
use rustix::io::Errno;

use super::Inner;
use super::inspect::{Seen, look};
use super::moves::Place;
use super::names::BESIDE;
use super::out::{Out, Role};
use crate::error::Context as _;

/// More than the path of a folder ever needs.
const NOTE_MAX: u64 = 1 << 16;

/// What a sweep takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sweep {
    /// All that dead runs left.
    All,
    /// Only what may be somebody's.
    Others,
}

impl Inner {
    /// Clears `tmp`, and what notes there say waits elsewhere. What is not ours is kept.
    pub(super) fn sweep(&self) -> Result<(), StoreError> {
        self.clear(Sweep::All)
    }

    /// Where everything is that was kept, below the root; and what could not be brought there.
    pub(super) fn rescued(&self) -> Result<Vec<String>, StoreError> {
        self.clear(Sweep::Others)?;
        let mut all = Vec::new();
        for folder in [Self::kept_path(), Self::tmp_path()] {
            let told = |name: &String| match Role::of(name) {
                Role::Out(out) => out.run != self.run_name(),
                _ => folder == Self::kept_path() && !name.starts_with('.'),
            };
            let mut names = self.own_names(&folder)?;
            names.retain(told);
            names.sort();
            all.extend(names.iter().map(|name| format!("{folder}/{name}")));
        }
        Ok(all)
    }

    /// The names in a folder of ours; none where it is not there.
    fn own_names(&self, path: &str) -> Result<Vec<String>, StoreError> {
        let deed = || format!("can't list {}", self.path.join(path).display());
        match self.own_folder(path) {
            Ok(None) => Ok(Vec::new()),
            Ok(Some(folder)) => names_in(folder.as_fd()).context(deed),
            Err(error) if error.kind == StoreErrorKind::InTheWay => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn own_folder(&self, path: &str) -> Result<Option<OwnedFd>, StoreError> {
        match self.root()?.map(|root| root.folder(path)) {
            None | Some(Err(Errno::NOENT)) => Ok(None),
            Some(Ok(folder)) => Ok(Some(folder)),
            Some(Err(error)) => {
                Err(error).context(|| format!("can't open {}", self.path.join(path).display()))
            }
        }
    }

    fn clear(&self, sweep: Sweep) -> Result<(), StoreError> {
        let path = Self::tmp_path();
        let deed = || format!("can't clear {}", self.path.join(&path).display());
        let Some(tmp) = self.own_folder(&path)? else {
            return Ok(());
        };
        for name in names_in(tmp.as_fd()).context(deed)? {
            let place = Place {
                folder: tmp.as_fd(),
                name: &name,
            };
            match Role::of(&name) {
                Role::Note { run } if run != self.run_name() => {
                    if self.clear_beside(place, sweep)? {
                        self.remove(place).context(deed)?;
                    }
                }
                // File managers leave such.
                Role::Foreign if name.starts_with('.') => {}
                Role::Foreign if sweep == Sweep::All => self.set_apart(place, &name),
                role => self.clear_one(place, role, sweep).context(deed)?,
            }
        }
        Ok(())
    }

    /// Clears a file of a dead run.
    fn clear_one(&self, place: Place<'_>, role: Role<'_>, sweep: Sweep) -> rustix::io::Result<()> {
        match role {
            Role::Staged { run } if run != self.run_name() && sweep == Sweep::All => {
                self.remove(place)
            }
            Role::Out(out) if out.run != self.run_name() => self.clear_out(place, out),
            _ => Ok(()),
        }
    }

    fn clear_out(&self, place: Place<'_>, out: Out<'_>) -> rustix::io::Result<()> {
        match look(place.folder, place.name)? {
            Seen::Absent => {}
            Seen::File { id, .. } if out.is_ours(id) => self.remove(place)?,
            _ => self.set_apart(place, out.leaf),
        }
        Ok(())
    }

    /// Keeps what is not ours. What can't be moved is as safe where it is.
    fn set_apart(&self, place: Place<'_>, leaf: &str) {
        if let Err(error) = self.rescue(place, leaf) {
            tracing::warn!(%error, "something in our own folder is not ours");
        }
    }

    fn remove(&self, place: Place<'_>) -> rustix::io::Result<()> {
        match self.moves.unlink(place) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(_) if look(place.folder, place.name) == Ok(Seen::Folder) => {
                self.set_apart(place, place.name);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Clears the folder that a note names; `true` if nothing of ours is left there. A note that
    /// makes no sense names none.
    fn clear_beside(&self, note: Place<'_>, sweep: Sweep) -> Result<bool, StoreError> {
        let deed = || format!("can't clear what {} names", note.name);
        let path = format!("{}/{}", Self::tmp_path(), note.name);
        let Some((file, _)) = VaultPath::parse(&path)
            .ok()
            .and_then(|path| self.open_file(&path).transpose())
            .transpose()?
        else {
            return Ok(true);
        };
        let mut folder = Vec::new();
        file.take(NOTE_MAX).read_to_end(&mut folder).context(deed)?;
        let folder = match String::from_utf8(folder) {
            Ok(folder) if folder.is_empty() || VaultPath::parse(&folder).is_ok() => folder,
            _ => return Ok(true),
        };
        let folder = match self.root()?.map(|root| root.folder(&folder)) {
            None | Some(Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => return Ok(true),
            Some(folder) => folder.context(deed)?,
        };
        for name in names_in(folder.as_fd()).context(deed)? {
            if let Some(rest) = name.strip_prefix(BESIDE) {
                let place = Place {
                    folder: folder.as_fd(),
                    name: &name,
                };
                self.clear_one(place, Role::of(rest), sweep).context(deed)?;
            }
        }
        let mut left = names_in(folder.as_fd()).context(deed)?.into_iter();
        Ok(!left.any(|name| {
            let role = name.strip_prefix(BESIDE).map(Role::of);
            matches!(role, Some(Role::Staged { .. } | Role::Out(_)))
        }))
    }
}

/// The names in a folder that are text; all that we give are.
fn names_in(folder: BorrowedFd<'_>) -> rustix::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        if let Ok(name) = entry?.file_name().to_str() {
            names.push(name.to_owned());
        }
    }
    names.retain(|name| !matches!(name.as_str(), "." | ".."));
    Ok(names)
}
