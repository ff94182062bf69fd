//! Making staged content visible in one step, over what was expected and nothing else.

use obsync_core::{
    Expect, PublishError, Retire, Staged, Stamp, StoreError, StoreErrorKind, VaultPath,
};
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::fs::{Mode, OFlags, fchmod, openat};
use rustix::io::Errno;

use super::aside::Aside;
use super::inspect::{FileId, Seen, look};
use super::moves::Place;
use super::names::BESIDE;
use super::stage::Waiting;
use super::{Inner, unsupported};
use crate::error::{Context as _, changed, in_the_way};

/// Why content could not be put in its place.
pub(super) enum Refused {
    /// The place is on another file system than `tmp`.
    Elsewhere,
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Content that is ready to be moved into its place.
pub(super) struct Ready<'a> {
    pub(super) folder: BorrowedFd<'a>,
    pub(super) name: &'a mut String,
    /// Whether that name holds our content. It may come to hold somebody's.
    pub(super) ours: &'a mut bool,
    pub(super) id: FileId,
    pub(super) mode: Mode,
}

impl Ready<'_> {
    fn place(&self) -> Place<'_> {
        Place {
            folder: self.folder,
            name: self.name,
        }
    }
}

/// A place in the tree.
pub(super) struct Target<'a> {
    pub(super) place: Place<'a>,
    pub(super) path: &'a VaultPath,
}

impl<'a> Target<'a> {
    pub(super) fn new(folder: BorrowedFd<'a>, name: &'a str, path: &'a VaultPath) -> Self {
        let place = Place { folder, name };
        Self { place, path }
    }
}

impl Inner {
    pub(super) fn publish(
        &self,
        staged: Staged,
        expect: &Expect,
        retire: Retire,
    ) -> Result<Stamp, Box<PublishError>> {
        let Staged { path, meta, handle } = staged;
        let refuse = |handle: Option<Box<dyn std::any::Any + Send>>, path, meta, error| {
            let staged = handle.map(|handle| Staged { path, meta, handle });
            Err(Box::new(PublishError { staged, error }))
        };
        let mut waiting = match handle.downcast::<Waiting>() {
            Ok(waiting) if waiting.temp.belongs_to(self) => waiting,
            other => {
                let handle = other.map_or_else(|handle| handle, |waiting| waiting as _);
                let reason = format!("'{}' was staged by another store", path.display());
                let error = StoreError::new(StoreErrorKind::Other, reason);
                return refuse(Some(handle), path, meta, error);
            }
        };
        match self.place(&mut waiting, &path, expect, retire) {
            Ok(stamp) => Ok(stamp),
            // Once its file has moved, the content can't be tried again.
            Err(error) if !waiting.temp.live => refuse(None, path, meta, error),
            Err(error) => refuse(Some(waiting), path, meta, error),
        }
    }

    fn place(
        &self,
        waiting: &mut Waiting,
        path: &VaultPath,
        expect: &Expect,
        retire: Retire,
    ) -> Result<Stamp, StoreError> {
        let (folder, name) = self.create_parent(path)?;
        let tmp = self.tmp()?;
        let Waiting { temp, id, mode } = waiting;
        let (mut id, mode) = (*id, *mode);
        let target = Target::new(folder.as_fd(), name, path);
        let mut ready = Ready {
            folder: tmp.as_fd(),
            name: &mut temp.name,
            ours: &mut temp.live,
            id,
            mode,
        };
        match self.put(&mut ready, &target, expect, retire) {
            Ok(()) => {}
            Err(Refused::Store(error)) => return Err(error),
            Err(Refused::Elsewhere) => {
                let (mut beside, copy) = Aside::copy_of(self, ready.place(), &target)?;
                id = copy;
                let mut ready = Ready {
                    folder: beside.folder.as_fd(),
                    name: &mut beside.name,
                    ours: &mut beside.ours,
                    id,
                    mode,
                };
                match self.put(&mut ready, &target, expect, retire) {
                    Ok(()) => {}
                    Err(Refused::Store(error)) => return Err(error),
                    Err(Refused::Elsewhere) => {
                        return Err(Errno::XDEV).context(|| cant_publish(path));
                    }
                }
            }
        }
        self.touch_parent(path);
        // Where someone wrote to it since, the stamp is the one that it had in waiting. The file
        // no longer bears it, so the edit will be noticed.
        Ok(match look(folder.as_fd(), name) {
            Ok(Seen::File { id: now, .. }) if now.content() == id.content() => now.stamp(),
            _ => id.stamp(),
        })
    }

    /// Puts a file in its place. On success the name that it came from is gone.
    fn put(
        &self,
        ready: &mut Ready<'_>,
        target: &Target<'_>,
        expect: &Expect,
        retire: Retire,
    ) -> Result<(), Refused> {
        let Target { place, path } = target;
        let deed = || cant_publish(path);
        let seen = |folder: BorrowedFd<'_>| look(folder, place.name).context(deed);
        let Expect::Is(stamp) = expect else {
            return match self.moves.rename_new(ready.place(), *place) {
                Ok(()) => {
                    *ready.ours = false;
                    Ok(())
                }
                Err(Errno::XDEV) => Err(Refused::Elsewhere),
                Err(Errno::EXIST) => Err(not_expected(seen(place.folder)?, path).into()),
                Err(error) => {
                    *ready.ours = Self::holds(ready.place(), ready.id);
                    Ok(Err(error).naming(deed)?)
                }
            };
        };
        let (before, mode) = match seen(place.folder)? {
            Seen::File { id, mode } if id.stamp() == *stamp => (id, mode),
            other => return Err(not_expected(other, path).into()),
        };
        if mode != ready.mode {
            // Who made a note private wants it to stay so. Where rights mean nothing, this fails.
            let _ = set_mode(ready.place(), mode);
        }
        let kept = self.keep_in_trash(*place, path, retire)?;
        let settled = self.settle_trash(&kept).map_err(Refused::from);
        let swapped = settled.and_then(|()| self.swap(ready, target, before));
        if let (Err(_), Some(trash), Some(kept)) = (&swapped, &self.options.trash, &kept) {
            trash.undo(kept);
        }
        swapped
    }

    /// Replaces the file `before` in one step. What was replaced is looked at afterwards, for
    /// someone may have written between the check and the step; if so, the step is undone.
    fn swap(
        &self,
        ready: &mut Ready<'_>,
        target: &Target<'_>,
        before: FileId,
    ) -> Result<(), Refused> {
        let Target { place, path } = target;
        let deed = || cant_publish(path);
        self.call_out(ready, before, place.name).context(deed)?;
        let exchanged = self.moves.exchange(ready.place(), *place);
        match exchanged {
            Ok(()) => {}
            // It was done after all, and only the answer is lost.
            Err(_) if !Self::holds(ready.place(), ready.id) => {}
            Err(Errno::XDEV) => return Err(Refused::Elsewhere),
            Err(Errno::NOENT) => return Err(not_expected(Seen::Absent, path).into()),
            Err(error) if unsupported(error) => {
                // The look is just before; there is no better way on such a system.
                if !Self::holds(*place, before) {
                    return Err(not_expected(Seen::Absent, path).into());
                }
                let renamed = self.moves.rename(ready.place(), *place);
                *ready.ours = renamed.is_err() && Self::holds(ready.place(), ready.id);
                return Ok(renamed.naming(deed)?);
            }
            Err(_) => return Ok(exchanged.naming(deed)?),
        }
        *ready.ours = false;
        if Self::holds(ready.place(), before) {
            // If this fails, it is swept by the next run.
            let _ = self.moves.unlink(ready.place());
            return Ok(());
        }
        Err(self.take_back(ready, target)?.into())
    }

    /// Gives staged content a name that the next run understands, should it find somebody's text
    /// under it.
    fn call_out(
        &self,
        ready: &mut Ready<'_>,
        before: FileId,
        leaf: &str,
    ) -> rustix::io::Result<()> {
        let out = self.out_name(before, ready.id, leaf);
        let name = match ready.name.starts_with(BESIDE) {
            true => format!("{BESIDE}{out}"),
            false => out,
        };
        let place = Place {
            name: &name,
            ..ready.place()
        };
        let called = self.moves.rename(ready.place(), place);
        // An answer may be lost, and the step taken all the same.
        let done = called.is_ok() || Self::holds(place, ready.id);
        if done {
            *ready.name = name;
            return Ok(());
        }
        called
    }

    /// Undoes an exchange that brought out what somebody wrote.
    fn take_back(
        &self,
        ready: &mut Ready<'_>,
        target: &Target<'_>,
    ) -> Result<StoreError, StoreError> {
        let Target { place, path } = target;
        let refused = not_expected(Seen::Absent, path);
        let undone = self.moves.exchange(ready.place(), *place);
        if Self::holds(ready.place(), ready.id) {
            *ready.ours = true;
            return Ok(refused);
        }
        match undone {
            // Someone wrote twice, before and after the exchange. Both are theirs.
            Ok(()) => self.rescue(ready.place(), place.name).map(|()| refused),
            // What we had put there was removed.
            Err(Errno::NOENT) if self.moves.rename_new(ready.place(), *place).is_ok() => {
                Ok(refused)
            }
            Err(error) => {
                self.rescue(ready.place(), place.name)?;
                Err(error).context(|| cant_publish(path))
            }
        }
    }
}

fn set_mode(place: Place<'_>, mode: Mode) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(place.folder, place.name, flags, Mode::empty())?;
    fchmod(file, mode & Mode::from_raw_mode(0o777))
}

fn cant_publish(path: &VaultPath) -> String {
    format!("can't put '{}' in its place", path.display())
}

fn not_expected(seen: Seen, path: &VaultPath) -> StoreError {
    let path = path.display();
    match seen {
        Seen::Folder => in_the_way(format!("a folder stands where '{path}' should")),
        Seen::Foreign(what) => in_the_way(format!("{what} stands where '{path}' should")),
        _ => changed(format!("'{path}' is not what it was")),
    }
}
