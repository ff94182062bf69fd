//! [`Register`]: one small document in the bucket, read and written only if it is unchanged.
//!
//! S3 answers a failed condition in three ways that mean different things: 412, somebody else
//! wrote; 404, somebody deleted it; 409, somebody is writing just now, so try again. Behind each of
//! them may be one's own write whose reply was lost: every write carries an id to tell.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use object_store::PutPayload;
use object_store::path::Path;
use obsync_core::{Expect, Stamp, StoreError};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use crate::ask::Ask;
use crate::bucket::{Bucket, Read, digest_of, e_tag_of};
use crate::fault::Fault;
use crate::object::{condition, if_match, stamp, version_id};

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

    /// The same, for requests that may not wait for longer than this.
    pub(crate) fn within(&self, patience: Duration) -> Self {
        Self {
            bucket: self.bucket.within(patience),
            key: self.key.clone(),
        }
    }

    /// Where it is, for people.
    pub(crate) fn location(&self) -> String {
        format!("s3://{}/{}", self.bucket.name(), self.key)
    }

    /// The document; `None` before the first write.
    pub(crate) async fn read(&self) -> Result<Option<Read>, StoreError> {
        let read = self.bucket.read(&self.key, None).await;
        read.map_err(|fault| self.failed(fault, "s3:GetObject"))
    }

    /// The first so many bytes of the document; `None` before the first write. Fails on an empty one.
    pub(crate) async fn read_first(&self, most: u64) -> Result<Option<Read>, Fault> {
        self.bucket.read(&self.key, Some(most)).await
    }

    /// Does something with the document as it comes, again if it does not come to its end. `None`
    /// before the first write; a fault with status 412 if it is no longer `only`.
    pub(crate) async fn take<T, F>(
        &self,
        only: Option<&Version>,
        work: impl Fn(Reader) -> F,
    ) -> Result<Option<(T, Version)>, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut ask = Ask::new(Method::GET, self.key.as_ref());
        if let Some(only) = only {
            let name = http::header::IF_MATCH;
            ask.headers.insert(name, if_match(&only.stamp));
        }
        let once = || async {
            let (parts, body) = self.bucket.once(&ask).await?.into_parts();
            let size = parts.headers.get(http::header::CONTENT_LENGTH);
            let size = size.and_then(|size| size.to_str().ok()?.parse().ok());
            let version = Version {
                stamp: stamp(e_tag_of(&parts.headers), size.unwrap_or_default()),
                id: version_id(&parts.headers),
            };
            let (bucket, pieces) = (self.bucket.clone(), body.bytes_stream());
            let pieces = stream::unfold((bucket, pieces), async |(bucket, mut pieces)| {
                let piece = match bucket.piece(pieces.next()).await {
                    Ok(piece) => piece?.map_err(std::io::Error::other),
                    Err(fault) => Err(std::io::Error::other(fault)),
                };
                Some((piece, (bucket, pieces)))
            });
            let reader: Reader = Box::new(StreamReader::new(Box::pin(pieces)));
            Ok((work(reader).await?, version))
        };
        match self.bucket.again(&ask, once).await {
            Ok(found) => Ok(Some(found)),
            Err(fault) if fault.is_absent() => Ok(None),
            Err(fault) => Err(fault),
        }
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
        let id = format!("{:032x}", rand::random::<u128>());
        let mut headers = headers(&id);
        headers.extend(match before {
            None => condition(&Expect::Absent),
            Some(before) => condition(&Expect::Is(before.stamp.clone())),
        });
        let digest = digest_of(&document);
        let put = self.bucket.put(&self.key, headers, document, &digest).await;
        let fault = match put {
            Ok(put) => {
                return Ok(Version {
                    stamp: put.stamp,
                    id: put.version,
                });
            }
            Err(fault) => fault,
        };
        if fault.doubt {
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
        if fault.is_unmet() || fault.is_absent() {
            return Err(WriteFault::Changed);
        }
        Err(WriteFault::Failed(self.failed(fault, "s3:PutObject")))
    }

    /// Finds out whether the service minds conditions, by a write of what is there already that is to be
    /// refused. Asked once; what can't be found out is left open.
    pub(crate) async fn try_conditions(&self, there: PutPayload) {
        if self.bucket.minds_conditions().is_some() {
            return;
        }
        let mut headers = headers("");
        headers.extend(condition(&Expect::Absent));
        let digest = digest_of(&there);
        match self.bucket.put(&self.key, headers, there, &digest).await {
            Ok(_) => self.bucket.set_minds_conditions(false),
            Err(fault) if fault.is_unmet() => self.bucket.set_minds_conditions(true),
            Err(fault) => tracing::debug!(%fault, "whether conditions are minded is not known"),
        }
    }

    /// Writes the document whatever is there.
    pub(crate) async fn overwrite(&self, document: Bytes) -> Result<(), StoreError> {
        let document = PutPayload::from(document);
        let digest = digest_of(&document);
        let put = self.bucket.put(&self.key, headers(""), document, &digest);
        put.await
            .map_err(|fault| self.failed(fault, "s3:PutObject"))?;
        Ok(())
    }

    pub(crate) fn failed(&self, fault: Fault, action: &str) -> StoreError {
        self.bucket.error(fault, action, self.key.as_ref())
    }
}

/// A document as it comes.
pub(crate) type Reader = Box<dyn AsyncRead + Send + Unpin>;

fn headers(id: &str) -> HeaderMap {
    let json = HeaderValue::from_static("application/json");
    let mut headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, json)]);
    if let Ok(id) = HeaderValue::from_str(id)
        && !id.is_empty()
    {
        let name = HeaderName::from_static("x-amz-meta-obsync-write");
        headers.insert(name, id);
    }
    headers
}
