//! Making staged content visible in one step, over what was expected and nothing else.

use std::fs::File;
use std::io::Write as _;

use obsync_core::{
    Expect, PublishError, Retire, Staged, Stamp, StoreError, StoreErrorKind, VaultPath,
};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fchmod, fstat, openat, renameat};
use rustix::io::Errno;

use super::inspect::{FileId, Seen, look};
use super::moves::{Place, exchange, rename_new};
use super::names::{BESIDE, OWN};
use super::stage::{NOTE, Waiting};
use super::{Inner, file_mode, folder_mode, times, unsupported};
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
#[derive(Clone, Copy)]
pub(super) struct Ready<'a> {
    pub(super) place: Place<'a>,
    pub(super) id: FileId,
    pub(super) mode: Mode,
}

/// Where content is to appear.
pub(super) struct Target<'a> {
    pub(super) place: Place<'a>,
    pub(super) path: &'a VaultPath,
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
            Err(error) if !waiting.temp.is_live() => refuse(None, path, meta, error),
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
        let ready = Ready {
            place: Place {
                folder: tmp.as_fd(),
                name: &temp.name,
            },
            id,
            mode,
        };
        let target = Target {
            place: Place {
                folder: folder.as_fd(),
                name,
            },
            path,
        };
        match self.put(ready, &target, expect, retire) {
            Ok(()) => temp.release(),
            Err(Refused::Store(error)) => return Err(error),
            Err(Refused::Elsewhere) => {
                let beside = self.copy_beside(ready.place, &target)?;
                id = beside.id;
                let place = Place {
                    folder: folder.as_fd(),
                    name: &beside.name,
                };
                match self.put(Ready { place, id, mode }, &target, expect, retire) {
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
        ready: Ready<'_>,
        target: &Target<'_>,
        expect: &Expect,
        retire: Retire,
    ) -> Result<(), Refused> {
        let Target { place, path } = target;
        let deed = || cant_publish(path);
        let seen = |folder: BorrowedFd<'_>| look(folder, place.name).context(deed);
        let Expect::Is(stamp) = expect else {
            return match rename_new(ready.place, *place) {
                Ok(()) => Ok(()),
                Err(Errno::XDEV) => Err(Refused::Elsewhere),
                Err(Errno::EXIST) => Err(not_expected(seen(place.folder)?, path).into()),
                failed => Ok(failed.naming(deed)?),
            };
        };
        let (before, mode) = match seen(place.folder)? {
            Seen::File { id, mode } if id.stamp() == *stamp => (id, mode),
            other => return Err(not_expected(other, path).into()),
        };
        if mode != ready.mode {
            // Who made a note private wants it to stay so. Where rights mean nothing, this fails.
            let _ = set_mode(ready.place, mode);
        }
        let kept = match (&self.options.trash, retire) {
            (Some(trash), Retire::Trash) => Some(trash.keep(place.folder, place.name, path)?),
            _ => None,
        };
        let swapped = self.swap(ready, target, before);
        if let (Err(_), Some(kept)) = (&swapped, kept) {
            kept.undo();
        }
        swapped
    }

    /// Replaces the file `before` in one step. What was replaced is looked at afterwards, for
    /// someone may have written between the check and the step; if so, the step is undone.
    pub(super) fn swap(
        &self,
        ready: Ready<'_>,
        target: &Target<'_>,
        before: FileId,
    ) -> Result<(), Refused> {
        let Ready {
            place: from, id, ..
        } = ready;
        let Target { place, path } = target;
        let deed = || cant_publish(path);
        let holds = |place: Place<'_>, id: FileId| match look(place.folder, place.name) {
            Ok(Seen::File { id: now, .. }) => now.content() == id.content(),
            _ => false,
        };
        match exchange(from, *place) {
            Ok(()) => {}
            Err(Errno::XDEV) => return Err(Refused::Elsewhere),
            Err(Errno::NOENT) => return Err(not_expected(Seen::Absent, path).into()),
            Err(error) if unsupported(error) => {
                // The check was just before; there is no better way on such a system.
                return Ok(renameat(from.folder, from.name, place.folder, place.name).naming(deed)?);
            }
            failed => failed.naming(deed)?,
        }
        if holds(from, before) {
            // If this fails, it is swept by the next run.
            let _ = from.unlink();
            return Ok(());
        }
        exchange(from, *place).context(deed)?;
        if !holds(from, id) {
            // Someone wrote twice, before and after the step. Both are theirs.
            self.rescue(from, path)?;
        }
        Err(not_expected(Seen::Absent, path).into())
    }

    /// Keeps what is not ours and has no other name left, outside of what is swept.
    pub(super) fn rescue(&self, from: Place<'_>, path: &VaultPath) -> Result<(), StoreError> {
        let deed = || format!("can't keep what was written to '{}'", path.display());
        let folder = format!("{OWN}/kept");
        let kept = self
            .create_root()?
            .create(&folder, folder_mode(), |_| {})
            .context(deed)?;
        let name = self.temp_name();
        rename_new(
            from,
            Place {
                folder: kept.as_fd(),
                name: &name,
            },
        )
        .context(deed)?;
        let kept = self.path.join(folder).join(name);
        tracing::warn!(
            path = path.display(),
            kept = %kept.display(),
            "this was written while obsync replaced the file, and is kept"
        );
        Ok(())
    }

    /// Copies staged content into its target's folder, because `tmp` is on another file system.
    fn copy_beside(&self, from: Place<'_>, target: &Target<'_>) -> Result<Beside, StoreError> {
        let deed = || cant_publish(target.path);
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut source =
            File::from(openat(from.folder, from.name, read, Mode::empty()).context(deed)?);
        let create =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // The note comes first, so that a crash leaves nothing that no one knows of.
        let note = format!("{}{NOTE}", from.name);
        let mut file = File::from(openat(from.folder, &note, create, file_mode()).context(deed)?);
        file.write_all(crate::confined::split(target.path.as_str()).0.as_bytes())
            .context(deed)?;
        let folder = target.place.folder;
        let mut beside = Beside {
            folder: folder.try_clone_to_owned().context(deed)?,
            name: format!("{BESIDE}{}", from.name),
            tmp: from.folder.try_clone_to_owned().context(deed)?,
            note,
            id: FileId::of(&fstat(&source).context(deed)?),
        };
        let mut copy = File::from(openat(folder, &beside.name, create, file_mode()).context(deed)?);
        std::io::copy(&mut source, &mut copy).context(deed)?;
        times::copy(&source, &copy).context(deed)?;
        (self.sync)(copy.as_fd()).context(deed)?;
        beside.id = FileId::of(&fstat(&copy).context(deed)?);
        Ok(beside)
    }
}

/// A file that waits beside its target. Dropped, it is gone, with its note.
struct Beside {
    folder: OwnedFd,
    name: String,
    tmp: OwnedFd,
    note: String,
    id: FileId,
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Absent after it was put in its place.
        let _ = Place {
            folder: self.folder.as_fd(),
            name: &self.name,
        }
        .unlink();
        let _ = Place {
            folder: self.tmp.as_fd(),
            name: &self.note,
        }
        .unlink();
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
