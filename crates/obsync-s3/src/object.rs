//! What an object says of itself, and how it is recognised.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue};
use obsidian_sync::{ContentHash, Millis, Uid};
use obsync_core::{Expect, FileMeta, Stamp};

/// What a HEAD tells of an object.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) stamp: Stamp,
    /// S3's own SHA-256 of all its bytes, where it keeps one.
    pub(crate) checksum: Option<ContentHash>,
    /// Our mark: the hash that we wrote, and the record.
    pub(crate) mark: Option<(ContentHash, Uid)>,
    pub(crate) size: u64,
    pub(crate) mtime: Option<Millis>,
    /// Which write of a register it is.
    pub(crate) write: Option<String>,
    /// S3's id of this version, where the bucket keeps versions.
    pub(crate) version: Option<String>,
}

impl Head {
    /// Whether it is what we were about to write.
    pub(crate) fn is(&self, meta: &FileMeta) -> bool {
        self.mark == Some((meta.hash, meta.uid))
            && self.size == meta.size
            && self.checksum.is_none_or(|sum| sum == meta.hash)
    }
}
/// How an object is recognised: its ETag without the quotes, which services treat differently, and
/// its size.
pub(crate) fn stamp(e_tag: Option<&str>, size: u64) -> Stamp {
    Stamp(format!(
        "{}:{size}",
        e_tag.unwrap_or_default().trim_matches('"')
    ))
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

pub(crate) fn metadata(meta: &FileMeta) -> Vec<(&'static str, String)> {
    let mut found = vec![
        ("sha256", meta.hash.to_hex()),
        ("obsync-uid", meta.uid.to_string()),
    ];
    if meta.mtime.0 != 0 {
        found.push(("mtime", seconds(meta.mtime.0)));
    }
    found
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

pub(crate) fn read_head(headers: &HeaderMap) -> Head {
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let checksum = get("x-amz-checksum-sha256").and_then(|text| {
        // A composite one, of an object in parts, ends in their number.
        let bytes = BASE64_STANDARD.decode(text).ok()?;
        Some(ContentHash(bytes.try_into().ok()?))
    });
    let hash = get("x-amz-meta-sha256").and_then(ContentHash::from_hex);
    let uid = get("x-amz-meta-obsync-uid").and_then(|text| text.parse().ok());
    let size = get("content-length").and_then(|text| text.parse().ok());
    let size = size.unwrap_or_default();
    Head {
        stamp: stamp(get("etag"), size),
        checksum,
        mark: hash.zip(uid.map(Uid)),
        size,
        mtime: get("x-amz-meta-mtime").and_then(millis),
        write: get("x-amz-meta-obsync-write").map(str::to_owned),
        version: get("x-amz-version-id").map(str::to_owned),
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
