//! The requests of an upload in parts.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use object_store::PutPayload;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::ask::Ask;
use crate::bucket::{Bucket, checksum, digest_of};
use crate::fault::Fault;

/// A part that S3 took.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Part {
    part_number: usize,
    #[serde(rename = "ETag")]
    e_tag: String,
    /// As S3 told it: services that keep no checksums are not to be asked for one.
    #[serde(rename = "ChecksumSHA256", skip_serializing_if = "Option::is_none")]
    sum: Option<String>,
}

#[derive(Serialize)]
#[serde(rename = "CompleteMultipartUpload")]
struct Order<'a> {
    #[serde(rename = "@xmlns")]
    namespace: &'static str,
    #[serde(rename = "Part")]
    parts: &'a [Part],
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Begun {
    upload_id: String,
}

#[derive(Deserialize)]
struct Completed {
    #[serde(rename = "ETag")]
    e_tag: String,
}

fn senseless(error: &(dyn std::error::Error + 'static)) -> Fault {
    Fault::unanswered(error)
}

impl Bucket {
    /// Begins an upload of an object with these headers; gives its id.
    pub(crate) async fn begin_upload(
        &self,
        key: &Path,
        headers: HeaderMap,
    ) -> Result<String, Fault> {
        let ask = Ask::new(Method::POST, key.as_ref())
            .query(&[("uploads", "")])
            .headers(headers)
            .headers(HeaderMap::from_iter([(
                http::HeaderName::from_static("x-amz-checksum-algorithm"),
                HeaderValue::from_static("SHA256"),
            )]));
        let answer = self.ask(&ask).await?;
        let text = String::from_utf8_lossy(answer.body());
        let begun: Begun = quick_xml::de::from_str(&text).map_err(|error| senseless(&error))?;
        Ok(begun.upload_id)
    }

    /// Sends one part; they are counted from 1.
    pub(crate) async fn put_part(
        &self,
        key: &Path,
        upload: &str,
        number: usize,
        content: PutPayload,
    ) -> Result<Part, Fault> {
        let sum = checksum(&digest_of(&content));
        let text = number.to_string();
        let query = [("partNumber", text.as_str()), ("uploadId", upload)];
        let headers = HeaderMap::from_iter([sum]);
        let ask = Ask::new(Method::PUT, key.as_ref())
            .query(&query)
            .headers(headers)
            .body(content);
        let answer = self.ask(&ask).await?;
        let told = |name: &str| {
            let value = answer.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        Ok(Part {
            part_number: number,
            e_tag: told("etag").unwrap_or_default(),
            sum: told("x-amz-checksum-sha256"),
        })
    }

    /// Makes an upload an object, on a condition that services without it wave through; gives its
    /// ETag.
    pub(crate) async fn complete_upload(
        &self,
        key: &Path,
        upload: &str,
        parts: &[Part],
        condition: HeaderMap,
    ) -> Result<String, Fault> {
        let order = Order {
            namespace: "http://s3.amazonaws.com/doc/2006-03-01/",
            parts,
        };
        let body = quick_xml::se::to_string(&order).map_err(|error| senseless(&error))?;
        let query = [("uploadId", upload)];
        let ask = Ask::new(Method::POST, key.as_ref())
            .query(&query)
            .headers(condition)
            .body(Bytes::from(body));
        let answer = self.ask(&ask).await?;
        let text = String::from_utf8_lossy(answer.body());
        let done: Completed = quick_xml::de::from_str(&text).map_err(|error| senseless(&error))?;
        Ok(done.e_tag)
    }

    /// Gives an upload up. One that is gone already is none.
    pub(crate) async fn abort_upload(&self, key: &str, upload: &str) -> Result<(), Fault> {
        let query = [("uploadId", upload)];
        let ask = Ask::new(Method::DELETE, key).query(&query);
        match self.ask(&ask).await {
            Err(fault) if fault.code.as_deref() != Some("NoSuchUpload") => Err(fault),
            _ => Ok(()),
        }
    }
}
