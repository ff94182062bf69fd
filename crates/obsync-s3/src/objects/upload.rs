//! Content that is still coming: small content is gathered, large content goes up in parts.

use async_trait::async_trait;
use bytes::Bytes;
use object_store::PutPayload;
use object_store::path::Path;
use obsync_core::{
    Expect, FileMeta, Staged, StagedWriter, Stamp, StoreError, StoreErrorKind, VaultPath,
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::S3VaultStore;
use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::object::{condition, stamp};
use crate::parts::Part;

/// How large a part is: S3 takes no less of all but the last, some services want all alike, and 10,000
/// of them are more than the service's largest file.
const PART: usize = 5 * 1024 * 1024;
/// The most that a writer holds: a part on its way, almost another, and the piece that makes it one.
pub(super) const HELD: u64 = (2 * PART + obsidian_sync::wire::PIECE_SIZE) as u64;

/// What lies staged.
pub(super) enum Waiting {
    /// In memory.
    Content(PutPayload),
    /// In parts that nobody sees.
    Parts(Upload),
    /// Here already, under another path.
    Copy { from: Path, stamp: Stamp },
}

impl Waiting {
    /// Whether nothing more can come of it.
    pub(super) fn is_spent(&self) -> bool {
        matches!(self, Self::Parts(upload) if upload.is_spent())
    }
}

/// An upload in parts. Dropping it aborts it.
pub(super) struct Upload {
    bucket: Bucket,
    key: Path,
    id: String,
    parts: Vec<Part>,
    /// The part that is on its way.
    going: Option<Going>,
    size: u64,
    open: bool,
    spent: bool,
}

type Going = AbortOnDropHandle<Result<Part, Fault>>;

impl Upload {
    async fn begin(bucket: &Bucket, key: &Path, meta: &FileMeta) -> Result<Self, StoreError> {
        let id = bucket.begin_upload(key, bucket.dressed(key, meta)).await;
        let id = id.map_err(|fault| bucket.error(fault, "s3:PutObject", key.as_ref()))?;
        Ok(Self {
            bucket: bucket.clone(),
            key: key.clone(),
            id,
            parts: Vec::new(),
            going: None,
            size: 0,
            open: true,
            spent: false,
        })
    }

    /// Sends a part by the way, once the one before has arrived.
    async fn part(&mut self, content: PutPayload) -> Result<(), StoreError> {
        self.arrived().await?;
        self.size += content.content_length() as u64;
        let number = self.parts.len() + 1;
        let (bucket, key, id) = (self.bucket.clone(), self.key.clone(), self.id.clone());
        let going = async move { bucket.put_part(&key, &id, number, content).await };
        self.going = Some(AbortOnDropHandle::new(tokio::spawn(
            going.in_current_span(),
        )));
        Ok(())
    }

    /// Waits for the part that is on its way.
    async fn arrived(&mut self) -> Result<(), StoreError> {
        let Some(going) = &mut self.going else {
            return Ok(());
        };
        let sent = going.await;
        self.going = None;
        let key = self.key.as_ref();
        match sent {
            Ok(Ok(part)) => {
                self.parts.push(part);
                Ok(())
            }
            Ok(Err(fault)) => Err(self.bucket.error(fault, "s3:PutObject", key)),
            Err(error) => {
                let what = format!("a part of '{key}' was not sent");
                Err(StoreError::new(StoreErrorKind::Other, what).with_source(error))
            }
        }
    }

    /// Makes it visible, on a condition that services without it wave through. Its reply may be all
    /// that is lost: the caller looks, and says [`Upload::close`] when it is there.
    pub(super) async fn complete(&mut self, expect: &Expect) -> Result<Stamp, Fault> {
        let condition = condition(expect);
        let completed = self
            .bucket
            .complete_upload(&self.key, &self.id, &self.parts, condition)
            .await;
        match completed {
            Ok(e_tag) => Ok(stamp(Some(&e_tag), self.size)),
            Err(fault) => {
                // By AWS's word it takes a new upload then.
                self.spent = fault.is_conflict() || fault.code.as_deref() == Some("NoSuchUpload");
                Err(fault)
            }
        }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.spent
    }

    /// It is an object now.
    pub(super) fn close(&mut self) {
        self.open = false;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.going = None;
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.open {
            let (bucket, key, id) = (self.bucket.clone(), self.key.clone(), self.id.clone());
            let aborting = async move {
                // What this misses, a later run's sweep finds.
                if let Err(fault) = bucket.abort_upload(key.as_ref(), &id).await {
                    tracing::debug!(%fault, "an upload could not be aborted");
                }
            };
            runtime.spawn(aborting.in_current_span());
        }
    }
}

/// Takes content piece by piece, and shares its memory. It holds less than a part and a piece, and
/// beside them the part that is on its way.
pub(super) struct Writer {
    store: S3VaultStore,
    path: VaultPath,
    key: Path,
    /// What the content is to be. Objects get their mark when an upload begins, so without it the
    /// whole content is gathered in memory.
    meta: Option<FileMeta>,
    gathered: Vec<Bytes>,
    length: usize,
    upload: Option<Upload>,
}

impl Writer {
    pub(super) fn new(
        store: &S3VaultStore,
        path: &VaultPath,
        key: Path,
        meta: Option<FileMeta>,
    ) -> Self {
        Self {
            store: store.clone(),
            path: path.clone(),
            key,
            meta,
            gathered: Vec::new(),
            length: 0,
            upload: None,
        }
    }

    /// Takes just a part out of what is gathered.
    fn cut(&mut self) -> PutPayload {
        let mut part = Vec::new();
        let mut missing = PART;
        let mut pieces = std::mem::take(&mut self.gathered).into_iter();
        for mut piece in pieces.by_ref() {
            if piece.len() <= missing {
                missing -= piece.len();
                part.push(piece);
            } else {
                part.push(piece.split_to(missing));
                self.gathered.push(piece);
                break;
            }
        }
        self.gathered.extend(pieces);
        self.length -= PART;
        part.into_iter().collect()
    }
}

#[async_trait]
impl StagedWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.length += bytes.len();
        self.gathered.push(bytes);
        let Some(meta) = self.meta.clone() else {
            return Ok(());
        };
        while self.length >= PART {
            let part = self.cut();
            let upload = match &mut self.upload {
                Some(upload) => upload,
                None => {
                    let bucket = &self.store.0.bucket;
                    self.upload
                        .insert(Upload::begin(bucket, &self.key, &meta).await?)
                }
            };
            upload.part(part).await?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>, meta: FileMeta) -> Result<Staged, StoreError> {
        let rest: PutPayload = std::mem::take(&mut self.gathered).into_iter().collect();
        let waiting = match self.upload.take() {
            None => Waiting::Content(rest),
            Some(mut upload) => {
                if self.meta.as_ref() != Some(&meta) {
                    let what = format!("'{}' is not what was announced", self.path.display());
                    return Err(StoreError::new(StoreErrorKind::Other, what));
                }
                if self.length > 0 {
                    upload.part(rest).await?;
                }
                upload.arrived().await?;
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
