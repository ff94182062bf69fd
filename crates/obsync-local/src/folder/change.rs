//! Moving what is here.

use obsync_core::{Expect, FileMeta, Retire, Stamp, StoreError, VaultPath};
use rustix::fd::AsFd as _;
use rustix::fs::{Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use std::fs::File;
use std::sync::Arc;

use super::Inner;
use super::inspect::{FileId, Parent, Seen, look};
use super::moves::{Place, Step};
use super::publish::Target;
use super::times;
use crate::error::{Context as _, changed, in_the_way};

impl Inner {
    /// Finds the file that a change is about; [`StoreErrorKind::Changed`] if it is not `stamp`.
    pub(super) fn expected(
        &self,
        parent: &Parent<'_>,
        stamp: &Stamp,
        path: &VaultPath,
    ) -> Result<FileId, StoreError> {
        if let Parent::Open(folder, leaf) = parent {
            let seen = look(folder.as_fd(), leaf)
                .context(|| format!("can't look at '{}'", path.display()))?;
            if let Seen::File { id, .. } = seen
                && id.stamp() == *stamp
            {
                return Ok(id);
            }
        }
        Err(changed(format!("'{}' is not what it was", path.display())))
    }

    pub(super) fn rename(
        self: &Arc<Self>,
        from: &VaultPath,
        stamp: &Stamp,
        to: &VaultPath,
        meta: &FileMeta,
    ) -> Result<Stamp, StoreError> {
        let deed = || format!("can't move '{}' to '{}'", from.display(), to.display());
        let parent = self.parent(from)?;
        let before = self.expected(&parent, stamp, from)?;
        let Parent::Open(from_folder, from_leaf) = parent else {
            return Err(changed(format!("'{}' is gone", from.display())));
        };
        let (to_folder, to_leaf) = self.create_parent(to)?;
        let source = Target::new(from_folder.as_fd(), from_leaf, from);
        let target = Target::new(to_folder.as_fd(), to_leaf, to);
        match self.move_new(&source, target.place)? {
            Ok(()) => {}
            Err(Errno::XDEV) => return self.move_elsewhere(from, stamp, to, meta),
            Err(Errno::EXIST) if self.is_same(from, before, &target) => {
                self.moves.rename(source.place, target.place).naming(deed)?;
            }
            Err(Errno::EXIST) => {
                return Err(changed(format!(
                    "something is at '{}' already",
                    to.display()
                )));
            }
            Err(Errno::NOENT) => return Err(changed(format!("'{}' is gone", from.display()))),
            Err(error) => return Err(error).naming(deed),
        }
        self.touch_parent(from);
        self.touch_parent(to);
        if !Self::holds(target.place, before) {
            // Another file came under that name between the look and the move.
            self.move_new(&target, source.place)?.context(deed)?;
            return Err(changed(format!("'{}' is not what it was", from.display())));
        }
        match self.set_times(target.place, before, meta) {
            Ok(id) => Ok(id.stamp()),
            Err(error) => {
                tracing::warn!(path = to.display(), %error, "it was moved, but keeps its old time");
                match look(to_folder.as_fd(), to_leaf).context(deed)? {
                    Seen::File { id, .. } if id.content() == before.content() => Ok(id.stamp()),
                    // The file does not bear this one: an edit will be noticed.
                    _ => Ok(before.stamp()),
                }
            }
        }
    }

    /// Gives a file of ours its record's times, and tells what it is then.
    fn set_times(
        &self,
        place: Place<'_>,
        before: FileId,
        meta: &FileMeta,
    ) -> rustix::io::Result<FileId> {
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(place.folder, place.name, read, Mode::empty())?);
        // It may be another one by now.
        if FileId::of(&fstat(&file)?).content() == before.content() {
            self.moves.at(Step::SetTimes, &[place])?;
            times::set(&file, meta)?;
            return Ok(FileId::of(&fstat(&file)?));
        }
        Ok(before)
    }

    /// Whether `to` is the very file that is to be moved: two spellings that fold together.
    fn is_same(&self, from: &VaultPath, file: FileId, target: &Target<'_>) -> bool {
        let folding = self.folding();
        folding.key(from) == folding.key(target.path)
            && matches!(look(target.place.folder, target.place.name),
                Ok(Seen::File { id, .. }) if id.number() == file.number())
    }

    /// Moves a file to another file system that is mounted in the tree.
    fn move_elsewhere(
        self: &Arc<Self>,
        from: &VaultPath,
        stamp: &Stamp,
        to: &VaultPath,
        meta: &FileMeta,
    ) -> Result<Stamp, StoreError> {
        let staged = self.stage_copy(from, stamp, to.clone(), meta.clone())?;
        let there = self
            .publish(staged, &Expect::Absent, Retire::Discard)
            .map_err(|refused| refused.error)?;
        self.remove_file(from, stamp, Retire::Discard)?;
        Ok(there)
    }

    pub(super) fn set_aside(&self, from: &VaultPath, to: &VaultPath) -> Result<(), StoreError> {
        let deed = || {
            format!(
                "can't move '{}' aside to '{}'",
                from.display(),
                to.display()
            )
        };
        let nothing = || changed(format!("nothing is at '{}'", from.display()));
        let (from_folder, from_leaf) = match self.parent(from)? {
            Parent::Open(folder, leaf) => (folder, leaf),
            Parent::Missing => return Err(nothing()),
            Parent::Linked => return Err(Errno::LOOP).context(deed),
        };
        match look(from_folder.as_fd(), from_leaf).context(deed)? {
            Seen::File { .. } | Seen::Folder => {}
            Seen::Absent => return Err(nothing()),
            Seen::Foreign(what) => return Err(in_the_way(format!("{}: {what}", deed()))),
        }
        if to.is_within(from.as_str()) {
            return Err(in_the_way(format!("{}: it lies inside", deed())));
        }
        let (to_folder, to_leaf) = self.create_parent(to)?;
        let source = Target::new(from_folder.as_fd(), from_leaf, from);
        let target = Target::new(to_folder.as_fd(), to_leaf, to);
        match self.move_new(&source, target.place)? {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                return Err(changed(format!(
                    "something is at '{}' already",
                    to.display()
                )));
            }
            Err(Errno::NOENT) => return Err(nothing()),
            Err(error) => return Err(error).naming(deed),
        }
        self.touch_parent(from);
        self.touch_parent(to);
        Ok(())
    }
}
