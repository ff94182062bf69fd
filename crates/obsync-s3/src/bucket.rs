//! [`Bucket`]: one bucket, set up once, and the requests about single objects that obsync makes of it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backon::ExponentialBuilder;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use object_store::PutPayload;
use object_store::aws::AwsCredentialProvider;
use object_store::path::Path;
use obsync_core::{Expect, FileMeta, Stamp, StoreError};
use serde::Deserialize;
use sha2::Digest as _;

use crate::ask::{Ask, encoded};
use crate::fault::{Fault, Scene};
use crate::object::{
    Head, age, condition, content_type, if_match, metadata, read_head, stamp, version_id,
};
use crate::settings::S3Settings;
use crate::wire::Wire;

/// One bucket. Clones share connections.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    inner: Arc<Inner>,
    patience: Duration,
}

#[derive(Debug)]
struct Inner {
    wire: Wire,
    url: String,
    scene: Scene,
    backoff: ExponentialBuilder,
    storage_class: Option<HeaderValue>,
    tags: Option<HeaderValue>,
    /// Whether the service minds conditions on writes, once that is known.
    minds: OnceLock<bool>,
}

impl Bucket {
    pub(crate) fn open(
        settings: &S3Settings,
        credentials: AwsCredentialProvider,
    ) -> Result<Self, StoreError> {
        let address = settings.address()?;
        let wire = Wire::new(settings, &address.region, credentials)?;
        let inner = Inner {
            wire,
            url: address.bucket_url,
            scene: Scene {
                bucket: settings.bucket.clone(),
                region: address.region,
            },
            backoff: ExponentialBuilder::default()
                .with_jitter()
                .with_min_delay(settings.first_pause)
                .with_max_delay(Duration::from_secs(5))
                .with_factor(3.0)
                .with_max_times(settings.attempts.saturating_sub(1) as usize),
            storage_class: settings.storage_class_header()?,
            tags: settings.tags_header()?,
            minds: OnceLock::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            patience: settings.patience,
        })
    }

    /// The same, for requests that may not wait for longer than this.
    pub(crate) fn within(&self, patience: Duration) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            patience: patience.min(self.patience),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.inner.scene.bucket
    }

    pub(crate) fn url(&self) -> &str {
        &self.inner.url
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.inner.wire
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    pub(crate) fn backoff(&self) -> ExponentialBuilder {
        self.inner.backoff
    }

    /// Whether the service minds conditions on writes; `None` as long as nobody has tried.
    pub(crate) fn minds_conditions(&self) -> Option<bool> {
        self.inner.minds.get().copied()
    }

    /// Notes what was found out about that.
    pub(crate) fn set_minds_conditions(&self, minds: bool) {
        if self.inner.minds.set(minds).is_ok() && !minds {
            tracing::warn!(
                bucket = self.name(),
                "the service ignores conditions on writes: two runs at once could undo each other, and \
                 an edit at the same moment could be lost"
            );
        }
    }

    /// A fault in words; see [`Scene::error`].
    pub(crate) fn error(&self, fault: Fault, action: &str, key: &str) -> StoreError {
        self.inner.scene.error(fault, action, key)
    }

    /// How a vault's object is written: its mark, its type, its class and tags.
    pub(crate) fn dressed(&self, key: &Path, meta: &FileMeta) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: &str, value: &str| {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::from_str(value))
            {
                headers.insert(name, value);
            }
        };
        for (name, value) in metadata(key.as_ref(), meta) {
            set(&format!("x-amz-meta-{name}"), &value);
        }
        set("content-type", &content_type(key.as_ref()));
        if let Some(class) = &self.inner.storage_class {
            headers.insert("x-amz-storage-class", class.clone());
        }
        if let Some(tags) = &self.inner.tags {
            headers.insert("x-amz-tagging", tags.clone());
        }
        headers
    }

    /// The headers that make a copy what [`Bucket::dressed`] makes of a put.
    pub(crate) fn dressed_copy(&self, key: &Path, meta: &FileMeta) -> HeaderMap {
        let mut headers = self.dressed(key, meta);
        let replace = HeaderValue::from_static("REPLACE");
        if headers.contains_key("x-amz-tagging") {
            headers.insert("x-amz-tagging-directive", replace.clone());
        }
        headers.insert("x-amz-metadata-directive", replace);
        // Else S3 keeps the checksum of another algorithm, or none.
        let algorithm = HeaderValue::from_static("SHA256");
        headers.insert("x-amz-checksum-algorithm", algorithm);
        headers
    }

    /// What is at a key.
    pub(crate) async fn head(&self, key: &Path) -> Result<Option<Head>, Fault> {
        let mode = HeaderName::from_static("x-amz-checksum-mode");
        let mode = (mode, HeaderValue::from_static("ENABLED"));
        let ask = Ask::new(Method::HEAD, key.as_ref()).headers(HeaderMap::from_iter([mode]));
        match self.ask(&ask).await {
            Ok(answer) => {
                let (parts, _) = answer.into_parts();
                Ok(Some(read_head(key.as_ref(), parts.headers)))
            }
            Err(fault) if fault.is_absent() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// A small object's bytes, or the first of a larger one's, with what there is to know of it.
    pub(crate) async fn read(&self, key: &Path, most: Option<u64>) -> Result<Option<Read>, Fault> {
        let mut ask = Ask::new(Method::GET, key.as_ref());
        if let Some(most) = most {
            let range = HeaderValue::from_str(&format!("bytes=0-{}", most.saturating_sub(1)));
            let range = range.expect("digits are plain ASCII");
            ask.headers.insert(http::header::RANGE, range);
        }
        match self.ask(&ask).await {
            Ok(answer) => {
                let (parts, bytes) = answer.into_parts();
                let size = whole_size(&parts.headers).unwrap_or(bytes.len() as u64);
                Ok(Some(Read {
                    stamp: stamp(e_tag_of(&parts.headers), size),
                    size,
                    version: version_id(&parts.headers),
                    age: age(&parts.headers),
                    bytes,
                }))
            }
            Err(fault) if fault.is_absent() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Puts an object with these headers, whose content has this digest.
    pub(crate) async fn put(
        &self,
        key: &Path,
        headers: HeaderMap,
        content: PutPayload,
        digest: &[u8; 32],
    ) -> Result<Put, Fault> {
        let size = content.content_length() as u64;
        let ask = Ask::new(Method::PUT, key.as_ref())
            .headers(headers)
            .headers(HeaderMap::from_iter([checksum(digest)]))
            .body(content);
        let answer = self.ask(&ask).await?;
        Ok(Put {
            stamp: stamp(e_tag_of(answer.headers()), size),
            version: version_id(answer.headers()),
        })
    }

    /// Deletes what is at a key; on a service that knows the condition, only if it is `stamp`.
    pub(crate) async fn delete(&self, key: &Path, only: Option<&Stamp>) -> Result<(), Fault> {
        let mut ask = Ask::new(Method::DELETE, key.as_ref());
        if let Some(stamp) = only {
            let name = http::header::IF_MATCH;
            ask.headers.insert(name, if_match(stamp));
        }
        match self.ask(&ask).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_absent() => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Copies one object within the bucket, if the source is still `from_stamp` and, on a service that
    /// knows the condition, the target is as expected. Gives the copy's ETag, where S3 tells it.
    pub(crate) async fn copy(
        &self,
        from: &Path,
        from_stamp: &Stamp,
        to: &Path,
        expect: &Expect,
        headers: HeaderMap,
    ) -> Result<Option<String>, Fault> {
        #[derive(Deserialize)]
        struct Copied {
            #[serde(rename = "ETag")]
            e_tag: Option<String>,
        }
        let source = format!("{}/{}", self.name(), encoded(from.as_ref()));
        let source = HeaderValue::from_str(&source).expect("an encoded key is plain ASCII");
        let mut ask = Ask::new(Method::PUT, to.as_ref())
            .headers(headers)
            .headers(condition(expect));
        ask.headers.insert("x-amz-copy-source", source);
        let name = "x-amz-copy-source-if-match";
        ask.headers.insert(name, if_match(from_stamp));
        let answer = self.ask(&ask).await?;
        let text = String::from_utf8_lossy(answer.body());
        let copied = quick_xml::de::from_str::<Copied>(&text);
        Ok(copied.ok().and_then(|copied| copied.e_tag))
    }
}

/// A small object that was read, or the beginning of a larger one.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) stamp: Stamp,
    /// Of the whole object, in bytes.
    pub(crate) size: u64,
    pub(crate) version: Option<String>,
    /// How long ago it was written, by the service's own clock.
    pub(crate) age: Option<Duration>,
    pub(crate) bytes: Bytes,
}

/// An object that was put.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) stamp: Stamp,
    pub(crate) version: Option<String>,
}

pub(crate) fn e_tag_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(http::header::ETAG)?.to_str().ok()
}

/// How large an object is of which a part was asked for.
fn whole_size(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(http::header::CONTENT_RANGE)?.to_str().ok()?;
    range.rsplit_once('/')?.1.parse().ok()
}

/// The header that lets S3 check what it took.
pub(crate) fn checksum(digest: &[u8; 32]) -> (HeaderName, HeaderValue) {
    let sum = HeaderValue::from_str(&BASE64_STANDARD.encode(digest));
    let name = HeaderName::from_static("x-amz-checksum-sha256");
    (name, sum.expect("base64 is plain ASCII"))
}

pub(crate) fn digest_of(content: &PutPayload) -> [u8; 32] {
    let mut hasher = sha2::Sha256::new();
    for piece in content {
        hasher.update(piece);
    }
    hasher.finalize().into()
}
