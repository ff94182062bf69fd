//! [`Aside`]: a name of ours for a file on its way into the tree, or out of it.

use std::fs::File;
use std::io::Write as _;

use obsync_core::StoreError;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags, fstat, openat};

use super::inspect::{FileId, Seen, look};
use super::moves::Place;
use super::names::BESIDE;
use super::publish::Target;
use super::stage::NOTE;
use super::{Inner, file_mode, times};
use crate::confined::split;
use crate::error::Context as _;

const NEW: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A name in `tmp`; or, where that is on another file system, beside the place in the tree.
///
/// Then a note in `tmp` tells the next run of it, for as long as something bears such a name.
pub(super) struct Aside<'a> {
    inner: &'a Inner,
    pub(super) folder: OwnedFd,
    pub(super) name: String,
    /// Whether it holds our content. If so, it is removed when this is dropped.
    pub(super) ours: bool,
    note: Option<(OwnedFd, String)>,
}

impl<'a> Aside<'a> {
    /// A name in `tmp`.
    pub(super) fn in_tmp(inner: &'a Inner, name: String) -> Result<Self, StoreError> {
        Ok(Self {
            inner,
            folder: inner.tmp()?,
            name,
            ours: false,
            note: None,
        })
    }

    /// A name beside a target. The note comes first, so that a crash leaves nothing that no one
    /// knows of.
    pub(super) fn beside(
        inner: &'a Inner,
        target: &Target<'_>,
        name: &str,
    ) -> Result<Self, StoreError> {
        let deed = || format!("can't write beside '{}'", target.path.display());
        let tmp = inner.tmp()?;
        let note = format!("{}{NOTE}", inner.temp_name());
        let mut file = File::from(openat(&tmp, &note, NEW, file_mode()).context(deed)?);
        let folder = split(target.path.as_str()).0;
        file.write_all(folder.as_bytes()).context(deed)?;
        Ok(Self {
            inner,
            folder: target.place.folder.try_clone_to_owned().context(deed)?,
            name: format!("{BESIDE}{name}"),
            ours: false,
            note: Some((tmp, note)),
        })
    }

    /// Copies staged content beside its target, with its time; durable.
    pub(super) fn copy_of(
        inner: &'a Inner,
        staged: Place<'_>,
        target: &Target<'_>,
    ) -> Result<(Self, FileId), StoreError> {
        let deed = || format!("can't put '{}' in its place", target.path.display());
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let source = openat(staged.folder, staged.name, read, Mode::empty());
        let mut source = File::from(source.context(deed)?);
        let mut beside = Self::beside(inner, target, &inner.temp_name())?;
        let copy = openat(&beside.folder, &beside.name, NEW, file_mode());
        let mut copy = File::from(copy.context(deed)?);
        beside.ours = true;
        std::io::copy(&mut source, &mut copy).context(deed)?;
        times::copy(&source, &copy).context(deed)?;
        (inner.sync)(copy.as_fd()).context(deed)?;
        let id = FileId::of(&fstat(&copy).context(deed)?);
        Ok((beside, id))
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place {
            folder: self.folder.as_fd(),
            name: &self.name,
        }
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        // What stays behind is swept by the next run.
        if self.ours {
            let _ = self.inner.moves.unlink(self.place());
        }
        if let Some((tmp, note)) = &self.note
            && look(self.folder.as_fd(), &self.name) == Ok(Seen::Absent)
        {
            let _ = self.inner.moves.unlink(Place {
                folder: tmp.as_fd(),
                name: note,
            });
        }
    }
}
