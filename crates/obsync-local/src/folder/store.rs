//! [`VaultStore`] for [`FolderStore`]: each call goes to a thread that may block.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use obsidian_sync::ContentHash;
use obsync_core::{
    Expect, FileMeta, Folding, Found, Listed, PathProblem, PublishError, Retire, Staged,
    StagedWriter, Stamp, StoreError, VaultPath, VaultStore,
};

use super::{FolderStore, Inner};
use crate::blocking;

/// How many threads remove files at once: with the trash on another disk, each waits for it.
const REMOVERS: usize = 8;

#[async_trait]
impl VaultStore for FolderStore {
    fn location(&self) -> String {
        self.inner.path.display().to_string()
    }

    fn folding(&self) -> Folding {
        self.inner.folding()
    }

    fn check_path(&self, path: &VaultPath) -> Result<(), PathProblem> {
        self.inner.check_path(path)
    }

    async fn identity(&self) -> Result<Option<String>, StoreError> {
        self.run(|inner| inner.identity()).await
    }

    async fn set_identity(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.run(move |inner| inner.set_identity(&id)).await
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.run(|inner| inner.is_empty()).await
    }

    async fn ignore_file(&self) -> Result<Option<String>, StoreError> {
        self.run(|inner| inner.ignore_file()).await
    }

    async fn inspect(&self, path: &VaultPath, _known: Option<&Stamp>) -> Result<Found, StoreError> {
        let path = path.clone();
        self.run(move |inner| inner.inspect(&path)).await
    }

    async fn hash(&self, path: &VaultPath) -> Result<Option<(ContentHash, Stamp)>, StoreError> {
        let path = path.clone();
        self.run(move |inner| inner.hash(&path)).await
    }

    async fn list(&self, config_dir: &str) -> Result<Vec<Listed>, StoreError> {
        let config_dir = config_dir.to_owned();
        self.run(move |inner| inner.list(&config_dir)).await
    }

    async fn stage(
        &self,
        path: &VaultPath,
        content: Bytes,
        meta: FileMeta,
    ) -> Result<Staged, StoreError> {
        let path = path.clone();
        self.run(move |inner| inner.stage(path, &content, meta))
            .await
    }

    async fn stage_stream(
        &self,
        path: &VaultPath,
        size: u64,
    ) -> Result<Box<dyn StagedWriter>, StoreError> {
        let path = path.clone();
        self.run(move |inner| inner.stage_stream(path, size)).await
    }

    async fn stage_copy(
        &self,
        source: &VaultPath,
        source_stamp: &Stamp,
        path: &VaultPath,
        meta: FileMeta,
    ) -> Result<Staged, StoreError> {
        let (source, stamp, path) = (source.clone(), source_stamp.clone(), path.clone());
        self.run(move |inner| inner.stage_copy(&source, &stamp, path, meta))
            .await
    }

    async fn publish(
        &self,
        staged: Staged,
        expect: &Expect,
        retire: Retire,
    ) -> Result<Stamp, PublishError> {
        let expect = expect.clone();
        let work = move |inner: &Arc<Inner>| Ok(inner.publish(staged, &expect, retire));
        match self.run(work).await {
            Ok(published) => published.map_err(|refused| *refused),
            Err(error) => Err(PublishError {
                staged: None,
                error,
            }),
        }
    }

    async fn rename(
        &self,
        from: &VaultPath,
        source_stamp: &Stamp,
        to: &VaultPath,
        meta: &FileMeta,
    ) -> Result<Stamp, StoreError> {
        let (from, to) = (from.clone(), to.clone());
        let (stamp, meta) = (source_stamp.clone(), meta.clone());
        self.run(move |inner| inner.rename(&from, &stamp, &to, &meta))
            .await
    }

    async fn set_aside(&self, from: &VaultPath, to: &VaultPath) -> Result<(), StoreError> {
        let (from, to) = (from.clone(), to.clone());
        self.run(move |inner| inner.set_aside(&from, &to)).await
    }

    async fn remove_file(
        &self,
        path: &VaultPath,
        stamp: &Stamp,
        retire: Retire,
    ) -> Result<(), StoreError> {
        let (path, stamp) = (path.clone(), stamp.clone());
        self.run(move |inner| inner.remove_file(&path, &stamp, retire))
            .await
    }

    async fn remove_files(
        &self,
        removals: &[(&VaultPath, &Stamp, Retire)],
    ) -> Vec<Result<(), StoreError>> {
        let share = removals.len().div_ceil(REMOVERS).max(1);
        let shares = removals.chunks(share).map(|removals| {
            let owned = |(path, stamp, retire): &(&VaultPath, &Stamp, Retire)| {
                ((*path).clone(), (*stamp).clone(), *retire)
            };
            let removals: Vec<_> = removals.iter().map(owned).collect();
            let (inner, number) = (Arc::clone(&self.inner), removals.len());
            let work = blocking::start(move || Ok(inner.remove_files(&removals)));
            (work, number)
        });
        // All of them begin before the first is waited for.
        let shares: Vec<_> = shares.collect();
        let mut results = Vec::with_capacity(removals.len());
        for (work, number) in shares {
            match blocking::end(work).await {
                Ok(removed) => results.extend(removed),
                Err(error) => results.extend(
                    (0..number).map(|_| Err(StoreError::new(error.kind, error.message.clone()))),
                ),
            }
        }
        results
    }

    async fn create_folder(&self, path: &VaultPath) -> Result<(), StoreError> {
        let path = path.clone();
        self.run(move |inner| inner.create_folders(path.as_str(), &path).map(drop))
            .await
    }

    async fn remove_folder(&self, path: &VaultPath) -> Result<bool, StoreError> {
        let path = path.clone();
        self.run(move |inner| inner.remove_folder(&path)).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.run(|inner| inner.flush()).await
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        self.run(|inner| inner.sweep()).await
    }

    async fn rescued(&self) -> Result<Vec<String>, StoreError> {
        self.run(|inner| inner.rescued()).await
    }
}
