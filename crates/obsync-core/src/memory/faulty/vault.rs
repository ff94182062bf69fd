//! [`FailingVaultStore`].

use async_trait::async_trait;
use bytes::Bytes;
use obsidian_sync::ContentHash;

use super::pace::Running;
use super::{End, Faults, Op, effect, gone};
use crate::path::{PathProblem, VaultPath};
use crate::store::{
    Expect, FileMeta, Folding, Found, Listed, Pages, PublishError, Retire, Staged, StagedWriter,
    Stamp, StoreError, VaultStore,
};

/// A vault store that fails as [`Faults`] says.
#[derive(Debug)]
pub struct FailingVaultStore<S> {
    inner: S,
    faults: Faults,
}

impl<S> FailingVaultStore<S> {
    /// Wraps a store.
    pub fn new(inner: S, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// The wrapped store.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S: VaultStore> FailingVaultStore<S> {
    async fn writer(
        &self,
        path: &VaultPath,
        staged: impl Future<Output = Result<Box<dyn StagedWriter>, StoreError>> + Send,
    ) -> Result<Box<dyn StagedWriter>, StoreError> {
        let end = self.faults.enter(Op::StageStream, Some(path))?;
        let open = self.faults.begin(Op::StageStream).await;
        let inner = staged.await;
        self.faults.leave(end)?;
        Ok(Box::new(FailingWriter {
            inner: inner?,
            path: path.clone(),
            faults: self.faults.clone(),
            _open: open,
        }))
    }
}

struct FailingWriter {
    inner: Box<dyn StagedWriter>,
    path: VaultPath,
    faults: Faults,
    _open: Running,
}

#[async_trait]
impl StagedWriter for FailingWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        effect!(
            self.faults,
            Op::Write,
            Some(&self.path),
            self.inner.write(bytes).await
        )
    }

    async fn finish(self: Box<Self>, meta: FileMeta) -> Result<Staged, StoreError> {
        effect!(
            self.faults,
            Op::Finish,
            Some(&self.path),
            self.inner.finish(meta).await
        )
    }
}

#[async_trait]
impl<S: VaultStore> VaultStore for FailingVaultStore<S> {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn folding(&self) -> Folding {
        self.inner.folding()
    }

    fn has_folders(&self) -> bool {
        self.inner.has_folders()
    }

    fn marks_own_files(&self) -> bool {
        self.inner.marks_own_files()
    }

    fn check_path(&self, path: &VaultPath) -> Result<(), PathProblem> {
        self.inner.check_path(path)
    }

    async fn identity(&self) -> Result<Option<String>, StoreError> {
        self.faults.alive()?;
        self.inner.identity().await
    }

    async fn set_identity(&self, id: &str) -> Result<(), StoreError> {
        effect!(
            self.faults,
            Op::SetIdentity,
            None,
            self.inner.set_identity(id).await
        )
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.faults.alive()?;
        self.inner.is_empty().await
    }

    async fn ignore_file(&self) -> Result<Option<String>, StoreError> {
        self.faults.alive()?;
        self.inner.ignore_file().await
    }

    async fn inspect(&self, path: &VaultPath, known: Option<&Stamp>) -> Result<Found, StoreError> {
        self.faults.alive()?;
        self.inner.inspect(path, known).await
    }

    async fn hash(&self, path: &VaultPath) -> Result<Option<(ContentHash, Stamp)>, StoreError> {
        self.faults.readable(path)?;
        self.inner.hash(path).await
    }

    async fn list(&self, config_dir: &str) -> Result<Vec<Listed>, StoreError> {
        self.faults.alive()?;
        self.inner.list(config_dir).await
    }

    fn pages<'a>(&'a self, config_dir: &'a str) -> Option<Pages<'a>> {
        // After a crash the plain listing tells.
        self.faults.alive().ok()?;
        self.inner.pages(config_dir)
    }

    async fn stage(
        &self,
        path: &VaultPath,
        content: Bytes,
        meta: FileMeta,
    ) -> Result<Staged, StoreError> {
        effect!(
            self.faults,
            Op::Stage,
            Some(path),
            self.inner.stage(path, content, meta).await
        )
    }

    async fn stage_stream(
        &self,
        path: &VaultPath,
        size: u64,
    ) -> Result<Box<dyn StagedWriter>, StoreError> {
        let staged = self.inner.stage_stream(path, size);
        self.writer(path, staged).await
    }

    async fn stage_stream_of(
        &self,
        path: &VaultPath,
        meta: &FileMeta,
    ) -> Result<Box<dyn StagedWriter>, StoreError> {
        let staged = self.inner.stage_stream_of(path, meta);
        self.writer(path, staged).await
    }

    fn stream_memory(&self) -> u64 {
        self.inner.stream_memory().max(self.faults.held())
    }

    async fn stage_copy(
        &self,
        source: &VaultPath,
        source_stamp: &Stamp,
        path: &VaultPath,
        meta: FileMeta,
    ) -> Result<Staged, StoreError> {
        let staged = self.inner.stage_copy(source, source_stamp, path, meta);
        effect!(self.faults, Op::StageCopy, Some(path), staged.await)
    }

    async fn publish(
        &self,
        staged: Staged,
        expect: &Expect,
        retire: Retire,
    ) -> Result<Stamp, PublishError> {
        let end = match self.faults.enter(Op::Publish, Some(&staged.path)) {
            Ok(end) => end,
            Err(error) => {
                return Err(PublishError {
                    staged: Some(staged),
                    error,
                });
            }
        };
        let running = self.faults.begin(Op::Publish).await;
        let done = self.inner.publish(staged, expect, retire).await;
        drop(running);
        self.faults.leave(end).map_err(|error| PublishError {
            staged: None,
            error,
        })?;
        done
    }

    async fn rename(
        &self,
        from: &VaultPath,
        source_stamp: &Stamp,
        to: &VaultPath,
        meta: &FileMeta,
    ) -> Result<Stamp, StoreError> {
        let renamed = self.inner.rename(from, source_stamp, to, meta);
        effect!(self.faults, Op::Rename, Some(to), renamed.await)
    }

    async fn set_aside(&self, from: &VaultPath, to: &VaultPath) -> Result<(), StoreError> {
        effect!(
            self.faults,
            Op::SetAside,
            Some(from),
            self.inner.set_aside(from, to).await
        )
    }

    async fn remove_file(
        &self,
        path: &VaultPath,
        stamp: &Stamp,
        retire: Retire,
    ) -> Result<(), StoreError> {
        let removed = self.inner.remove_file(path, stamp, retire);
        effect!(self.faults, Op::RemoveFile, Some(path), removed.await)
    }

    /// Each removal is an effect of its own: a crash falls between any two.
    async fn remove_files(
        &self,
        removals: &[(&VaultPath, &Stamp, Retire)],
    ) -> Vec<Result<(), StoreError>> {
        let mut crash = false;
        let mut entered = Vec::with_capacity(removals.len());
        for (path, ..) in removals {
            let end = match crash {
                true => Err(gone()),
                false => self.faults.enter(Op::RemoveFile, Some(path)),
            };
            crash |= matches!(end, Ok(End::Crash));
            entered.push(end);
        }
        let allowed: Vec<_> = entered
            .iter()
            .zip(removals)
            .filter(|(entered, _)| entered.is_ok())
            .map(|(_, removal)| *removal)
            .collect();
        let mut done = self.inner.remove_files(&allowed).await.into_iter();
        let results = entered.into_iter().map(|entered| {
            let end = entered?;
            let done = done.next().unwrap_or_else(|| Err(gone()));
            self.faults.leave(end)?;
            // What came before a crash has happened, too, and nobody learns of it.
            if crash { Err(gone()) } else { done }
        });
        results.collect()
    }

    async fn create_folder(&self, path: &VaultPath) -> Result<(), StoreError> {
        effect!(
            self.faults,
            Op::CreateFolder,
            Some(path),
            self.inner.create_folder(path).await
        )
    }

    async fn remove_folder(&self, path: &VaultPath) -> Result<bool, StoreError> {
        effect!(
            self.faults,
            Op::RemoveFolder,
            Some(path),
            self.inner.remove_folder(path).await
        )
    }

    async fn flush(&self) -> Result<(), StoreError> {
        effect!(self.faults, Op::Flush, None, self.inner.flush().await)
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        effect!(self.faults, Op::Sweep, None, self.inner.sweep().await)
    }

    async fn rescued(&self) -> Result<Vec<String>, StoreError> {
        self.inner.rescued().await
    }
}
