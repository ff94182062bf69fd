//! What lies in `.obsync` and the user's ignore file: whose folder this is, and what to leave out.

use std::fs::File;
use std::io::{Read as _, Write as _};

use obsync_core::{StoreError, StoreErrorKind, VaultPath};
use rustix::fd::AsFd as _;
use rustix::fs::{Mode, OFlags, fsync, openat, renameat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Inner;
use super::names::{IGNORE, OWN};
use super::probe::PROBE;
use crate::error::{Context as _, in_the_way};
use crate::lock::RunLock;

/// The name of the mark in `.obsync`.
const MARK: &str = "id.json";
/// The name of the lock there.
const LOCK: &str = "lock";
/// The version of the mark that is written.
const SCHEMA: u32 = 1;
/// More than a mark or an ignore file ever needs.
const TEXT_MAX: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Mark {
    schema: u32,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vault_id: Option<String>,
}

impl Inner {
    /// Reads a small text file of ours or of the user's, never through a link.
    fn read_text(&self, name: &str) -> Result<Option<String>, StoreError> {
        let deed = || format!("can't read {}", self.path.join(name).display());
        let Some(root) = self.root()? else {
            return Ok(None);
        };
        let (folder, leaf) = match root.parent(name) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error).context(deed),
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&folder, leaf, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error).context(deed),
        };
        if !file.metadata().context(deed)?.is_file() {
            return Err(in_the_way(format!("{}: it is no file", deed())));
        }
        let mut bytes = Vec::new();
        file.take(TEXT_MAX + 1)
            .read_to_end(&mut bytes)
            .context(deed)?;
        if bytes.len() as u64 > TEXT_MAX {
            let reason = format!("{}: it is larger than {TEXT_MAX} bytes", deed());
            return Err(StoreError::new(StoreErrorKind::Other, reason));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => {
                let reason = format!("{}: it is not UTF-8 text", deed());
                Err(StoreError::new(StoreErrorKind::Other, reason))
            }
        }
    }

    pub(super) fn ignore_file(&self) -> Result<Option<String>, StoreError> {
        self.read_text(IGNORE)
    }

    pub(super) fn identity(&self) -> Result<Option<String>, StoreError> {
        let Some(text) = self.read_text(&format!("{OWN}/{MARK}"))? else {
            return Ok(None);
        };
        let refuse = |why: &str| {
            let name = self.path.join(OWN).join(MARK);
            let reason = format!("the destination's mark {} {why}", name.display());
            Err(StoreError::new(StoreErrorKind::Unusable, reason))
        };
        match serde_json::from_str::<Mark>(&text) {
            Ok(mark) if mark.schema > SCHEMA => {
                refuse("was written by a newer obsync: update this one")
            }
            Ok(mark) => Ok(Some(mark.id)),
            Err(_) => refuse(
                "is damaged. The notes are not touched. Remove that file, and run \
                 `obsync reset VAULT --dest DIR`: the next sync then compares everything",
            ),
        }
    }

    pub(super) fn set_identity(&self, id: &str) -> Result<(), StoreError> {
        let deed = || format!("can't mark the destination {}", self.path.display());
        let root = self.create_root()?;
        let own = root
            .create(OWN, super::folder_mode(), |_| {})
            .context(deed)?;
        self.lock()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&own, PROBE, flags, super::file_mode()).context(deed)?;
        let vault_id = self
            .options
            .vault_id
            .as_ref()
            .map(|id| id.as_str().to_owned());
        let mark = Mark {
            schema: SCHEMA,
            id: id.to_owned(),
            vault_id,
        };
        let mut text = serde_json::to_string_pretty(&mark).expect("a mark is plain text");
        text.push('\n');
        let new = format!("{MARK}.new");
        let flags = flags | OFlags::TRUNC;
        let mut file = File::from(openat(&own, &new, flags, super::file_mode()).context(deed)?);
        file.write_all(text.as_bytes()).context(deed)?;
        file.sync_all().context(deed)?;
        renameat(&own, &new, &own, MARK).context(deed)?;
        fsync(&own).and_then(|()| fsync(root.root())).context(deed)
    }

    /// Looks whether a run holds that lock, and changes nothing.
    pub(super) fn look_at_lock(&self) -> Result<(), StoreError> {
        let path = self.path.join(OWN).join(LOCK);
        let deed = || format!("can't look at the lock {}", path.display());
        let Some(root) = self.root()? else {
            return Ok(());
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let own = root.folder(OWN);
        match own.and_then(|own| openat(own.as_fd(), LOCK, flags, Mode::empty())) {
            Ok(file) => {
                let what = format!("the destination {}", self.path.display());
                RunLock::look_open(File::from(file), &path, &what)
            }
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error).context(deed),
        }
    }

    /// Locks the destination against runs with another state folder, once it has our folder.
    pub(super) fn lock(&self) -> Result<(), StoreError> {
        let mut held = self
            .lock
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(root) = self.root()? else {
            return Ok(());
        };
        if held.is_some() {
            return Ok(());
        }
        let path = self.path.join(OWN).join(LOCK);
        let deed = || format!("can't lock {}", path.display());
        let own = match root.folder(OWN) {
            Ok(own) => own,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error).context(deed),
        };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(own.as_fd(), LOCK, flags, super::file_mode()).context(deed)?;
        let what = format!("the destination {}", self.path.display());
        *held = RunLock::take_open(File::from(file), &path, &what)?;
        Ok(())
    }

    /// Names our own folder's parts for tests and messages.
    pub(super) fn is_own(&self, path: &VaultPath) -> bool {
        let name = path.as_str();
        name.eq_ignore_ascii_case(OWN) || name.eq_ignore_ascii_case(IGNORE)
    }
}
