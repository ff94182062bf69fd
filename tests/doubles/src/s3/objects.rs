//! What the service does.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use sha2::Digest as _;

use super::answer::{error, escaped, plain};
use super::{Asked, Object, Upload, World};

type Answer = Response<Full<Bytes>>;

const KEPT: [&str; 6] = [
    "content-type",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-checksum-sha256",
];

fn kept(asked: &Asked) -> BTreeMap<String, String> {
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
                let status = match self.unversioned {
                    true => "",
                    false => "<Status>Enabled</Status>",
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
            ("DELETE", _) if has("uploadId") => match self.uploads.remove(&asked.query["uploadId"])
            {
                Some(_) => plain(204, String::new()),
                None => error(404, "NoSuchUpload", ""),
            },
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
        let digest = hex::encode(&sha2::Sha256::digest(&bytes)[..16]);
        let object = Object {
            e_tag: e_tag.unwrap_or(digest),
            bytes,
            headers,
            version: format!("v{}", self.serial),
        };
        self.objects.insert(key.to_owned(), object.clone());
        object
    }

    /// The answer to a condition that does not hold.
    fn unmet(&self, asked: &Asked) -> Option<Answer> {
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
        let sum = BASE64_STANDARD.encode(sha2::Sha256::digest(&asked.body));
        if asked
            .header("x-amz-checksum-sha256")
            .is_some_and(|told| told != sum)
        {
            return error(400, "BadDigest", "");
        }
        let object = self.store(&asked.key, asked.body.clone(), kept(asked), None);
        described(200, &object, Bytes::new())
    }

    fn get(&self, asked: &Asked) -> Answer {
        match self.objects.get(&asked.key) {
            None if asked.method == "HEAD" => plain(404, String::new()),
            None => error(404, "NoSuchKey", ""),
            Some(object) => described(200, object, object.bytes.clone()),
        }
    }

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
        if wanted.is_some_and(|tag| tag.trim_matches('"') != found.e_tag) {
            return error(412, "PreconditionFailed", "");
        }
        if let Some(refusal) = self.unmet(asked) {
            return refusal;
        }
        let mut headers = match asked.header("x-amz-metadata-directive") {
            Some("REPLACE") => kept(asked),
            _ => found.headers.clone(),
        };
        if let Some(sum) = found.headers.get("x-amz-checksum-sha256") {
            headers.insert("x-amz-checksum-sha256".into(), sum.clone());
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
        let within = |text: &str, name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
        };
        let mut told = String::from("<DeleteResult>");
        for object in text.split("<Object>").skip(1) {
            let Some(named) = within(object, "Key") else {
                return error(400, "MalformedXML", "");
            };
            let key = named.replace("&lt;", "<").replace("&gt;", ">");
            let key = key.replace("&apos;", "'").replace("&amp;", "&");
            let wanted = within(object, "ETag").map(|tag| tag.trim_matches('"').to_owned());
            let there = self.objects.get(&key);
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

    fn begin(&mut self, asked: &Asked) -> Answer {
        self.serial += 1;
        let id = format!("u{}", self.serial);
        let upload = Upload {
            key: asked.key.clone(),
            headers: kept(asked),
            parts: BTreeMap::new(),
        };
        self.uploads.insert(id.clone(), upload);
        plain(
            200,
            format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            ),
        )
    }

    fn part(&mut self, asked: &Asked) -> Answer {
        let Some(upload) = self.uploads.get_mut(&asked.query["uploadId"]) else {
            return error(404, "NoSuchUpload", "");
        };
        let number = asked.query["partNumber"].parse().unwrap();
        upload.parts.insert(number, asked.body.clone());
        Response::builder()
            .header("etag", format!("\"p{number}\""))
            .body(Full::default())
            .unwrap()
    }

    fn complete(&mut self, asked: &Asked) -> Answer {
        let id = asked.query["uploadId"].clone();
        if !self.uploads.contains_key(&id) {
            return error(404, "NoSuchUpload", "");
        }
        if let Some(refusal) = self.unmet(asked) {
            return refusal;
        }
        let upload = self.uploads.remove(&id).unwrap();
        let bytes: Vec<u8> = upload.parts.values().flatten().copied().collect();
        let digest = hex::encode(&sha2::Sha256::digest(&bytes)[..16]);
        let e_tag = format!("{digest}-{}", upload.parts.len());
        let object = self.store(&upload.key, bytes.into(), upload.headers, Some(e_tag));
        plain(
            200,
            format!(
                "<CompleteMultipartUploadResult><ETag>\"{}\"</ETag></CompleteMultipartUploadResult>",
                object.e_tag
            ),
        )
    }

    fn list(&self, asked: &Asked) -> Answer {
        let get = |name: &str| {
            asked
                .query
                .get(name)
                .map(String::as_str)
                .unwrap_or_default()
        };
        // Tokens say nothing to others, as S3's do.
        let token = hex::decode(get("continuation-token")).unwrap_or_default();
        let token = String::from_utf8_lossy(&token).into_owned();
        let after = match token.as_str() {
            "" => get("start-after"),
            token => token,
        };
        let most: usize = get("max-keys").parse().unwrap_or(1000);
        let all = self.objects.iter();
        let flat = get("delimiter");
        // What lies behind the delimiter is left out; nobody here asks for common prefixes.
        let deep = |key: &str| !flat.is_empty() && key[get("prefix").len()..].contains(flat);
        let mut found = all.filter(|(key, _)| {
            key.starts_with(get("prefix")) && key.as_str() > after && !deep(key)
        });
        let page: Vec<_> = found.by_ref().take(most).collect();
        let more = found.next().is_some();
        let mut text = String::from("<ListBucketResult><EncodingType>url</EncodingType>");
        for (key, object) in &page {
            text += &format!(
                "<Contents><Key>{}</Key><ETag>&quot;{}&quot;</ETag><Size>{}</Size></Contents>",
                escaped(key),
                object.e_tag,
                object.bytes.len()
            );
        }
        if let (true, Some((last, _))) = (more, page.last()) {
            let token = hex::encode(last.as_bytes());
            text += &format!("<NextContinuationToken>{token}</NextContinuationToken>");
        }
        plain(200, text + "</ListBucketResult>")
    }

    fn list_uploads(&self, asked: &Asked) -> Answer {
        let prefix = asked.query.get("prefix").cloned().unwrap_or_default();
        let mut text = String::from("<ListMultipartUploadsResult>");
        for (id, upload) in &self.uploads {
            if upload.key.starts_with(&prefix) {
                text += &format!(
                    "<Upload><Key>{}</Key><UploadId>{id}</UploadId></Upload>",
                    upload.key
                );
            }
        }
        plain(200, text + "</ListMultipartUploadsResult>")
    }
}

fn described(status: u16, object: &Object, body: Bytes) -> Answer {
    let mut answer = Response::builder()
        .status(status)
        .header("etag", format!("\"{}\"", object.e_tag))
        .header("x-amz-version-id", &object.version)
        .header("last-modified", "Sun, 22 Nov 2026 10:00:00 GMT");
    for (name, value) in &object.headers {
        answer = answer.header(name, value);
    }
    answer.body(Full::new(body)).unwrap()
}
