//! The HTTP side: every request signed by us, with our own TLS set-up and deadlines.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue, Method};
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpRequest, HttpResponse, HttpService as _};
use obsync_core::{StoreError, StoreErrorKind};
use tokio::time::timeout;

use crate::credentials::{NoCredentials, check};
use crate::fault::Fault;
use crate::settings::{Encryption, S3Settings};

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
        // Deadlines are each request's own: they grow with what it sends.
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(10))
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

    /// Signs and sends. The answer's head must be there within `limit`; its body is the caller's.
    pub(crate) async fn send(
        &self,
        mut request: HttpRequest,
        limit: Duration,
    ) -> Result<HttpResponse, Fault> {
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
        // The checksum of the body is its digest for the signature, too.
        let digest = headers
            .get("x-amz-checksum-sha256")
            .and_then(|value| BASE64_STANDARD.decode(value.as_bytes()).ok());
        let answered = async {
            let credential = wire.credentials.get_credential().await;
            let credential =
                credential.map_err(|error| Fault::unanswered(&NoCredentials::new(&error)))?;
            check(&credential).map_err(|error| Fault::unanswered(&error))?;
            AwsAuthorizer::new(&credential, "s3", &wire.region)
                .try_authorize(&mut request, digest.as_deref())
                .map_err(|error| Fault::unanswered(&NoCredentials::new(&error)))?;
            let answer = wire.http.call(request).await;
            answer.map_err(|error| Fault::unanswered(&error))
        };
        let answered = timeout(limit, answered).await;
        answered.unwrap_or_else(|_| Err(Fault::silent(limit)))
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
        Method::POST => query.starts_with("uploads="),
        _ => false,
    }
}

fn extend(headers: &mut HeaderMap, more: &HeaderMap) {
    for (name, value) in more {
        headers.insert(name.clone(), value.clone());
    }
}
