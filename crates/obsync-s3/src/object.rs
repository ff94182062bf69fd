//! What an object says of itself, and how it is recognised.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{DATE, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue};
use obsidian_sync::{ContentHash, Millis, Uid};
use obsync_core::{Expect, FileMeta, Stamp};
use sha2::Digest as _;

/// What a HEAD tells of an object.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) stamp: Stamp,
    /// S3's own SHA-256 of all its bytes, where it keeps one.
    pub(crate) checksum: Option<ContentHash>,
    /// Our mark: the hash that we wrote, and the record. Only one that was made for this very key
    /// counts: copies carry the metadata of what they were made from.
    pub(crate) mark: Option<(ContentHash, Uid)>,
    pub(crate) size: u64,
    pub(crate) mtime: Option<Millis>,
    /// Which write of a register it is.
    pub(crate) write: Option<String>,
    /// S3's id of this version, where the bucket keeps versions.
    pub(crate) version: Option<String>,
    headers: HeaderMap,
}

impl Head {
    /// Whether it is what we were about to write.
    pub(crate) fn is(&self, meta: &FileMeta) -> bool {
        self.mark == Some((meta.hash, meta.uid))
            && self.size == meta.size
            && self.checksum.is_none_or(|sum| sum == meta.hash)
    }

    /// The hash of its bytes, without reading them: S3's own, computed when it took them, or our word
    /// if the object is still `known`, our last write there.
    pub(crate) fn hash(&self, known: Option<&Stamp>) -> Option<ContentHash> {
        let mark = self.mark.map(|(hash, _)| hash);
        self.checksum
            .or_else(|| mark.filter(|_| known == Some(&self.stamp)))
    }

    /// Whether it is a copy of that, as far as can be told without reading both.
    pub(crate) fn copies(&self, source: &Self) -> bool {
        let sums = self.checksum.is_some() && self.checksum == source.checksum;
        self.size == source.size && (self.stamp == source.stamp || sums)
    }

    /// The storage class, as a copy is to have it.
    pub(crate) fn class(&self) -> HeaderMap {
        self.headers_like(|name| name == CLASS)
    }

    /// All that it says of itself but our mark, for a copy that is not ours.
    pub(crate) fn without_mark(&self) -> HeaderMap {
        let mut headers = self.headers_like(|name| match name.strip_prefix(META) {
            Some(name) => name != "sha256" && !name.starts_with("obsync-"),
            None => name == CLASS || DESCRIBING.contains(&name),
        });
        let replace = HeaderValue::from_static("REPLACE");
        headers.insert("x-amz-metadata-directive", replace);
        headers
    }

    fn headers_like(&self, wanted: impl Fn(&str) -> bool) -> HeaderMap {
        let headers = self.headers.iter();
        let found = headers.filter(|(name, _)| wanted(name.as_str()));
        found
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

const META: &str = "x-amz-meta-";
const CLASS: &str = "x-amz-storage-class";
/// What an object says of its content, besides metadata.
const DESCRIBING: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

/// How an object is recognised: its ETag without the quotes, which services treat differently, and
/// its size.
pub(crate) fn stamp(e_tag: Option<&str>, size: u64) -> Stamp {
    let e_tag = e_tag.unwrap_or_default().trim_matches('"');
    let digits = size.checked_ilog10().unwrap_or_default() as usize + 1;
    // Many of them are kept: no more room than they need.
    let mut text = String::with_capacity(e_tag.len() + 1 + digits);
    text.push_str(e_tag);
    // Nothing that a string takes fails.
    let _ = write!(text, ":{size}");
    Stamp(text)
}

/// The ETag in a stamp.
pub(crate) fn e_tag(stamp: &Stamp) -> String {
    let e_tag = stamp.0.rsplit_once(':').map_or(&*stamp.0, |(tag, _)| tag);
    format!("\"{e_tag}\"")
}

/// The size in a stamp; 0 in one that is not ours.
pub(crate) fn size_of(stamp: &Stamp) -> u64 {
    let size = stamp.0.rsplit_once(':').map(|(_, size)| size.parse());
    size.and_then(Result::ok).unwrap_or_default()
}

pub(crate) fn if_match(stamp: &Stamp) -> HeaderValue {
    HeaderValue::from_str(&e_tag(stamp)).unwrap_or_else(|_| HeaderValue::from_static("\"none\""))
}

/// The condition under which a key may be written.
pub(crate) fn condition(expect: &Expect) -> HeaderMap {
    let mut headers = HeaderMap::new();
    match expect {
        Expect::Absent => {
            headers.insert(http::header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        Expect::Is(stamp) => {
            headers.insert(http::header::IF_MATCH, if_match(stamp));
        }
    }
    headers
}

pub(crate) fn metadata(key: &str, meta: &FileMeta) -> Vec<(&'static str, String)> {
    let mut found = vec![
        ("sha256", meta.hash.to_hex()),
        ("obsync-uid", meta.uid.to_string()),
        ("obsync-key", tie(key)),
    ];
    if meta.mtime.0 != 0 {
        found.push(("mtime", seconds(meta.mtime.0)));
    }
    found
}

/// What ties a mark to its key.
fn tie(key: &str) -> String {
    hex::encode(&sha2::Sha256::digest(key)[..8])
}

/// S3's id of a version. Where versioning is suspended all are called `null`: none can be had back.
pub(crate) fn version_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-amz-version-id")?.to_str().ok()?;
    (id != "null").then(|| id.to_owned())
}

/// How long before the answer an object was written, by the service's own clock for both.
pub(crate) fn age(headers: &HeaderMap) -> Option<Duration> {
    let time = |name| {
        let text = headers.get(name)?.to_str().ok()?;
        httpdate::parse_http_date(text).ok()
    };
    let (now, then) = (time(DATE)?, time(LAST_MODIFIED)?);
    Some(now.duration_since(then).unwrap_or_default())
}

/// Milliseconds as seconds with a fraction, the way rclone writes them.
fn seconds(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    let millis = millis.unsigned_abs();
    format!("{sign}{}.{:03}", millis / 1000, millis % 1000)
}

/// Such seconds as milliseconds, rounded down.
fn millis(text: &str) -> Option<Millis> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{part:0<3}");
    let part: i64 = digits.get(..3)?.parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    Some(Millis(sign * whole.checked_mul(1000)?.checked_add(part)?))
}

pub(crate) fn content_type(key: &str) -> String {
    let name = key.rsplit('/').next().unwrap_or(key);
    let guess = mime_guess::from_path(name).first_or_octet_stream();
    match guess.type_() {
        mime_guess::mime::TEXT => format!("{guess}; charset=utf-8"),
        _ => guess.to_string(),
    }
}

pub(crate) fn read_head(key: &str, headers: HeaderMap) -> Head {
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let checksum = get("x-amz-checksum-sha256").and_then(|text| {
        // A composite one, of an object in parts, ends in their number.
        let bytes = BASE64_STANDARD.decode(text).ok()?;
        Some(ContentHash(bytes.try_into().ok()?))
    });
    let hash = get("x-amz-meta-sha256").and_then(ContentHash::from_hex);
    let uid = get("x-amz-meta-obsync-uid").and_then(|text| text.parse().ok());
    let tied = get("x-amz-meta-obsync-key").is_some_and(|text| text == tie(key));
    let size = get("content-length").and_then(|text| text.parse().ok());
    let size = size.unwrap_or_default();
    Head {
        stamp: stamp(get("etag"), size),
        checksum,
        mark: hash.zip(uid.map(Uid)).filter(|_| tied),
        size,
        mtime: get("x-amz-meta-mtime").and_then(millis),
        write: get("x-amz-meta-obsync-write").map(str::to_owned),
        version: version_id(&headers),
        headers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rclone_does() {
        for (millis, text) in [
            (1_600_000_000_123, "1600000000.123"),
            (1_600_000_000_000, "1600000000.000"),
            (5, "0.005"),
            (-1_500, "-1.500"),
        ] {
            assert_eq!(seconds(millis), text);
            assert_eq!(super::millis(text), Some(Millis(millis)));
        }
        assert_eq!(super::millis("1.5"), Some(Millis(1500)));
        assert_eq!(super::millis("2.123456789"), Some(Millis(2123)));
        assert_eq!(super::millis("soon"), None);
    }

    #[test]
    fn types_go_by_extension() {
        for (key, expected) in [
            ("v/a.md", "text/markdown; charset=utf-8"),
            ("v/a.b/c.PNG", "image/png"),
            ("v/a.pdf", "application/pdf"),
            ("v/none", "application/octet-stream"),
            ("v/a.canvas", "application/octet-stream"),
        ] {
            assert_eq!(content_type(key), expected);
        }
    }
}
