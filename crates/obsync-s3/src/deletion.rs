//! Deleting many objects with one request, each on the condition that it is still the one meant.
//!
//! AWS checks the ETag of each. Services that ignore it are why callers look first.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use md5::Md5;
use obsync_core::Stamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ask::Ask;
use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::object::e_tag;

/// The most that S3 takes in one request.
pub(crate) const MOST: usize = 1000;

#[derive(Serialize)]
#[serde(rename = "Delete")]
struct Order<'a> {
    #[serde(rename = "@xmlns")]
    namespace: &'static str,
    #[serde(rename = "Object")]
    objects: Vec<Object<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Object<'a> {
    key: &'a str,
    #[serde(rename = "ETag")]
    e_tag: String,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(rename = "Deleted", default)]
    deleted: Vec<Deleted>,
    #[serde(rename = "Error", default)]
    errors: Vec<Refusal>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Deleted {
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    key: String,
    code: String,
    #[serde(default)]
    message: String,
}

/// Whether a key can be named in XML and comes back as it was.
pub(crate) fn can_name(key: &str) -> bool {
    key.trim() == key
        && !key
            .chars()
            .any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'))
}

impl Bucket {
    /// Deletes up to [`MOST`] objects, each only if it is still that stamp on a service that knows
    /// the condition. Gives what S3 says of each key; one that is not there is deleted.
    pub(crate) async fn delete_many(
        &self,
        objects: &[(&str, &Stamp)],
    ) -> Result<HashMap<String, Result<(), Fault>>, Fault> {
        let order = Order {
            namespace: "http://s3.amazonaws.com/doc/2006-03-01/",
            objects: objects
                .iter()
                .map(|(key, stamp)| Object {
                    key,
                    e_tag: e_tag(stamp),
                })
                .collect(),
        };
        let unanswered = |error: &(dyn std::error::Error + 'static)| Fault::unanswered(error);
        let body = quick_xml::se::to_string(&order).map_err(|error| unanswered(&error))?;
        let mut headers = HeaderMap::new();
        // The one is today's, the other what older services insist on.
        for (name, sum) in [
            ("x-amz-checksum-sha256", Sha256::digest(&body).to_vec()),
            ("content-md5", Md5::digest(&body).to_vec()),
        ] {
            let sum = HeaderValue::from_str(&BASE64_STANDARD.encode(sum));
            headers.insert(name, sum.expect("base64 is plain ASCII"));
        }
        headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/xml"),
        );
        let ask = Ask::new(Method::POST, "")
            .query(&[("delete", "")])
            .headers(headers)
            .body(Bytes::from(body));
        let answer = self.ask(&ask).await?;
        let text = String::from_utf8_lossy(answer.body());
        let outcome: Outcome =
            quick_xml::de::from_str(&text).map_err(|error| unanswered(&error))?;
        let deleted = outcome.deleted.into_iter().map(|gone| (gone.key, Ok(())));
        let errors = outcome.errors.into_iter().map(|refusal| {
            let fault = Fault::told(&refusal.code, &refusal.message);
            let absent = fault.status == Some(StatusCode::NOT_FOUND);
            (refusal.key, if absent { Ok(()) } else { Err(fault) })
        });
        Ok(deleted.chain(errors).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_names_keys_and_conditions() {
        let order = Order {
            namespace: "ns",
            objects: vec![Object {
                key: "v/a & <b>.md",
                e_tag: "\"tag\"".to_owned(),
            }],
        };
        let text = quick_xml::se::to_string(&order).unwrap();
        assert_eq!(
            text.replace("&quot;", "\""),
            "<Delete xmlns=\"ns\"><Object><Key>v/a &amp; &lt;b&gt;.md</Key><ETag>\"tag\"</ETag></Object></Delete>"
        );
        for key in ["a ", "\u{ffff}", "a\u{85}b"] {
            assert!(!can_name(key), "{key:?}");
        }
    }

    #[test]
    fn outcomes_are_read_in_any_order() {
        let text = "<DeleteResult xmlns=\"x\"><Deleted><Key>a</Key></Deleted>\
            <Error><Key>b &amp; c</Key><Code>PreconditionFailed</Code><Message>m</Message></Error>\
            <Deleted><Key>d</Key><DeleteMarker>true</DeleteMarker></Deleted></DeleteResult>";
        let outcome: Outcome = quick_xml::de::from_str(text).unwrap();
        assert_eq!((outcome.deleted.len(), outcome.errors.len()), (2, 1));
        assert_eq!(outcome.errors[0].key, "b & c");
    }
}
