//! Uploads in parts.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use sha2::Digest as _;

use super::answer::{Answer, error, plain};
use super::objects::{kept, sum_is_wrong, within};
use super::{Asked, Upload, World};

/// The least that a part must have, but for the last.
const LEAST: usize = 5 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Part {
    bytes: Bytes,
    e_tag: String,
    sum: Option<String>,
}

impl World {
    pub(super) fn open_upload(&mut self, key: &str, headers: BTreeMap<String, String>) -> String {
        self.serial += 1;
        let id = format!("u{}", self.serial);
        let upload = Upload {
            key: key.to_owned(),
            headers,
            parts: BTreeMap::new(),
            begun: self.now(),
        };
        self.uploads.insert(id.clone(), upload);
        id
    }

    pub(super) fn begin(&mut self, asked: &Asked) -> Answer {
        let id = self.open_upload(&asked.key, kept(asked));
        plain(
            200,
            format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            ),
        )
    }

    pub(super) fn part(&mut self, asked: &Asked) -> Answer {
        if sum_is_wrong(asked) {
            return error(400, "BadDigest", "");
        }
        let Some(upload) = self.uploads.get_mut(&asked.query["uploadId"]) else {
            return error(404, "NoSuchUpload", "");
        };
        let number: u32 = asked.query["partNumber"].parse().unwrap();
        let e_tag = hex::encode(&sha2::Sha256::digest(&asked.body)[..16]);
        let part = Part {
            bytes: asked.body.clone(),
            e_tag: e_tag.clone(),
            sum: asked.header("x-amz-checksum-sha256").map(str::to_owned),
        };
        let sum = part.sum.clone();
        upload.parts.insert(number, part);
        let mut answer = Response::builder().header("etag", format!("\"{e_tag}\""));
        if let Some(sum) = sum {
            answer = answer.header("x-amz-checksum-sha256", sum);
        }
        answer.body(Full::default()).unwrap()
    }

    pub(super) fn abort(&mut self, id: &str) -> Answer {
        match self.uploads.remove(id) {
            Some(_) => plain(204, String::new()),
            None => error(404, "NoSuchUpload", ""),
        }
    }

    pub(super) fn complete(&mut self, asked: &Asked) -> Answer {
        let id = asked.query["uploadId"].clone();
        let Some(upload) = self.uploads.get(&id) else {
            return error(404, "NoSuchUpload", "");
        };
        let text = String::from_utf8_lossy(&asked.body).replace("&quot;", "\"");
        let named: Vec<&str> = text.split("<Part>").skip(1).collect();
        if named.len() != upload.parts.len() {
            return error(400, "InvalidPart", "");
        }
        for (named, (number, part)) in named.iter().zip(&upload.parts) {
            let tag = within(named, "ETag").unwrap_or_default();
            let right = within(named, "PartNumber") == Some(number.to_string())
                && tag.trim_matches('"') == part.e_tag
                && within(named, "ChecksumSHA256") == part.sum;
            if !right {
                return error(400, "InvalidPart", "");
            }
        }
        let last = upload.parts.len().saturating_sub(1);
        let mut but_last = upload.parts.values().take(last);
        if but_last.any(|part| part.bytes.len() < LEAST) {
            return error(400, "EntityTooSmall", "");
        }
        if let Some(refusal) = self.unmet(asked) {
            return refusal;
        }
        let upload = self.uploads.remove(&id).unwrap();
        let parts = upload.parts.into_values();
        let bytes: Vec<Bytes> = parts.map(|part| part.bytes).collect();
        let digest = hex::encode(&sha2::Sha256::digest(bytes.concat())[..16]);
        let e_tag = format!("{digest}-{}", bytes.len());
        let mut headers = upload.headers;
        // Of the parts' checksums, as AWS has it.
        let mut sums = sha2::Sha256::new();
        for part in &bytes {
            sums.update(sha2::Sha256::digest(part));
        }
        let sum = BASE64_STANDARD.encode(sums.finalize());
        headers.insert(
            "x-amz-checksum-sha256".to_owned(),
            format!("{sum}-{}", bytes.len()),
        );
        let object = self.store(&upload.key, bytes.concat().into(), headers, Some(e_tag));
        plain(
            200,
            format!(
                "<CompleteMultipartUploadResult><ETag>\"{}\"</ETag></CompleteMultipartUploadResult>",
                object.e_tag
            ),
        )
    }
}
