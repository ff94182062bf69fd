//! Content that is still coming: small content is gathered, large content goes up in parts.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{MultipartId, PutMultipartOptions};
use obsync_core::{
    Expect, FileMeta, Staged, StagedWriter, Stamp, StoreError, StoreErrorKind, VaultPath,
};

use super::S3VaultStore;
use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::object::{condition, stamp};
use crate::wire::with_headers;

/// How large a part is: S3 wants at least 5 MiB of all but the last, and takes 10,000.
const PART: usize = 8 * 1024 * 1024;
/// The most that a writer holds: almost a part, and the piece that makes it one.
pub(super) const HELD: u64 = (PART + obsidian_sync::wire::PIECE_SIZE) as u64;

/// What lies staged.
pub(super) enum Waiting {
    /// In memory.
    Content(Bytes),
    /// In parts that nobody sees.
    Parts(Upload),
    /// Here already, under another path.
    Copy { from: Path, stamp: Stamp },
}

/// An upload in parts. Dropping it aborts it.
pub(super) struct Upload {
    bucket: Bucket,
    key: Path,
    id: MultipartId,
    parts: Vec<PartId>,
    open: bool,
}

impl Upload {
    async fn begin(bucket: &Bucket, key: &Path, meta: &FileMeta) -> Result<Self, StoreError> {
        let options = bucket.options(key, meta);
        let options = PutMultipartOptions {
            tags: options.tags,
            attributes: options.attributes,
            ..PutMultipartOptions::default()
        };
        let id = bucket.store().create_multipart_opts(key, options).await;
        let id = id.map_err(|error| bucket.error(error.into(), "s3:PutObject", key.as_ref()))?;
        Ok(Self {
            bucket: bucket.clone(),
            key: key.clone(),
            id,
            parts: Vec::new(),
            open: true,
        })
    }

    async fn part(&mut self, content: Bytes) -> Result<(), StoreError> {
        let store = self.bucket.store();
        let part = store.put_part(&self.key, &self.id, self.parts.len(), content.into());
        let part = part.await.map_err(|error| {
            let key = self.key.as_ref();
            self.bucket.error(error.into(), "s3:PutObject", key)
        })?;
        self.parts.push(part);
        Ok(())
    }

    /// Makes it visible, on a condition that services without it wave through.
    pub(super) async fn complete(
        &mut self,
        meta: &FileMeta,
        expect: &Expect,
    ) -> Result<Stamp, Fault> {
        let parts = self.parts.clone();
        let store = self.bucket.store();
        let complete = store.complete_multipart(&self.key, &self.id, parts);
        match with_headers(condition(expect), complete).await {
            Ok(put) => {
                self.open = false;
                Ok(stamp(put.e_tag.as_deref(), meta.size))
            }
            Err(error) => {
                let fault = Fault::from(error);
                // Its reply may be all that was lost; the upload is then no more.
                if let Ok(Some(head)) = self.bucket.head(&self.key).await
                    && head.is(meta)
                {
                    self.open = false;
                    return Ok(head.stamp);
                }
                Err(fault)
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.open {
            let (bucket, key, id) = (self.bucket.clone(), self.key.clone(), self.id.clone());
            runtime.spawn(async move {
                // What this misses, the next run's sweep finds.
                if let Err(error) = bucket.store().abort_multipart(&key, &id).await {
                    tracing::debug!(%error, "an upload could not be aborted");
                }
            });
        }
    }
}

/// Takes content piece by piece.
pub(super) struct Writer {
    pub(super) store: S3VaultStore,
    pub(super) path: VaultPath,
    pub(super) key: Path,
    /// What the content is to be. Objects get their mark when an upload begins, so without it the
    /// whole content is gathered in memory.
    pub(super) meta: Option<FileMeta>,
    pub(super) gathered: BytesMut,
    pub(super) upload: Option<Upload>,
}

#[async_trait]
impl StagedWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.gathered.extend_from_slice(&bytes);
        let Some(meta) = &self.meta else {
            return Ok(());
        };
        while self.gathered.len() >= PART {
            let upload = match &mut self.upload {
                Some(upload) => upload,
                None => {
                    let bucket = &self.store.0.bucket;
                    self.upload
                        .insert(Upload::begin(bucket, &self.key, meta).await?)
                }
            };
            let part = self.gathered.split_to(PART).freeze();
            upload.part(part).await?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>, meta: FileMeta) -> Result<Staged, StoreError> {
        let rest = self.gathered.split().freeze();
        let waiting = match self.upload.take() {
            None => Waiting::Content(rest),
            Some(mut upload) => {
                if self.meta.as_ref() != Some(&meta) {
                    let what = format!("'{}' is not what was announced", self.path.display());
                    return Err(StoreError::new(StoreErrorKind::Other, what));
                }
                if !rest.is_empty() {
                    upload.part(rest).await?;
                }
                Waiting::Parts(upload)
            }
        };
        Ok(Staged {
            path: self.path.clone(),
            meta,
            handle: Box::new(waiting),
        })
    }
}
