//! The [`VaultStore`] contract, met by the other modules.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::TryStreamExt as _;
use http::HeaderValue;
use object_store::PutPayload;
use obsidian_sync::ContentHash;
use obsync_core::{
    Expect, FileMeta, Folding, Found, Listed, Pages, PathProblem, PublishError, Retire, Staged,
    StagedWriter, Stamp, StoreError, StoreErrorKind, Trust, VaultPath, VaultStore,
};
use serde::{Deserialize, Serialize};

use super::looks::Look;
use super::upload::{self, Waiting, Writer};
use super::{Ahead, S3VaultStore, changed, file};
use crate::bucket::{Read, digest_of};
use crate::keys::{self, IGNORE_FILE, OWN_FOLDER};
use crate::object::condition;

/// The mark of a destination, as an object.
#[derive(Serialize, Deserialize)]
struct Mark {
    mark: String,
}

const MARK: &str = ".obsync/id.json";
/// An upload in parts that was begun so long ago is nobody's any more.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

impl S3VaultStore {
    async fn own(&self, name: &str) -> Result<Option<Read>, StoreError> {
        let key = self.own_key(name)?;
        let read = self.0.bucket.read(&key, None).await;
        read.map_err(|fault| self.fault(fault, "s3:GetObject", &key))
    }

    async fn holds_nothing(&self) -> Result<bool, StoreError> {
        let prefix = &self.0.prefix;
        // Just after all that is ours: '0' follows '/'.
        let beyond = format!("{prefix}{}0", OWN_FOLDER.trim_end_matches('/'));
        for after in ["", beyond.as_str()] {
            let some = self.0.bucket.list_some(prefix, after, 10).await?;
            let content = some.iter().any(|object| {
                let name = object.key.strip_prefix(prefix.as_str()).unwrap_or_default();
                !name.is_empty() && name != IGNORE_FILE && !name.starts_with(OWN_FOLDER)
            });
            if content {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn staged(path: &VaultPath, meta: FileMeta, waiting: Waiting) -> Staged {
        Staged {
            path: path.clone(),
            meta,
            handle: Box::new(waiting),
        }
    }

    async fn writer(
        &self,
        path: &VaultPath,
        meta: Option<FileMeta>,
    ) -> Result<Box<dyn StagedWriter>, StoreError> {
        self.enter().await?;
        let key = self.key(path)?;
        Ok(Box::new(Writer::new(self, path, key, meta)))
    }
}

#[async_trait]
impl VaultStore for S3VaultStore {
    fn location(&self) -> String {
        let prefix = self.0.prefix.trim_end_matches('/');
        format!("s3://{}/{prefix}", self.0.bucket.name())
    }

    fn folding(&self) -> Folding {
        Folding::default()
    }

    fn has_folders(&self) -> bool {
        false
    }

    fn marks_own_files(&self) -> bool {
        true
    }

    fn check_path(&self, path: &VaultPath) -> Result<(), PathProblem> {
        keys::key(&self.0.prefix, path).map(drop)
    }

    async fn identity(&self) -> Result<Option<String>, StoreError> {
        // The first that a run asks.
        self.0.looks.forget();
        let read = match self.0.begun.swap(true, Ordering::Relaxed) {
            true => self.own(MARK).await?,
            false => {
                let (read, empty, ignored) =
                    tokio::try_join!(self.own(MARK), self.holds_nothing(), self.own(IGNORE_FILE))?;
                *self.0.ahead() = Some(Ahead {
                    empty: Some(empty),
                    ignored: Some(ignored),
                });
                read
            }
        };
        *self.0.mark() = read.as_ref().map(|read| read.stamp.clone());
        let Some(read) = read else {
            return Ok(None);
        };
        match serde_json::from_slice::<Mark>(&read.bytes) {
            Ok(mark) => Ok(Some(mark.mark)),
            Err(error) => {
                let what = format!("the mark {MARK} at {} makes no sense", self.location());
                Err(StoreError::new(StoreErrorKind::Unusable, what).with_source(error))
            }
        }
    }

    async fn set_identity(&self, id: &str) -> Result<(), StoreError> {
        self.enter().await?;
        let key = self.own_key(MARK)?;
        let mark = Mark {
            mark: id.to_owned(),
        };
        let text = serde_json::to_vec(&mark).expect("a mark is plain JSON");
        let text = PutPayload::from(Bytes::from(text));
        // Two vaults may choose one prefix at the same moment: the second to mark it is told.
        let seen = self.0.mark().clone();
        let mut headers = condition(&seen.map_or(Expect::Absent, Expect::Is));
        let json = HeaderValue::from_static("application/json");
        headers.insert(http::header::CONTENT_TYPE, json);
        let digest = digest_of(&text);
        let fault = match self.0.bucket.put(&key, headers, text, &digest).await {
            Ok(put) => {
                *self.0.mark() = Some(put.stamp);
                return Ok(());
            }
            Err(fault) => fault,
        };
        if fault.doubt && self.identity().await?.as_deref() == Some(id) {
            return Ok(());
        }
        if fault.is_unmet() || fault.is_absent() {
            let what = format!(
                "another run has just begun to use {} for itself: run again",
                self.location()
            );
            return Err(StoreError::new(StoreErrorKind::Busy, what));
        }
        Err(self.fault(fault, "s3:PutObject", &key))
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        let ahead = self.0.ahead().as_mut().and_then(|ahead| ahead.empty.take());
        match ahead {
            Some(empty) => Ok(empty),
            None => self.holds_nothing().await,
        }
    }

    async fn ignore_file(&self) -> Result<Option<String>, StoreError> {
        let ahead = self
            .0
            .ahead()
            .as_mut()
            .and_then(|ahead| ahead.ignored.take());
        let read = match ahead {
            Some(read) => read,
            None => self.own(IGNORE_FILE).await?,
        };
        let Some(read) = read else {
            return Ok(None);
        };
        match String::from_utf8(read.bytes.into()) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let what = format!("{IGNORE_FILE} at {} is not UTF-8", self.location());
                Err(StoreError::new(StoreErrorKind::Other, what).with_source(error))
            }
        }
    }

    async fn inspect(&self, path: &VaultPath, known: Option<&Stamp>) -> Result<Found, StoreError> {
        let Ok(key) = self.key(path) else {
            return Ok(Found::Absent);
        };
        if let Some(known) = known {
            return Ok(file(known.clone()));
        }
        let found = match self.0.looks.look(path) {
            Look::Known(found) => found,
            Look::Ask => {
                let head = self.0.bucket.head(&key).await;
                let head = head.map_err(|fault| self.fault(fault, "s3:GetObject", &key))?;
                head.map(|head| head.stamp)
            }
            Look::List => {
                // Many look at once: one of them lists, the others wait for it.
                let _turn = self.0.looks.turn().await;
                if let Look::Known(found) = self.0.looks.look(path) {
                    return Ok(found.map_or(Found::Absent, file));
                }
                let mut listing: HashMap<Box<str>, Stamp> = HashMap::new();
                let mut pages = pin!(self.objects());
                while let Some(page) = pages.try_next().await? {
                    let page = page.into_iter();
                    listing.extend(page.map(|(path, stamp)| (path.as_str().into(), stamp)));
                }
                let found = listing.get(path.as_str()).cloned();
                self.0.looks.listed(listing);
                found
            }
        };
        Ok(found.map_or(Found::Absent, file))
    }

    async fn hash(&self, path: &VaultPath) -> Result<Option<(ContentHash, Stamp)>, StoreError> {
        match self.key(path) {
            Ok(key) => self.hash_at(&key, None).await,
            Err(_) => Ok(None),
        }
    }

    async fn check_hash(
        &self,
        path: &VaultPath,
        trust: Trust<'_>,
    ) -> Result<Option<(ContentHash, Stamp)>, StoreError> {
        S3VaultStore::check_hash(self, path, trust).await
    }

    async fn list(&self, config_dir: &str) -> Result<Vec<Listed>, StoreError> {
        self.whole(config_dir).await
    }

    fn pages<'a>(&'a self, config_dir: &'a str) -> Option<Pages<'a>> {
        Some(self.listed(config_dir))
    }

    async fn stage(
        &self,
        path: &VaultPath,
        content: Bytes,
        meta: FileMeta,
    ) -> Result<Staged, StoreError> {
        self.enter().await?;
        self.key(path)?;
        Ok(Self::staged(path, meta, Waiting::Content(content.into())))
    }

    /// Gathers the content in memory: see [`VaultStore::stage_stream_of`].
    async fn stage_stream(
        &self,
        path: &VaultPath,
        _size: u64,
    ) -> Result<Box<dyn StagedWriter>, StoreError> {
        self.writer(path, None).await
    }

    async fn stage_stream_of(
        &self,
        path: &VaultPath,
        meta: &FileMeta,
    ) -> Result<Box<dyn StagedWriter>, StoreError> {
        self.writer(path, Some(meta.clone())).await
    }

    fn stream_memory(&self) -> u64 {
        upload::HELD
    }

    async fn stage_copy(
        &self,
        source: &VaultPath,
        source_stamp: &Stamp,
        path: &VaultPath,
        meta: FileMeta,
    ) -> Result<Staged, StoreError> {
        self.enter().await?;
        self.key(path)?;
        let from = self.key(source)?;
        match self.hash_at(&from, Some(source_stamp)).await? {
            Some((hash, stamp)) if stamp == *source_stamp && hash == meta.hash => {}
            _ => return Err(changed(source)),
        }
        let stamp = source_stamp.clone();
        Ok(Self::staged(path, meta, Waiting::Copy { from, stamp }))
    }

    async fn publish(
        &self,
        staged: Staged,
        expect: &Expect,
        retire: Retire,
    ) -> Result<Stamp, PublishError> {
        S3VaultStore::publish(self, staged, expect, retire).await
    }

    async fn rename(
        &self,
        from: &VaultPath,
        source_stamp: &Stamp,
        to: &VaultPath,
        meta: &FileMeta,
    ) -> Result<Stamp, StoreError> {
        S3VaultStore::rename(self, from, source_stamp, to, meta).await
    }

    async fn set_aside(&self, from: &VaultPath, to: &VaultPath) -> Result<(), StoreError> {
        S3VaultStore::set_aside(self, from, to).await
    }

    async fn remove_file(
        &self,
        path: &VaultPath,
        stamp: &Stamp,
        retire: Retire,
    ) -> Result<(), StoreError> {
        S3VaultStore::remove_file(self, path, stamp, retire).await
    }

    async fn remove_files(
        &self,
        removals: &[(&VaultPath, &Stamp, Retire)],
    ) -> Vec<Result<(), StoreError>> {
        S3VaultStore::remove_files(self, removals).await
    }

    async fn create_folder(&self, _path: &VaultPath) -> Result<(), StoreError> {
        Ok(())
    }

    async fn remove_folder(&self, _path: &VaultPath) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn flush(&self) -> Result<(), StoreError> {
        // An answered put is durable.
        Ok(())
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        self.enter().await?;
        // Planning is over: what it listed is no longer needed.
        self.0.looks.rest();
        for upload in self.0.bucket.uploads(&self.0.prefix).await? {
            // Nothing tells whose it is. A younger one may be another program's that is at work.
            if upload.age.is_none_or(|age| age <= FORGOTTEN) {
                continue;
            }
            let key = &upload.key;
            let aborted = self.0.bucket.abort_upload(key, &upload.id).await;
            aborted.map_err(|fault| {
                let action = "s3:AbortMultipartUpload";
                self.0.bucket.error(fault, action, key)
            })?;
            tracing::debug!(%key, "an upload that nobody ended was aborted");
        }
        Ok(())
    }
}
