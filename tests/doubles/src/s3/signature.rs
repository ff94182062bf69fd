//! Signatures, version 4, as S3 checks them: over the method, the path as it came, the query, the
//! signed headers and the body's digest.

use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;
use sha2::Digest as _;

use super::Asked;

/// What stays as it is in a canonical query.
const STRICT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// How far a request's time may be off.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// What an `Authorization` header says.
pub(super) struct Signed<'a> {
    pub(super) id: &'a str,
    date: &'a str,
    pub(super) region: &'a str,
    service: &'a str,
    pub(super) headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Signed<'a> {
    pub(super) fn read(asked: &'a Asked) -> Option<Self> {
        let text = asked.header("authorization")?;
        let text = text.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let part = |name: &str| {
            let parts = text.split(',').map(str::trim);
            parts.filter_map(|part| part.strip_prefix(name)).next()
        };
        let mut scope = part("Credential=")?.split('/');
        let found = Self {
            id: scope.next()?,
            date: scope.next()?,
            region: scope.next()?,
            service: scope.next()?,
            headers: part("SignedHeaders=")?.split(';').collect(),
            signature: part("Signature=")?,
        };
        (scope.next() == Some("aws4_request")).then_some(found)
    }

    /// Whether the signature is what this secret makes of the request.
    pub(super) fn is_by(&self, secret: &str, asked: &Asked) -> bool {
        self.made_by(secret, asked).as_deref() == Some(self.signature)
    }

    fn made_by(&self, secret: &str, asked: &Asked) -> Option<String> {
        if !self.headers.contains(&"host") || !self.headers.is_sorted() {
            return None;
        }
        let time = asked.header("x-amz-date")?;
        if !time.starts_with(self.date) || !is_about_now(time) {
            return None;
        }
        let mut query: Vec<(String, String)> = asked
            .query
            .iter()
            .map(|(name, value)| {
                let strict = |text: &str| utf8_percent_encode(text, &STRICT).to_string();
                (strict(name), strict(value))
            })
            .collect();
        query.sort();
        let query: Vec<String> = query
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut headers = String::new();
        for name in &self.headers {
            headers += &format!("{name}:{}\n", asked.header(name)?.trim());
        }
        let request = [
            &asked.method,
            &asked.path,
            &query.join("&"),
            &headers,
            &self.headers.join(";"),
            asked.header("x-amz-content-sha256")?,
        ];
        let request = hex::encode(sha2::Sha256::digest(request.join("\n")));
        let scope = [self.date, self.region, self.service, "aws4_request"];
        let text = ["AWS4-HMAC-SHA256", time, &scope.join("/"), &request].join("\n");
        let mut key = format!("AWS4{secret}").into_bytes();
        for step in scope {
            key = sign(&key, step);
        }
        Some(hex::encode(sign(&key, &text)))
    }
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

/// By this machine's clock, which signers have too.
fn is_about_now(time: &str) -> bool {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time);
    let time = time.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC));
    let Ok(time) = time.map(|time| time.timestamp()) else {
        return false;
    };
    let time = SystemTime::from(time);
    let now = SystemTime::now();
    let off = now
        .duration_since(time)
        .or_else(|_| time.duration_since(now));
    off.is_ok_and(|off| off <= SKEW)
}
