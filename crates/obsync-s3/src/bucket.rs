//! [`Bucket`]: one bucket, set up once, and the requests that obsync makes of it.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredentialProvider, Checksum};
use object_store::client::{HttpRequestBody, HttpService as _};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, BackoffConfig, ObjectStoreExt as _, PutOptions, RetryConfig, TagSet,
};
use obsync_core::{Expect, FileMeta, Stamp, StoreError, StoreErrorKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::fault::{Fault, Scene};
use crate::object::{Head, condition, content_type, if_match, metadata, read_head, stamp};
use crate::settings::S3Settings;
use crate::wire::Wire;

/// What SigV4 leaves as it is.
const STRICT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const STRICT_KEY: AsciiSet = STRICT.remove(b'/');

/// One bucket. Clones share connections.
#[derive(Debug, Clone)]
pub(crate) struct Bucket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: AmazonS3,
    wire: Wire,
    bucket_url: String,
    scene: Scene,
    backoff: ExponentialBuilder,
    storage_class: Option<String>,
    tags: Vec<(String, String)>,
}

/// One request of our own.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// The key; empty for the bucket.
    pub(crate) key: &'a str,
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Bucket {
    pub(crate) fn open(
        settings: &S3Settings,
        credentials: AwsCredentialProvider,
    ) -> Result<Self, StoreError> {
        let address = settings.address()?;
        let wire = Wire::new(settings, &address.region, Arc::clone(&credentials))?;
        let retries = settings.attempts.saturating_sub(1) as usize;
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: settings.first_pause,
                max_backoff: Duration::from_secs(5),
                base: 3.0,
            },
            max_retries: retries,
            retry_timeout: Duration::from_secs(60),
        };
        let store = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&address.region)
            .with_endpoint(&address.endpoint)
            .with_virtual_hosted_style_request(address.virtual_hosted)
            .with_allow_http(true)
            // Ours, though signing is the wire's business: never object_store's own chain.
            .with_credentials(credentials)
            .with_skip_signature(true)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_retry(retry)
            .with_http_connector(wire.clone())
            .build()
            .map_err(|error| {
                let what = "can't set up the S3 client";
                StoreError::new(StoreErrorKind::Unusable, what).with_source(error)
            })?;
        Ok(Self(Arc::new(Inner {
            store,
            wire,
            bucket_url: address.bucket_url,
            scene: Scene {
                bucket: settings.bucket.clone(),
                region: address.region,
            },
            backoff: ExponentialBuilder::default()
                .with_jitter()
                .with_min_delay(settings.first_pause)
                .with_factor(3.0)
                .with_max_times(retries),
            storage_class: settings.storage_class.clone(),
            tags: settings.tags.clone(),
        })))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.scene.bucket
    }

    pub(crate) fn store(&self) -> &AmazonS3 {
        &self.0.store
    }

    /// A fault in words; see [`Scene::error`].
    pub(crate) fn error(&self, fault: Fault, action: &str, key: &str) -> StoreError {
        self.0.scene.error(fault, action, key)
    }

    /// How a vault's object is written: its mark, its type, its class and tags.
    pub(crate) fn options(&self, key: &Path, meta: &FileMeta) -> PutOptions {
        let mut attributes = Attributes::new();
        for (name, value) in metadata(meta) {
            attributes.insert(Attribute::Metadata(name.into()), value.into());
        }
        attributes.insert(Attribute::ContentType, content_type(key.as_ref()).into());
        if let Some(class) = &self.0.storage_class {
            attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        let mut tags = TagSet::default();
        for (name, value) in &self.0.tags {
            tags.push(name, value);
        }
        PutOptions {
            attributes,
            tags,
            ..PutOptions::default()
        }
    }

    /// The headers that make a copy what [`Bucket::options`] makes of a put.
    pub(crate) fn copy_headers(&self, key: &Path, meta: &FileMeta) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: &str, value: &str| {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::from_str(value))
            {
                headers.insert(name, value);
            }
        };
        set("x-amz-metadata-directive", "REPLACE");
        for (name, value) in metadata(meta) {
            set(&format!("x-amz-meta-{name}"), &value);
        }
        set("content-type", &content_type(key.as_ref()));
        // Else S3 keeps the checksum of another algorithm, or none.
        set("x-amz-checksum-algorithm", "SHA256");
        if let Some(class) = &self.0.storage_class {
            set("x-amz-storage-class", class);
        }
        if !self.0.tags.is_empty() {
            let mut tags = url::form_urlencoded::Serializer::new(String::new());
            tags.extend_pairs(&self.0.tags);
            set("x-amz-tagging-directive", "REPLACE");
            set("x-amz-tagging", &tags.finish());
        }
        headers
    }

    /// What is at a key.
    pub(crate) async fn head(&self, key: &Path) -> Result<Option<Head>, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-checksum-mode", HeaderValue::from_static("ENABLED"));
        let ask = Ask {
            method: Method::HEAD,
            key: key.as_ref(),
            query: &[],
            headers,
            body: Bytes::new(),
        };
        match self.ask(&ask).await {
            Ok(answer) => Ok(Some(read_head(answer.headers()))),
            Err(fault) if fault.is_absent() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// A small object's bytes, with its stamp and version.
    pub(crate) async fn read(&self, key: &Path) -> Result<Option<Read>, Fault> {
        let read = async {
            let found = self.0.store.get(key).await?;
            let (e_tag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
            let bytes = found.bytes().await?;
            Ok::<_, object_store::Error>(Read {
                stamp: stamp(e_tag.as_deref(), bytes.len() as u64),
                version,
                bytes,
            })
        };
        match read.await.map_err(Fault::from) {
            Ok(read) => Ok(Some(read)),
            Err(fault) if fault.is_absent() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Deletes what is at a key; on a service that knows the condition, only if it is `stamp`.
    pub(crate) async fn delete(&self, key: &Path, only: Option<&Stamp>) -> Result<(), Fault> {
        let mut headers = HeaderMap::new();
        if let Some(stamp) = only {
            headers.insert(http::header::IF_MATCH, if_match(stamp));
        }
        let ask = Ask {
            method: Method::DELETE,
            key: key.as_ref(),
            query: &[],
            headers,
            body: Bytes::new(),
        };
        match self.ask(&ask).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_absent() => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Copies one object within the bucket, if the source is still `stamp` and, on a service that
    /// knows the condition, the target is as expected.
    pub(crate) async fn copy(
        &self,
        from: &Path,
        from_stamp: &Stamp,
        to: &Path,
        expect: &Expect,
        mut headers: HeaderMap,
    ) -> Result<(), Fault> {
        let source = format!(
            "{}/{}",
            self.name(),
            utf8_percent_encode(from.as_ref(), &STRICT_KEY)
        );
        let source = HeaderValue::from_str(&source).expect("an encoded key is plain ASCII");
        headers.insert("x-amz-copy-source", source);
        headers.insert("x-amz-copy-source-if-match", if_match(from_stamp));
        headers.extend(condition(expect));
        let ask = Ask {
            method: Method::PUT,
            key: to.as_ref(),
            query: &[],
            headers,
            body: Bytes::new(),
        };
        let answer = self.ask(&ask).await?;
        // S3 may find out that it can't copy after it has begun to answer.
        let body = String::from_utf8_lossy(answer.body());
        if body.contains("<Error>") {
            return Err(Fault::answered(
                http::StatusCode::INTERNAL_SERVER_ERROR,
                &body,
            ));
        }
        Ok(())
    }

    /// Sends a request of our own, again where that can help.
    pub(crate) async fn ask(&self, ask: &Ask<'_>) -> Result<Response<Bytes>, Fault> {
        let once = || async {
            let request = self.request(ask);
            let answer = self.0.wire.call(request).await;
            let answer = answer.map_err(|error| Fault::unanswered(&error))?;
            let (parts, body) = answer.into_parts();
            let body: Vec<Bytes> = body
                .bytes_stream()
                .try_collect()
                .await
                .map_err(|error| Fault::unanswered(&error))?;
            let body = Bytes::from(body.concat());
            if parts.status.is_success() {
                Ok(Response::from_parts(parts, body))
            } else {
                let text = String::from_utf8_lossy(&body);
                Err(Fault::answered(parts.status, &text))
            }
        };
        once.retry(self.0.backoff).when(Fault::may_pass).await
    }

    fn request(&self, ask: &Ask<'_>) -> http::Request<HttpRequestBody> {
        let mut uri = self.0.bucket_url.clone();
        if ask.key.is_empty() {
            uri.push('/');
        } else {
            uri.push('/');
            uri.extend(utf8_percent_encode(ask.key, &STRICT_KEY));
        }
        for (index, (name, value)) in ask.query.iter().enumerate() {
            uri.push(if index == 0 { '?' } else { '&' });
            uri.extend(utf8_percent_encode(name, &STRICT));
            uri.push('=');
            uri.extend(utf8_percent_encode(value, &STRICT));
        }
        let mut request = http::Request::new(HttpRequestBody::from(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = uri.parse().expect("an encoded URL");
        *request.headers_mut() = ask.headers.clone();
        request
    }
}

/// A small object that was read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) stamp: Stamp,
    pub(crate) version: Option<String>,
    pub(crate) bytes: Bytes,
}
