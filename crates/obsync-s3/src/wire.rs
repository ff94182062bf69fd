//! The HTTP side: every request signed by us, with our own TLS set-up.
//!
//! object_store is told not to sign. Signing here lets a request carry headers that object_store
//! does not know: the bucket's expected owner, conditions on completing an upload, SSE on all
//! that creates an object.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use obsync_core::{StoreError, StoreErrorKind};

use crate::credentials::NoCredentials;
use crate::settings::{Encryption, S3Settings};

tokio::task_local! {
    static MORE: HeaderMap;
}

/// Adds these headers to every request that `work` sends.
pub(crate) async fn with_headers<F: Future>(headers: HeaderMap, work: F) -> F::Output {
    MORE.scope(headers, work).await
}

/// Signs and sends. Clones share connections.
#[derive(Debug, Clone)]
pub(crate) struct Wire(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    credentials: AwsCredentialProvider,
    region: String,
    /// With every request.
    always: HeaderMap,
    /// With those that create an object.
    creating: HeaderMap,
}

impl Wire {
    pub(crate) fn new(
        settings: &S3Settings,
        region: &str,
        credentials: AwsCredentialProvider,
    ) -> Result<Self, StoreError> {
        let unusable = |what: String| StoreError::new(StoreErrorKind::Unusable, what);
        let value = |name: &str, text: &str| {
            HeaderValue::from_str(text)
                .map_err(|_| unusable(format!("{name} holds characters that S3 can't take")))
        };
        let mut always = HeaderMap::new();
        if let Some(owner) = &settings.expected_owner {
            always.insert(
                "x-amz-expected-bucket-owner",
                value("the expected owner", owner)?,
            );
        }
        let mut creating = HeaderMap::new();
        let kind = match &settings.encryption {
            Encryption::Bucket => None,
            Encryption::S3 => Some("AES256"),
            Encryption::Kms(_) => Some("aws:kms"),
        };
        if let Some(kind) = kind {
            let name = "x-amz-server-side-encryption";
            creating.insert(name, HeaderValue::from_static(kind));
        }
        if let Encryption::Kms(Some(key)) = &settings.encryption {
            let name = "x-amz-server-side-encryption-aws-kms-key-id";
            creating.insert(name, value("S3_SSE_KMS_KEY_ID", key)?);
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .user_agent(concat!("obsync/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                unusable("can't set up the S3 client".to_owned()).with_source(error)
            })?;
        Ok(Self(Arc::new(Inner {
            http,
            credentials,
            region: region.to_owned(),
            always,
            creating,
        })))
    }
}

fn tls() -> rustls::ClientConfig {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Whether a request makes an object or begins one: a put that is no part, or a new upload.
fn creates(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    match *request.method() {
        Method::PUT => !query.contains("uploadId="),
        Method::POST => query == "uploads" || query.starts_with("uploads="),
        _ => false,
    }
}

#[async_trait]
impl HttpService for Wire {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let wire = &*self.0;
        let creates = creates(&request);
        let headers = request.headers_mut();
        extend(headers, &wire.always);
        if creates {
            extend(headers, &wire.creating);
        }
        if headers.contains_key("x-amz-copy-source")
            && let Some(owner) = wire.always.get("x-amz-expected-bucket-owner")
        {
            headers.insert("x-amz-source-expected-bucket-owner", owner.clone());
        }
        let _ = MORE.try_with(|more| extend(headers, more));
        // The checksum of the body is its digest for the signature, too.
        let digest = headers
            .get("x-amz-checksum-sha256")
            .and_then(|value| BASE64_STANDARD.decode(value.as_bytes()).ok());
        let failed = |error| HttpError::new::<object_store::Error>(HttpErrorKind::Unknown, error);
        let credential = wire.credentials.get_credential().await;
        let credential = credential.map_err(|error| {
            let none = NoCredentials::new(&error);
            HttpError::new::<NoCredentials>(HttpErrorKind::Unknown, none)
        })?;
        AwsAuthorizer::new(&credential, "s3", &wire.region)
            .try_authorize(&mut request, digest.as_deref())
            .map_err(failed)?;
        let response = wire.http.call(request).await?;
        Ok(told_elsewhere(response))
    }
}

fn extend(headers: &mut HeaderMap, more: &HeaderMap) {
    for (name, value) in more {
        headers.insert(name.clone(), value.clone());
    }
}

/// A redirect means the wrong region. object_store would drop what it says.
fn told_elsewhere(mut response: HttpResponse) -> HttpResponse {
    if !matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT
    ) {
        return response;
    }
    let region = response
        .headers()
        .get(HeaderName::from_static("x-amz-bucket-region"))
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let body = format!("<Error><Code>PermanentRedirect</Code><Region>{region}</Region></Error>");
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.map(|_| body.into())
}

/// Gives object_store our client.
impl HttpConnector for Wire {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
