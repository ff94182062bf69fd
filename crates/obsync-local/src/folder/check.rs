//! Can this folder be a destination? Looked at and tried, with one small file in `.obsync` that is
//! removed again.

use std::io::Write as _;

use obsync_core::{Folding, StoreError};
use rustix::fd::AsFd as _;
use rustix::fs::{AtFlags, Mode, OFlags, fstatvfs, mkdirat, openat, statvfs, unlinkat};
use rustix::io::Errno;

use super::names::OWN;
use super::{FolderStore, Inner};
use crate::error::Context as _;
use crate::private;

/// What was found of a folder that can be a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderCheck {
    /// Whether it is there. If not, it can be created.
    pub exists: bool,
    /// Free bytes on its file system, for this user; `None` where it tells none.
    pub free: Option<u64>,
    /// Which names fold together there; of a folder that no run has marked, an estimate.
    pub folding: Folding,
}

impl FolderStore {
    /// Looks whether the folder can be written, or created. Touches nothing but `.obsync`.
    ///
    /// # Errors
    /// When it can't be a destination; the message says why not.
    pub async fn check(&self) -> Result<FolderCheck, StoreError> {
        self.run(|inner| inner.check()).await
    }
}

impl Inner {
    fn check(&self) -> Result<FolderCheck, StoreError> {
        let free = |stat: rustix::fs::StatVfs| stat.f_bavail.saturating_mul(stat.f_frsize);
        let (exists, stat) = match self.root()? {
            Some(root) => {
                self.try_to_write()?;
                (true, fstatvfs(root.root()))
            }
            None => {
                let above = private::creatable(&self.path)?;
                (false, statvfs(above))
            }
        };
        Ok(FolderCheck {
            exists,
            free: stat.map(free).ok(),
            folding: self.folding(),
        })
    }

    fn try_to_write(&self) -> Result<(), StoreError> {
        let deed = || format!("can't write to {}", self.path.join(OWN).display());
        let Some(root) = self.root()? else {
            return Ok(());
        };
        let made = match mkdirat(root.root(), OWN, super::folder_mode()) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(error).context(deed),
        };
        let tried = root.folder(OWN).context(deed).and_then(|own| {
            // Of one name, so that one who is killed leaves it to the next.
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW;
            let file = openat(own.as_fd(), PROBE, flags | OFlags::CLOEXEC, file_mode());
            let mut file = std::fs::File::from(file.context(deed)?);
            let written = file.write_all(b"obsync\n").and_then(|()| file.sync_all());
            let removed = match unlinkat(own.as_fd(), PROBE, AtFlags::empty()) {
                // Another one who looked at the same time.
                Err(Errno::NOENT) => Ok(()),
                removed => removed,
            };
            written.context(deed)?;
            removed.context(deed)
        });
        if made {
            // A run that has begun meanwhile needs it; then it is not empty, and stays.
            let _ = unlinkat(root.root(), OWN, AtFlags::REMOVEDIR);
        }
        tried
    }
}

/// What a check writes and removes again.
const PROBE: &str = "probe";

fn file_mode() -> Mode {
    Mode::from_raw_mode(0o600)
}
