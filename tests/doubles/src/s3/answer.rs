//! Answers, and who gets none.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use sha2::Digest as _;

use super::{Asked, BUCKET};

pub(super) fn plain(status: u16, body: String) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .body(Full::new(Bytes::from(body)))
        .unwrap()
}

pub(super) fn error(status: u16, code: &str, more: &str) -> Response<Full<Bytes>> {
    plain(
        status,
        format!("<Error><Code>{code}</Code><Message>as asked</Message>{more}</Error>"),
    )
}

/// Wrong buckets, and requests whose signature does not cover what it must.
pub(super) fn refused(bucket: &str, asked: &Asked) -> Option<Response<Full<Bytes>>> {
    if bucket != BUCKET {
        return Some(error(404, "NoSuchBucket", ""));
    }
    let Some(authorization) = asked.header("authorization") else {
        return Some(error(403, "AccessDenied", ""));
    };
    let signed = authorization
        .split("SignedHeaders=")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .unwrap_or_default();
    let signed: Vec<&str> = signed.split(';').collect();
    for name in asked.headers.keys() {
        if name.starts_with("x-amz-") && !signed.contains(&name.as_str()) {
            return Some(error(403, "AccessDenied", "<HeadersNotSigned/>"));
        }
    }
    let digest = hex::encode(sha2::Sha256::digest(&asked.body));
    if asked.header("x-amz-content-sha256") != Some(&digest) {
        return Some(error(400, "XAmzContentSHA256Mismatch", ""));
    }
    None
}

pub(super) fn escaped(text: &str) -> String {
    const SET: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'.');
    percent_encoding::utf8_percent_encode(text, &SET).to_string()
}
