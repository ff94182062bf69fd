//! What S3 answers when it does not do as asked, and the words for it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use object_store::client::{HttpError, HttpErrorKind};
use obsync_core::{StoreError, StoreErrorKind, escape_name};

use crate::credentials::NoCredentials;

/// A request that did not succeed.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// The answer's status; `None` when there was no answer.
    pub(crate) status: Option<StatusCode>,
    /// S3's word for it. Answers to HEAD have none.
    pub(crate) code: Option<String>,
    /// The region that the answer names.
    region: Option<String>,
    /// S3's sentence, or the transport's.
    message: String,
    /// Whether the request may have had its effect all the same, at this try or at one before.
    pub(crate) doubt: bool,
}

/// Our own word, where a request could not even be signed.
const NO_CREDENTIALS: &str = "ObsyncNoCredentials";

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.status, &self.code) {
            (None, Some(_)) => f.write_str("the request could not be signed"),
            (Some(status), Some(code)) => write!(f, "S3 answered {status}, {code}"),
            (Some(status), None) => write!(f, "S3 answered {status}"),
            (None, _) => f.write_str("S3 did not answer"),
        }
    }
}

impl Error for Fault {}

impl Fault {
    /// From an answer's status and body.
    pub(crate) fn answered(status: StatusCode, body: &str) -> Self {
        let message = element(body, "Message").unwrap_or_else(|| format!("status {status}"));
        Self {
            status: Some(status),
            code: element(body, "Code"),
            region: element(body, "Region"),
            message,
            doubt: status.is_server_error(),
        }
    }

    /// From an answer that names the bucket's region beside its body, as redirects do.
    pub(crate) fn in_region(mut self, region: &str) -> Self {
        self.region.get_or_insert_with(|| region.to_owned());
        self
    }

    /// From an answer that began as a success, and is an error.
    pub(crate) fn answered_late(body: &str) -> Self {
        let code = element(body, "Code").unwrap_or_default();
        Self::told(&code, &element(body, "Message").unwrap_or_default())
    }

    /// From an answer about one object of many, which has no status of its own.
    pub(crate) fn told(code: &str, message: &str) -> Self {
        let status = match code {
            "AccessDenied" => StatusCode::FORBIDDEN,
            "NoSuchKey" => StatusCode::NOT_FOUND,
            "PreconditionFailed" => StatusCode::PRECONDITION_FAILED,
            "ConditionalRequestConflict" | "OperationAborted" => StatusCode::CONFLICT,
            "SlowDown" | "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "InternalError" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        Self {
            status: Some(status),
            code: Some(code.to_owned()),
            region: None,
            message: message.to_owned(),
            doubt: status.is_server_error(),
        }
    }

    /// Nothing came for so long.
    pub(crate) fn silent(limit: Duration) -> Self {
        Self {
            status: None,
            code: None,
            region: None,
            message: format!("nothing came for {} s", limit.as_secs_f32()),
            doubt: true,
        }
    }

    /// Without an answer.
    pub(crate) fn unanswered(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(found) = cause {
            if let Some(none) = found.downcast_ref::<NoCredentials>() {
                return Self {
                    status: None,
                    code: Some(NO_CREDENTIALS.to_owned()),
                    region: None,
                    message: none.to_string(),
                    doubt: false,
                };
            }
            cause = found.source();
        }
        let unsent = error
            .downcast_ref::<HttpError>()
            .is_some_and(|error| error.kind() == HttpErrorKind::Connect);
        Self {
            status: None,
            code: None,
            region: None,
            message: chain(error),
            doubt: !unsent,
        }
    }

    /// Nothing is at that key. A bucket that is not there is another matter.
    pub(crate) fn is_absent(&self) -> bool {
        self.status == Some(StatusCode::NOT_FOUND)
            && matches!(self.code.as_deref(), None | Some("NoSuchKey" | "NotFound"))
    }

    /// The condition of a conditional request did not hold.
    pub(crate) fn is_unmet(&self) -> bool {
        self.status == Some(StatusCode::PRECONDITION_FAILED)
    }

    /// A part was asked for of an object without content.
    pub(crate) fn is_empty_range(&self) -> bool {
        self.status == Some(StatusCode::RANGE_NOT_SATISFIABLE)
    }

    /// Another conditional request for the same key was under way.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status == Some(StatusCode::CONFLICT)
    }

    /// Whether the same request may pass on a second try.
    pub(crate) fn may_pass(&self) -> bool {
        let Some(status) = self.status else {
            return self.code.is_none();
        };
        match status {
            StatusCode::NOT_IMPLEMENTED | StatusCode::INSUFFICIENT_STORAGE => false,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => true,
            // S3's word for a body that came too slowly, and for credentials that ran out on their way:
            // they are asked for anew.
            StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => {
                matches!(
                    self.code.as_deref(),
                    Some("RequestTimeout" | "ExpiredToken")
                )
            }
            status => status.is_server_error(),
        }
    }

    /// Whether what was asked for may be there though no answer told so: by this request, or by one
    /// like it that an earlier run sent.
    pub(crate) fn may_be_done(&self) -> bool {
        self.is_unmet() || self.is_conflict() || self.is_absent() || self.doubt
    }
}

/// Where a request went, for messages.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) bucket: String,
    pub(crate) region: String,
}

impl Scene {
    /// The error for people. `action` is the permission that the request needs, such as
    /// `s3:PutObject`; `key` is empty for requests about the bucket.
    pub(crate) fn error(&self, fault: Fault, action: &str, key: &str) -> StoreError {
        let bucket = &self.bucket;
        let at = match key {
            "" => format!("the bucket '{bucket}'"),
            key => format!("'{}' in the bucket '{bucket}'", escape_name(key)),
        };
        let status = fault.status.map(|status| status.as_u16());
        let code = fault.code.as_deref().unwrap_or_default();
        let (kind, message) = match (status, code) {
            (_, "NoSuchBucket") => (
                StoreErrorKind::Unusable,
                format!("there is no bucket '{bucket}': create it, or check its name"),
            ),
            (_, "RequestTimeTooSkewed") => (
                StoreErrorKind::Unusable,
                "S3 refuses requests because this machine's clock is wrong: set it, and run again"
                    .to_owned(),
            ),
            (_, NO_CREDENTIALS) => (StoreErrorKind::Unusable, fault.message.clone()),
            (
                _,
                "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken",
            ) => (
                StoreErrorKind::Unusable,
                format!(
                    "S3 does not accept the AWS credentials ({code}): {}",
                    fault.message
                ),
            ),
            (Some(301 | 307), _)
            | (
                _,
                "PermanentRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException",
            ) => {
                let elsewhere = match &fault.region {
                    Some(region) => format!("it is in {region}"),
                    None => "it is in another one".to_owned(),
                };
                (
                    StoreErrorKind::Unusable,
                    format!(
                        "the bucket '{bucket}' is not in the region {}: {elsewhere}; set AWS_REGION",
                        self.region
                    ),
                )
            }
            (_, code) if code.starts_with("KMS.") || fault.message.contains("kms:") => (
                StoreErrorKind::Denied,
                format!("the KMS key can't be used for {at}: {}", fault.message),
            ),
            (Some(401 | 403), _) => (
                StoreErrorKind::Denied,
                format!(
                    "{action} is denied on {at}: {}; check the policies of the credentials and of \
                     the bucket, and its owner",
                    fault.message
                ),
            ),
            (Some(507), _) | (_, "QuotaExceeded" | "XMinioStorageFull") => (
                StoreErrorKind::Full,
                format!("no space is left for {at}: {}", fault.message),
            ),
            (Some(503 | 429), _) | (_, "SlowDown") => (
                StoreErrorKind::Other,
                format!("S3 is throttling ({action} on {at}); the next run goes on"),
            ),
            (Some(412 | 409), _) => (
                StoreErrorKind::Changed,
                format!("{at} is not what was expected"),
            ),
            (None, _) => (
                StoreErrorKind::Other,
                format!("S3 did not answer ({action} on {at}): {}", fault.message),
            ),
            _ => (
                StoreErrorKind::Other,
                format!("{action} on {at} failed: {} {}", code, fault.message),
            ),
        };
        StoreError::new(kind, message).with_source(fault)
    }
}

/// The text of the first `<name>` in an error document.
fn element(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(found) = cause {
        let more = found.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = found.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_word_for_bad_surroundings() {
        let scene = Scene {
            bucket: "notes".into(),
            region: "us-east-1".into(),
        };
        for (status, code, more, kind, words) in [
            (
                404,
                "NoSuchBucket",
                "",
                StoreErrorKind::Unusable,
                "no bucket 'notes'",
            ),
            (
                301,
                "PermanentRedirect",
                "",
                StoreErrorKind::Unusable,
                "another one",
            ),
            (
                400,
                "AuthorizationHeaderMalformed",
                "<Region>eu-west-1</Region>",
                StoreErrorKind::Unusable,
                "eu-west-1",
            ),
            (
                403,
                "AccessDenied",
                "",
                StoreErrorKind::Denied,
                "s3:PutObject is denied on 'k'",
            ),
            (
                403,
                "RequestTimeTooSkewed",
                "",
                StoreErrorKind::Unusable,
                "clock",
            ),
            (
                403,
                "ExpiredToken",
                "",
                StoreErrorKind::Unusable,
                "credentials",
            ),
            (
                400,
                "KMS.DisabledException",
                "",
                StoreErrorKind::Denied,
                "KMS key",
            ),
            (503, "SlowDown", "", StoreErrorKind::Other, "throttling"),
            (507, "", "", StoreErrorKind::Full, "no space"),
        ] {
            let body = format!("<Error><Code>{code}</Code><Message>m</Message>{more}</Error>");
            let status = StatusCode::from_u16(status).unwrap();
            let error = scene.error(Fault::answered(status, &body), "s3:PutObject", "k");
            assert_eq!(error.kind, kind, "{code}");
            assert!(error.message.contains(words), "{}", error.message);
        }
    }
}
