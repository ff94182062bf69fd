//! Content in waiting: written to `.obsync/tmp`, with its time set, and durable.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use obsync_core::{FileMeta, Staged, StagedWriter, Stamp, StoreError, StoreErrorKind, VaultPath};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use super::inspect::{FileId, read_through, unchanged};
use super::moves::Place;
use super::names::OWN;
use super::{Inner, file_mode, times};
use crate::blocking;
use crate::error::{Context as _, changed};

/// How a note ends that names the folder of a file that waits beside its target.
pub(super) const NOTE: &str = ".beside";

/// Streams from this size on have their space set aside first: better to learn that a disk is full
/// before the download than after it.
#[cfg(target_os = "linux")]
const SET_ASIDE_FROM: u64 = 1 << 20;

/// Content of ours in `tmp`, removed when this is dropped.
#[derive(Debug)]
pub(super) struct Temp {
    inner: Arc<Inner>,
    pub(super) name: String,
    /// Whether the name holds our content: not once it has moved.
    pub(super) live: bool,
}

impl Temp {
    pub(super) fn belongs_to(&self, inner: &Inner) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.inner), inner)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if let (true, Some(root)) = (self.live, self.inner.root.get()) {
            // What stays behind is swept by the next run.
            if let Ok(tmp) = root.folder(&Inner::tmp_path()) {
                let _ = self.inner.moves.unlink(Place {
                    folder: tmp.as_fd(),
                    name: &self.name,
                });
            }
        }
    }
}

/// What [`Staged::handle`] holds.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) temp: Temp,
    pub(super) id: FileId,
    pub(super) mode: Mode,
}

impl Inner {
    pub(super) fn tmp_path() -> String {
        format!("{OWN}/tmp")
    }

    /// Opens the staging folder, creating it where missing.
    pub(super) fn tmp(&self) -> Result<OwnedFd, StoreError> {
        let deed = || format!("can't stage in {}", self.path.join(OWN).display());
        let root = self.create_root()?;
        match root.folder(&Self::tmp_path()) {
            Err(Errno::NOENT) => {
                root.create(OWN, super::folder_mode(), |_| {})
                    .context(deed)?;
                // What waits there is unchecked: no one else is to read it.
                root.create(&Self::tmp_path(), Mode::RWXU, |_| {})
                    .context(deed)
            }
            tmp => tmp.context(deed),
        }
    }

    /// A name that nothing in `tmp` bears.
    pub(super) fn temp_name(&self) -> String {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.run_name())
    }

    /// How names of this store begin, and of no other.
    pub(super) fn run_name(&self) -> String {
        format!("{:016x}", self.session)
    }

    fn create_temp(self: &Arc<Self>, path: &VaultPath) -> Result<(Temp, File), StoreError> {
        let tmp = self.tmp()?;
        let name = self.temp_name();
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&tmp, &name, flags, file_mode()).context(|| cant_stage(path))?;
        Ok((
            Temp {
                inner: Arc::clone(self),
                name,
                live: true,
            },
            File::from(file),
        ))
    }

    pub(super) fn stage(
        self: &Arc<Self>,
        path: VaultPath,
        content: &[u8],
        meta: FileMeta,
    ) -> Result<Staged, StoreError> {
        let (temp, mut file) = self.create_temp(&path)?;
        file.write_all(content).context(|| cant_stage(&path))?;
        self.finish(temp, &file, path, meta)
    }

    pub(super) fn stage_stream(
        self: &Arc<Self>,
        path: VaultPath,
        size: u64,
    ) -> Result<Box<dyn StagedWriter>, StoreError> {
        let (temp, file) = self.create_temp(&path)?;
        set_aside(&file, size).context(|| cant_stage(&path))?;
        Ok(Box::new(Writer {
            inner: Arc::clone(self),
            temp,
            file: Some(file),
            path,
        }))
    }

    pub(super) fn stage_copy(
        self: &Arc<Self>,
        source: &VaultPath,
        stamp: &Stamp,
        path: VaultPath,
        meta: FileMeta,
    ) -> Result<Staged, StoreError> {
        let differs = || {
            changed(format!(
                "'{}' is not what was to be copied",
                source.display()
            ))
        };
        let (mut from, id) = self.open_file(source)?.ok_or_else(differs)?;
        if id.stamp() != *stamp {
            return Err(differs());
        }
        let (temp, mut file) = self.create_temp(&path)?;
        let write = |piece: &[u8]| file.write_all(piece).context(|| cant_stage(&path));
        let hash = read_through(&mut from, source, write)?;
        unchanged(&from, id, source)?;
        if hash != meta.hash {
            return Err(differs());
        }
        self.finish(temp, &file, path, meta)
    }

    fn finish(
        &self,
        temp: Temp,
        file: &File,
        path: VaultPath,
        meta: FileMeta,
    ) -> Result<Staged, StoreError> {
        let deed = || cant_stage(&path);
        times::set(file, &meta).context(deed)?;
        (self.sync)(file.as_fd()).context(deed)?;
        let stat = fstat(file).context(deed)?;
        let id = FileId::of(&stat);
        if id.content().0 != meta.size {
            let reason = format!("{}: {} bytes of {} came", deed(), id.content().0, meta.size);
            return Err(StoreError::new(StoreErrorKind::Other, reason));
        }
        let mode = Mode::from_raw_mode(stat.st_mode);
        Ok(Staged {
            path,
            meta,
            handle: Box::new(Waiting { temp, id, mode }),
        })
    }
}

fn cant_stage(path: &VaultPath) -> String {
    format!("can't write '{}'", path.display())
}

#[cfg(target_os = "linux")]
fn set_aside(file: &File, size: u64) -> rustix::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    if size < SET_ASIDE_FROM {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, size) {
        // Where it can't be done ahead, writing will tell.
        Err(error) if !matches!(error, Errno::NOSPC | Errno::DQUOT) => Ok(()),
        done => done,
    }
}

#[cfg(not(target_os = "linux"))]
fn set_aside(_file: &File, _size: u64) -> rustix::io::Result<()> {
    Ok(())
}

/// A file that is still coming.
struct Writer {
    inner: Arc<Inner>,
    temp: Temp,
    /// `None` while a write is under way, and for good after one failed.
    file: Option<File>,
    path: VaultPath,
}

impl Writer {
    fn take(&mut self) -> Result<File, StoreError> {
        self.file.take().ok_or_else(|| {
            let reason = format!("{}: an earlier write failed", cant_stage(&self.path));
            StoreError::new(StoreErrorKind::Other, reason)
        })
    }
}

#[async_trait]
impl StagedWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let mut file = self.take()?;
        let path = self.path.clone();
        let written = blocking::run(move || {
            file.write_all(&bytes).context(|| cant_stage(&path))?;
            Ok(file)
        });
        self.file = Some(written.await?);
        Ok(())
    }

    async fn finish(mut self: Box<Self>, meta: FileMeta) -> Result<Staged, StoreError> {
        let file = self.take()?;
        let Self {
            inner, temp, path, ..
        } = *self;
        blocking::run(move || inner.finish(temp, &file, path, meta)).await
    }
}
