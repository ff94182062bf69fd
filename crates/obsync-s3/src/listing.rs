//! Listings, of our own: object_store's fail as a whole over one key that it can't name, such as a
//! folder marker (`a/`), `a//b`, or a control character of some other program's.

use std::borrow::Cow;
use std::time::Duration;

use futures_util::stream::{self, Stream, TryStreamExt as _};
use http::Method;
use jiff::Timestamp;
use obsync_core::{Stamp, StoreError, StoreErrorKind};
use serde::Deserialize;

use crate::ask::Ask;
use crate::bucket::Bucket;
use crate::object::stamp;

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) stamp: Stamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    contents: Vec<Content>,
    encoding_type: Option<String>,
    next_continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    key: String,
    #[serde(rename = "ETag", default)]
    e_tag: String,
    #[serde(default)]
    size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Uploads {
    #[serde(rename = "Upload", default)]
    uploads: Vec<Upload>,
    encoding_type: Option<String>,
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
    initiated: Option<String>,
}

/// An upload in parts that was begun and not ended.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) key: String,
    pub(crate) id: String,
    /// How long ago it was begun, by the service's own clock, if it tells.
    pub(crate) age: Option<Duration>,
}

const LIST: &str = "s3:ListBucket";

impl Bucket {
    /// All objects below a prefix, in the order of their keys.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        self.pages(prefix, "").try_concat().await
    }

    /// The objects right below a prefix: none that has another slash after it.
    pub(crate) async fn list_flat(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        self.pages(prefix, "/").try_concat().await
    }

    /// The same a page at a time: up to 1,000 objects.
    pub(crate) fn pages<'a>(
        &'a self,
        prefix: &'a str,
        delimiter: &'a str,
    ) -> impl Stream<Item = Result<Vec<Object>, StoreError>> + Send + 'a {
        stream::try_unfold(Some(None::<String>), move |at| async move {
            let Some(token) = at else { return Ok(None) };
            let page = self.page(prefix, "", 1000, token.as_deref(), delimiter);
            let (page, next) = page.await?;
            if next.is_some() && next == token {
                // A service that does not go on would keep us here for ever.
                let bucket = self.name();
                let what = format!("S3's listing of '{prefix}' in '{bucket}' does not go on");
                return Err(StoreError::new(StoreErrorKind::Other, what));
            }
            Ok(Some((page, next.map(Some))))
        })
    }

    /// The first few objects below a prefix whose keys come after `after`.
    pub(crate) async fn list_some(
        &self,
        prefix: &str,
        after: &str,
        most: u32,
    ) -> Result<Vec<Object>, StoreError> {
        Ok(self.page(prefix, after, most, None, "").await?.0)
    }

    async fn page(
        &self,
        prefix: &str,
        after: &str,
        most: u32,
        token: Option<&str>,
        delimiter: &str,
    ) -> Result<(Vec<Object>, Option<String>), StoreError> {
        let most = most.to_string();
        let mut query = vec![
            ("encoding-type", "url"),
            ("list-type", "2"),
            ("max-keys", most.as_str()),
            ("prefix", prefix),
        ];
        if !delimiter.is_empty() {
            query.insert(0, ("delimiter", delimiter));
        }
        if !after.is_empty() {
            query.push(("start-after", after));
        }
        if let Some(token) = token {
            query.push(("continuation-token", token));
        }
        let (page, _): (Page, _) = self.document(&query, LIST, prefix).await?;
        let encoded = page.encoding_type.as_deref() == Some("url");
        let objects = page.contents.into_iter().map(|content| Object {
            key: decoded(content.key, encoded),
            stamp: stamp(Some(&content.e_tag), content.size),
        });
        Ok((objects.collect(), page.next_continuation_token))
    }

    /// Uploads in parts below a prefix that were begun and neither completed nor aborted.
    pub(crate) async fn uploads(&self, prefix: &str) -> Result<Vec<Unfinished>, StoreError> {
        let mut all = Vec::new();
        let mut markers: Option<(String, String)> = None;
        loop {
            let mut query = vec![
                ("encoding-type", "url"),
                ("prefix", prefix),
                ("uploads", ""),
            ];
            if let Some((key, id)) = &markers {
                query.push(("key-marker", key));
                query.push(("upload-id-marker", id));
            }
            let action = "s3:ListBucketMultipartUploads";
            let (page, now): (Uploads, _) = self.document(&query, action, prefix).await?;
            let encoded = page.encoding_type.as_deref() == Some("url");
            for upload in page.uploads {
                let begun = upload.initiated.and_then(|text| text.parse().ok());
                all.push(Unfinished {
                    key: decoded(upload.key, encoded),
                    id: upload.upload_id,
                    age: now.zip(begun).map(|(now, begun)| since(begun, now)),
                });
            }
            let next = page.next_key_marker.zip(page.next_upload_id_marker);
            let next = next.map(|(key, id)| (decoded(key, encoded), id));
            // A service that does not go on would keep us here for ever.
            if !page.is_truncated || next.is_none() || next == markers {
                all.retain(|upload| upload.key.starts_with(prefix));
                return Ok(all);
            }
            markers = next;
        }
    }

    /// Asks for a document about the bucket; with it comes the service's time.
    async fn document<T: for<'de> Deserialize<'de>>(
        &self,
        query: &[(&str, &str)],
        action: &str,
        prefix: &str,
    ) -> Result<(T, Option<Timestamp>), StoreError> {
        let ask = Ask::new(Method::GET, "").query(query);
        let answer = self.ask(&ask).await;
        let answer = answer.map_err(|fault| self.error(fault, action, prefix))?;
        let text = std::str::from_utf8(answer.body()).unwrap_or_default();
        let read = quick_xml::de::from_str(text).map_err(|error| {
            let what = format!(
                "S3's listing of '{prefix}' in '{}' makes no sense",
                self.name()
            );
            StoreError::new(StoreErrorKind::Other, what).with_source(error)
        })?;
        let now = answer.headers().get(http::header::DATE);
        let now = now.and_then(|now| httpdate::parse_http_date(now.to_str().ok()?).ok());
        Ok((read, now.and_then(|now| Timestamp::try_from(now).ok())))
    }
}

fn since(begun: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(begun)).unwrap_or_default()
}

fn decoded(key: String, encoded: bool) -> String {
    if !encoded {
        return key;
    }
    let spaced = key.replace('+', " ");
    match percent_encoding::percent_decode_str(&spaced).decode_utf8() {
        Ok(Cow::Borrowed(text)) => text.to_owned(),
        Ok(Cow::Owned(text)) => text,
        // Not text: no name of ours, whatever it is called.
        Err(_) => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_byte_for_byte() {
        for (encoded, plain) in [
            ("v/a+b%2Bc", "v/a b+c"),
            ("v/line%0Abreak", "v/line\nbreak"),
            ("v/%E6%97%A5", "v/日"),
        ] {
            assert_eq!(decoded(encoded.to_owned(), true), plain);
            assert_eq!(decoded(encoded.to_owned(), false), encoded);
        }
    }

    #[test]
    fn a_listing_is_read() {
        let text = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Name>b</Name><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
            <Contents><Key>v/a+b</Key><ETag>&quot;abc&quot;</ETag><Size>4</Size></Contents>\
            <CommonPrefixes><Prefix>x</Prefix></CommonPrefixes>\
            <Contents><Key>v/c</Key><ETag>\"d\"</ETag><Size>0</Size></Contents>\
            <NextContinuationToken>t</NextContinuationToken></ListBucketResult>";
        let page: Page = quick_xml::de::from_str(text).unwrap();
        assert_eq!(page.contents.len(), 2);
        assert_eq!(page.contents[0].e_tag, "\"abc\"");
        assert_eq!(page.next_continuation_token.as_deref(), Some("t"));
    }
}
