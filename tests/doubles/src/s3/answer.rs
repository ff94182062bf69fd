//! Answers, and who gets none.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use sha2::Digest as _;

use super::{Asked, BUCKET, World, signature};

pub(super) type Answer = Response<Full<Bytes>>;

pub(super) fn plain(status: u16, body: String) -> Answer {
    Response::builder()
        .status(status)
        .body(Full::new(Bytes::from(body)))
        .unwrap()
}

pub(super) fn error(status: u16, code: &str, more: &str) -> Answer {
    let message = match more.contains("<Message>") {
        true => "",
        false => "<Message>as asked</Message>",
    };
    plain(
        status,
        format!("<Error><Code>{code}</Code>{message}{more}</Error>"),
    )
}

impl World {
    /// Wrong buckets and accounts, and requests whose signature is wrong or does not cover what it
    /// must.
    pub(super) fn refused(&self, bucket: &str, asked: &Asked) -> Option<Answer> {
        if bucket != BUCKET {
            return Some(error(404, "NoSuchBucket", ""));
        }
        let writes = matches!(asked.method.as_str(), "PUT" | "POST");
        if writes && asked.header("content-length").is_none() {
            return Some(error(411, "MissingContentLength", ""));
        }
        if let Some(refusal) = self.unsigned(asked) {
            return Some(refusal);
        }
        if let Some(owner) = &self.owner {
            let named = |name: &str| asked.header(name) == Some(owner);
            let copies = asked.header("x-amz-copy-source").is_some();
            if !named("x-amz-expected-bucket-owner")
                || (copies && !named("x-amz-source-expected-bucket-owner"))
            {
                return Some(error(403, "AccessDenied", "<NotTheExpectedOwner/>"));
            }
        }
        let digest = hex::encode(sha2::Sha256::digest(&asked.body));
        if asked.header("x-amz-content-sha256") != Some(&digest) {
            return Some(error(400, "XAmzContentSHA256Mismatch", ""));
        }
        None
    }

    fn unsigned(&self, asked: &Asked) -> Option<Answer> {
        let Some(signed) = signature::Signed::read(asked) else {
            return Some(error(403, "AccessDenied", ""));
        };
        for name in asked.headers.keys() {
            if name.starts_with("x-amz-") && !signed.headers.contains(&name.as_str()) {
                return Some(error(403, "AccessDenied", "<HeadersNotSigned/>"));
            }
        }
        let Some((secret, ended)) = self.keys.get(signed.id) else {
            return Some(error(403, "InvalidAccessKeyId", ""));
        };
        if !signed.is_by(secret, asked) {
            return Some(error(403, "SignatureDoesNotMatch", ""));
        }
        if *ended {
            return Some(error(400, "ExpiredToken", ""));
        }
        None
    }
}

pub(super) fn escaped(text: &str) -> String {
    const SET: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'.');
    percent_encoding::utf8_percent_encode(text, &SET).to_string()
}
