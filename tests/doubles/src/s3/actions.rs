//! Which permissions a request needs, by S3's own table of operations and actions.

use super::Asked;

/// A permission that was used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used {
    /// Such as `s3:GetObject`.
    pub action: &'static str,
    /// The object's key; empty for what is about the bucket.
    pub key: String,
    /// What a listing asked for; `None` where a request has no such thing.
    pub prefix: Option<String>,
}

fn used(action: &'static str, key: &str) -> Used {
    Used {
        action,
        key: key.to_owned(),
        prefix: None,
    }
}

/// What a request needs; `missing` is whether the object was not there.
pub(super) fn of(asked: &Asked, missing: bool) -> Vec<Used> {
    let has = |name: &str| asked.query.contains_key(name);
    let key = asked.key.as_str();
    let mut needs = match (asked.method.as_str(), key) {
        ("GET", "") if has("uploads") => vec![used("s3:ListBucketMultipartUploads", "")],
        ("GET", "") if has("versioning") => vec![used("s3:GetBucketVersioning", "")],
        ("GET" | "HEAD", "") => vec![Used {
            prefix: asked.query.get("prefix").cloned(),
            ..used("s3:ListBucket", "")
        }],
        ("GET" | "HEAD", _) => vec![used("s3:GetObject", key)],
        ("POST", "") if has("delete") => {
            let text = String::from_utf8_lossy(&asked.body).into_owned();
            let keys = text.split("<Key>").skip(1);
            let keys = keys.filter_map(|rest| rest.split_once("</Key>"));
            keys.map(|(key, _)| used("s3:DeleteObject", key)).collect()
        }
        ("DELETE", _) if has("uploadId") => vec![used("s3:AbortMultipartUpload", key)],
        ("DELETE", _) => vec![used("s3:DeleteObject", key)],
        _ => vec![used("s3:PutObject", key)],
    };
    if let Some(source) = asked.header("x-amz-copy-source") {
        let source = percent_encoding::percent_decode_str(source).decode_utf8_lossy();
        let source = source.split_once('/').map_or("", |(_, key)| key);
        needs.push(used("s3:GetObject", source));
    }
    if asked.header("x-amz-tagging").is_some() {
        needs.push(used("s3:PutObjectTagging", key));
    }
    // To whoever may not list, S3 does not tell that an object is not there.
    if missing && matches!(asked.method.as_str(), "GET" | "HEAD") && !key.is_empty() {
        needs.push(used("s3:ListBucket", ""));
    }
    needs
}
