//! [`Register`]: one small document in the bucket, read and written only if it is unchanged.
//!
//! S3 answers a failed condition in three ways that mean different things: 412, somebody else
//! wrote; 404, somebody deleted it; 409, somebody is writing just now, so try again. Behind each of
//! them may be one's own write whose reply was lost: every write carries an id to tell.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
    UpdateVersion,
};
use obsync_core::{Stamp, StoreError};
use tokio::io::AsyncRead;
use tokio::time::{Duration, sleep};
use tokio_util::io::StreamReader;

use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::object::{e_tag, stamp};

/// How often a write is tried that met another one, or whose reply was lost.
const TRIES: u32 = 4;
/// The pause before the next try; the later ones are longer.
const PAUSE: Duration = Duration::from_millis(150);

/// One document in the bucket.
#[derive(Debug, Clone)]
pub(crate) struct Register {
    bucket: Bucket,
    key: Path,
}

/// Which state of a document: what the next write is conditional on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) stamp: Stamp,
    /// S3's id of it, where the bucket keeps versions.
    pub(crate) id: Option<String>,
}

/// A write that did not happen.
#[derive(Debug)]
pub(crate) enum WriteFault {
    /// Somebody else wrote or deleted it.
    Changed,
    /// Anything else.
    Failed(StoreError),
}

impl Register {
    pub(crate) fn new(bucket: &Bucket, key: Path) -> Self {
        Self {
            bucket: bucket.clone(),
            key,
        }
    }

    /// Where it is, for people.
    pub(crate) fn location(&self) -> String {
        format!("s3://{}/{}", self.bucket.name(), self.key)
    }

    /// The document; `None` before the first write.
    pub(crate) async fn read(&self) -> Result<Option<(Bytes, Version)>, StoreError> {
        let read = self.bucket.read(&self.key).await;
        let read = read.map_err(|fault| self.failed(fault, "s3:GetObject"))?;
        Ok(read.map(|read| {
            let (stamp, id) = (read.stamp, read.version);
            (read.bytes, Version { stamp, id })
        }))
    }

    /// The document as it comes; `None` before the first write.
    pub(crate) async fn open(
        &self,
    ) -> Result<Option<(impl AsyncRead + Send + Unpin + use<>, Version)>, StoreError> {
        let found = match self
            .bucket
            .store()
            .get(&self.key)
            .await
            .map_err(Fault::from)
        {
            Ok(found) => found,
            Err(fault) if fault.is_absent() => return Ok(None),
            Err(fault) => return Err(self.failed(fault, "s3:GetObject")),
        };
        let version = Version {
            stamp: stamp(found.meta.e_tag.as_deref(), found.meta.size),
            id: found.meta.version.clone(),
        };
        let pieces = found.into_stream().map_err(std::io::Error::other);
        Ok(Some((StreamReader::new(pieces), version)))
    }

    /// The document did not come to its end.
    pub(crate) fn unread(&self, error: &serde_json::Error) -> StoreError {
        self.failed(Fault::unanswered(error), "s3:GetObject")
    }

    /// The document's stamp, without the document.
    pub(crate) async fn stamp(&self) -> Result<Option<Stamp>, StoreError> {
        let head = self.bucket.head(&self.key).await;
        let head = head.map_err(|fault| self.failed(fault, "s3:GetObject"))?;
        Ok(head.map(|head| head.stamp))
    }

    /// Writes the document if it is still `before`; `None`: if there is none.
    pub(crate) async fn write(
        &self,
        document: PutPayload,
        before: Option<&Version>,
    ) -> Result<Version, WriteFault> {
        let size = document.content_length() as u64;
        let id = format!("{:032x}", rand::random::<u128>());
        let mut tries = 1;
        loop {
            let mode = match before {
                None => PutMode::Create,
                Some(before) => PutMode::Update(UpdateVersion {
                    e_tag: Some(e_tag(&before.stamp)),
                    version: None,
                }),
            };
            let options = PutOptions {
                mode,
                attributes: attributes(&id),
                ..PutOptions::default()
            };
            let store = self.bucket.store();
            let put = store.put_opts(&self.key, document.clone(), options);
            let fault = match put.await {
                Ok(put) => {
                    return Ok(Version {
                        stamp: stamp(put.e_tag.as_deref(), size),
                        id: put.version,
                    });
                }
                Err(error) => Fault::from(error),
            };
            let changed = fault.is_unmet() || fault.is_absent();
            if changed || fault.may_be_done() {
                match self.bucket.head(&self.key).await {
                    Ok(Some(head)) if head.write.as_deref() == Some(&*id) => {
                        return Ok(Version {
                            stamp: head.stamp,
                            id: head.version,
                        });
                    }
                    // Without knowing, it is not safe to go on.
                    Err(fault) => {
                        return Err(WriteFault::Failed(self.failed(fault, "s3:GetObject")));
                    }
                    Ok(_) => {}
                }
            }
            if changed {
                return Err(WriteFault::Changed);
            }
            if tries >= TRIES || !fault.may_be_done() {
                let conflict = fault.is_conflict();
                let error = self.failed(fault, "s3:PutObject");
                return Err(if conflict {
                    WriteFault::Changed
                } else {
                    WriteFault::Failed(error)
                });
            }
            sleep(PAUSE * tries * tries).await;
            tries += 1;
        }
    }

    /// Writes the document whatever is there.
    pub(crate) async fn overwrite(&self, document: Bytes) -> Result<(), StoreError> {
        let options = PutOptions {
            attributes: attributes(""),
            ..PutOptions::default()
        };
        let store = self.bucket.store();
        let put = store.put_opts(&self.key, document.into(), options).await;
        put.map_err(|error| self.failed(error.into(), "s3:PutObject"))?;
        Ok(())
    }

    fn failed(&self, fault: Fault, action: &str) -> StoreError {
        self.bucket.error(fault, action, self.key.as_ref())
    }
}

fn attributes(id: &str) -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::ContentType, "application/json".into());
    if !id.is_empty() {
        attributes.insert(
            Attribute::Metadata("obsync-write".into()),
            id.to_owned().into(),
        );
    }
    attributes
}
