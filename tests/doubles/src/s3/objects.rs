//! What the service does.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use sha2::Digest as _;

use super::answer::{Answer, error, plain};
use super::{Asked, How, Object, Versions, World};

const KEPT: [&str; 8] = [
    "cache-control",
    "content-disposition",
    "content-type",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-checksum-sha256",
];

pub(super) fn kept(asked: &Asked) -> BTreeMap<String, String> {
    let headers = asked.headers.iter();
    headers
        .filter(|(name, _)| name.starts_with("x-amz-meta-") || KEPT.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

impl World {
    pub(super) fn answer(&mut self, asked: &Asked) -> Answer {
        let has = |name: &str| asked.query.contains_key(name);
        match (asked.method.as_str(), asked.key.as_str()) {
            ("GET", "") if has("uploads") => self.list_uploads(asked),
            ("GET", "") if has("versioning") => {
                let status = match self.versions {
                    Versions::Off => "",
                    Versions::Kept => "<Status>Enabled</Status>",
                    Versions::Suspended => "<Status>Suspended</Status>",
                };
                plain(
                    200,
                    format!("<VersioningConfiguration>{status}</VersioningConfiguration>"),
                )
            }
            ("GET", "") => self.list(asked),
            ("GET" | "HEAD", _) => self.get(asked),
            ("PUT", _) if has("partNumber") => self.part(asked),
            ("PUT", _) if asked.header("x-amz-copy-source").is_some() => self.copy(asked),
            ("PUT", _) => self.put(asked),
            ("POST", _) if has("uploads") => self.begin(asked),
            ("POST", "") if has("delete") => self.delete_many(asked),
            ("POST", _) => self.complete(asked),
            ("DELETE", _) if has("uploadId") => self.abort(&asked.query["uploadId"]),
            ("DELETE", key) => match self.unmet(asked) {
                Some(refusal) => refusal,
                None => {
                    self.objects.remove(key);
                    plain(204, String::new())
                }
            },
            _ => error(405, "MethodNotAllowed", ""),
        }
    }

    pub(super) fn store(
        &mut self,
        key: &str,
        bytes: Bytes,
        headers: BTreeMap<String, String>,
        e_tag: Option<String>,
    ) -> Object {
        self.serial += 1;
        let mut digest = sha2::Sha256::new_with_prefix(&bytes);
        // Encrypted with a key of KMS, the ETag is none of the content's.
        let sealed = headers.get("x-amz-server-side-encryption");
        if sealed.is_some_and(|kind| kind == "aws:kms") {
            digest.update(self.serial.to_le_bytes());
        }
        let digest = hex::encode(&digest.finalize()[..16]);
        let object = Object {
            e_tag: e_tag.unwrap_or(digest),
            bytes,
            headers,
            version: format!("v{}", self.serial),
            modified: self.now(),
        };
        self.objects.insert(key.to_owned(), object.clone());
        object
    }

    /// The answer to a condition that does not hold.
    pub(super) fn unmet(&self, asked: &Asked) -> Option<Answer> {
        if self.careless {
            return None;
        }
        let there = self.objects.get(&asked.key);
        if asked.header("if-none-match") == Some("*") && there.is_some() {
            return Some(error(412, "PreconditionFailed", ""));
        }
        let wanted = asked.header("if-match")?.trim_matches('"');
        match there {
            None if asked.method == "DELETE" => None,
            None => Some(error(404, "NoSuchKey", "")),
            Some(object) if object.e_tag == wanted => None,
            Some(_) => Some(error(412, "PreconditionFailed", "")),
        }
    }

    fn put(&mut self, asked: &Asked) -> Answer {
        if let Some(refusal) = self.unmet(asked) {
            return refusal;
        }
        if sum_is_wrong(asked) {
            return error(400, "BadDigest", "");
        }
        let object = self.store(&asked.key, asked.body.clone(), kept(asked), None);
        described(200, &object, Bytes::new())
    }

    fn get(&self, asked: &Asked) -> Answer {
        let Some(object) = self.objects.get(&asked.key) else {
            return match asked.method.as_str() {
                "HEAD" => plain(404, String::new()),
                _ => error(404, "NoSuchKey", ""),
            };
        };
        let wanted = asked.header("if-match").map(|tag| tag.trim_matches('"'));
        if wanted.is_some_and(|tag| tag != object.e_tag) {
            return error(412, "PreconditionFailed", "");
        }
        let bytes = object.bytes.clone();
        let range = asked.header("range");
        let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let Some((first, last)) = range.filter(|_| asked.method == "GET") else {
            return described(200, object, bytes);
        };
        let all = bytes.len();
        let first: usize = first.parse().unwrap();
        let end = last.parse().map_or(all, |last: usize| all.min(last + 1));
        if first >= end {
            return error(416, "InvalidRange", "");
        }
        let mut answer = described(206, object, bytes.slice(first..end));
        let range = format!("bytes {first}-{}/{all}", end - 1);
        answer
            .headers_mut()
            .insert("content-range", range.parse().unwrap());
        answer
    }

    /// As AWS does: the class and the encryption are never the source's, tags and metadata are unless
    /// others are given.
    fn copy(&mut self, asked: &Asked) -> Answer {
        let source = asked.header("x-amz-copy-source").unwrap_or_default();
        let source = percent_encoding::percent_decode_str(source)
            .decode_utf8()
            .unwrap();
        let source = source.split_once('/').map(|(_, key)| key.to_owned());
        let Some(found) = source.and_then(|key| self.objects.get(&key).cloned()) else {
            return error(404, "NoSuchKey", "");
        };
        let wanted = asked.header("x-amz-copy-source-if-match");
        if !self.careless && wanted.is_some_and(|tag| tag.trim_matches('"') != found.e_tag) {
            return error(412, "PreconditionFailed", "");
        }
        if let Some(refusal) = self.unmet(asked) {
            return refusal;
        }
        let replaces = |name: &str| asked.header(name) == Some("REPLACE");
        let mut headers = kept(asked);
        for (name, value) in &found.headers {
            let copied = match name.as_str() {
                "x-amz-tagging" => !replaces("x-amz-tagging-directive"),
                "x-amz-checksum-sha256" => true,
                name if name.starts_with("x-amz-meta-") || !name.starts_with("x-amz-") => {
                    !replaces("x-amz-metadata-directive")
                }
                _ => false,
            };
            if copied {
                headers.insert(name.clone(), value.clone());
            }
        }
        if asked.header("x-amz-checksum-algorithm") == Some("SHA256") {
            let sum = BASE64_STANDARD.encode(sha2::Sha256::digest(&found.bytes));
            headers.insert("x-amz-checksum-sha256".into(), sum);
        }
        let object = self.store(&asked.key, found.bytes, headers, None);
        let e_tag = object.e_tag;
        plain(
            200,
            format!("<CopyObjectResult><ETag>\"{e_tag}\"</ETag></CopyObjectResult>"),
        )
    }

    /// Each object on the condition that it bears, as AWS does.
    fn delete_many(&mut self, asked: &Asked) -> Answer {
        let text = String::from_utf8_lossy(&asked.body).replace("&quot;", "\"");
        let mut told = String::from("<DeleteResult>");
        for object in text.split("<Object>").skip(1) {
            let Some(named) = within(object, "Key") else {
                return error(400, "MalformedXML", "");
            };
            let key = named.replace("&lt;", "<").replace("&gt;", ">");
            let key = key.replace("&apos;", "'").replace("&amp;", "&");
            let wanted = within(object, "ETag").map(|tag| tag.trim_matches('"').to_owned());
            match self.fault(&format!("DELETE {key}")) {
                Some(How::Answer(_, code, _)) => {
                    told += &format!("<Error><Key>{named}</Key><Code>{code}</Code></Error>");
                    continue;
                }
                // Done, and not told of.
                Some(_) => {
                    self.objects.remove(&key);
                    continue;
                }
                None => {}
            }
            let there = self.objects.get(&key).filter(|_| !self.careless);
            told += &match (there, wanted) {
                (Some(there), Some(wanted)) if there.e_tag != wanted => format!(
                    "<Error><Key>{named}</Key><Code>PreconditionFailed</Code><Message>no</Message></Error>"
                ),
                _ => {
                    self.objects.remove(&key);
                    format!("<Deleted><Key>{named}</Key></Deleted>")
                }
            };
        }
        plain(200, told + "</DeleteResult>")
    }
}

/// The text of the first such element.
pub(super) fn within(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
}

pub(super) fn sum_is_wrong(asked: &Asked) -> bool {
    let sum = BASE64_STANDARD.encode(sha2::Sha256::digest(&asked.body));
    let told = asked.header("x-amz-checksum-sha256");
    told.is_some_and(|told| told != sum)
}

fn described(status: u16, object: &Object, body: Bytes) -> Answer {
    let mut answer = Response::builder()
        .status(status)
        .header("etag", format!("\"{}\"", object.e_tag))
        .header("x-amz-version-id", &object.version)
        .header("last-modified", httpdate::fmt_http_date(object.modified));
    for (name, value) in &object.headers {
        answer = answer.header(name, value);
    }
    answer.body(Full::new(body)).unwrap()
}
