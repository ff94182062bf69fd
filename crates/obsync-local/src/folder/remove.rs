//! Removing what is here.

use obsync_core::{Retire, Stamp, StoreError, StoreErrorKind, VaultPath};
use rustix::fd::AsFd as _;
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::Inner;
use super::inspect::{FileId, Parent, Seen, look};
use super::moves::Place;
use super::publish::Target;
use crate::error::{Context as _, changed};
use crate::trash::Kept;

/// A file that is to be removed: the one that was there at the last look.
struct Doomed {
    before: FileId,
    kept: Option<Kept>,
}

impl Inner {
    pub(super) fn remove_file(
        &self,
        path: &VaultPath,
        stamp: &Stamp,
        retire: Retire,
    ) -> Result<(), StoreError> {
        let one = [(path.clone(), stamp.clone(), retire)];
        self.remove_files(&one).pop().expect("one is removed")
    }

    /// Removes files, each for itself. What is copied to the trash is made durable once for all.
    pub(super) fn remove_files(
        &self,
        removals: &[(VaultPath, Stamp, Retire)],
    ) -> Vec<Result<(), StoreError>> {
        let doomed: Vec<_> = removals
            .iter()
            .map(|(path, stamp, retire)| self.doom(path, stamp, *retire))
            .collect();
        let kept = doomed.iter().flatten().flatten();
        let durable = self.settle_trash(kept.filter_map(|doomed| doomed.kept.as_ref()));
        let doomed = removals.iter().zip(doomed);
        doomed
            .map(|((path, ..), doomed)| match (doomed, &durable) {
                (Ok(Some(doomed)), Ok(())) => self.carry_out(path, &doomed),
                (Ok(Some(doomed)), Err(error)) => {
                    self.spare(&doomed);
                    Err(StoreError::new(error.kind, error.message.clone()))
                }
                (Ok(None), _) => Ok(()),
                (Err(error), _) => Err(error),
            })
            .collect()
    }

    /// Looks at a file that is to be removed, and keeps it in the trash; `None` if nothing is there.
    fn doom(
        &self,
        path: &VaultPath,
        stamp: &Stamp,
        retire: Retire,
    ) -> Result<Option<Doomed>, StoreError> {
        let deed = || format!("can't remove '{}'", path.display());
        let parent = self.parent(path)?;
        match &parent {
            Parent::Missing => return Ok(None),
            Parent::Open(folder, leaf)
                if look(folder.as_fd(), leaf).context(deed)? == Seen::Absent =>
            {
                return Ok(None);
            }
            _ => {}
        }
        let before = self.expected(&parent, stamp, path)?;
        let Parent::Open(folder, name) = parent else {
            return Ok(None);
        };
        let folder = folder.as_fd();
        let kept = self.keep_in_trash(Place { folder, name }, path, retire)?;
        Ok(Some(Doomed { before, kept }))
    }

    fn carry_out(&self, path: &VaultPath, doomed: &Doomed) -> Result<(), StoreError> {
        let removed = self.parent(path).and_then(|parent| match parent {
            Parent::Open(folder, leaf) => {
                self.take_away(&Target::new(folder.as_fd(), leaf, path), doomed.before)
            }
            Parent::Missing => Ok(()),
            Parent::Linked => Err(changed(format!("'{}' is not what it was", path.display()))),
        });
        match &removed {
            Ok(()) => self.touch_parent(path),
            Err(_) => self.spare(doomed),
        }
        removed
    }

    fn spare(&self, doomed: &Doomed) {
        if let (Some(trash), Some(kept)) = (&self.options.trash, &doomed.kept) {
            trash.undo(kept);
        }
    }

    /// Keeps a file in the trash that somebody may miss.
    pub(super) fn keep_in_trash(
        &self,
        from: Place<'_>,
        path: &VaultPath,
        retire: Retire,
    ) -> Result<Option<Kept>, StoreError> {
        match (&self.options.trash, retire) {
            (Some(trash), Retire::Trash) => trash.keep(from, path).map(Some),
            _ => Ok(None),
        }
    }

    /// Copies in the trash must be durable before their originals go.
    pub(super) fn settle_trash<'a>(
        &self,
        kept: impl IntoIterator<Item = &'a Kept>,
    ) -> Result<(), StoreError> {
        match &self.options.trash {
            Some(trash) if kept.into_iter().any(|kept| kept.copied) => trash.flush(),
            _ => Ok(()),
        }
    }

    pub(super) fn remove_folder(&self, path: &VaultPath) -> Result<bool, StoreError> {
        let deed = || format!("can't remove the folder '{}'", path.display());
        let (folder, leaf) = match self.parent(path)? {
            Parent::Open(folder, leaf) => (folder, leaf),
            Parent::Missing => return Ok(true),
            Parent::Linked => return Err(Errno::LOOP).context(deed),
        };
        match unlinkat(&folder, leaf, AtFlags::REMOVEDIR) {
            Ok(()) => {
                self.touch_parent(path);
                Ok(true)
            }
            Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(Errno::BUSY) => {
                let reason = format!("{}: something is mounted there", deed());
                Err(StoreError::new(StoreErrorKind::Denied, reason))
            }
            Err(error) => Err(error).context(deed),
        }
    }
}
