//! [`Ask`]: one request, how long it may take, and when it is tried again. There is no other loop of
//! retries around or below this one.

use std::time::Duration;

use backon::BackoffBuilder as _;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Method, Response};
use object_store::PutPayload;
use object_store::client::{HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{Instant, sleep, timeout};

use crate::bucket::Bucket;
use crate::fault::Fault;

/// What SigV4 leaves as it is.
const STRICT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const STRICT_KEY: AsciiSet = STRICT.remove(b'/');

/// The slowest line that counts as one, in bytes a second: 16 puts side by side on 2 Mbit/s.
const SLOWEST: usize = 16 * 1024;

/// One request.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// The key; empty for the bucket.
    pub(crate) key: &'a str,
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) headers: HeaderMap,
    pub(crate) body: PutPayload,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(method: Method, key: &'a str) -> Self {
        Self {
            method,
            key,
            query: &[],
            headers: HeaderMap::new(),
            body: PutPayload::new(),
        }
    }

    pub(crate) fn query(mut self, query: &'a [(&'a str, &'a str)]) -> Self {
        self.query = query;
        self
    }

    pub(crate) fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<PutPayload>) -> Self {
        self.body = body.into();
        self
    }

    fn completes(&self) -> bool {
        self.method == Method::POST && self.query.iter().any(|(name, _)| *name == "uploadId")
    }

    /// Whether S3 may find out that it failed after it has begun to answer.
    fn may_fail_late(&self) -> bool {
        self.completes() || self.headers.contains_key("x-amz-copy-source")
    }

    /// Whether the same request may pass on another try.
    fn may_pass(&self, fault: &Fault) -> bool {
        // Two writes at the same moment. An upload that met another write can't be completed any more.
        let writes = matches!(self.method, Method::PUT | Method::DELETE);
        fault.may_pass() || (fault.is_conflict() && writes)
    }

    fn request(&self, bucket_url: &str) -> HttpRequest {
        let mut uri = bucket_url.to_owned();
        uri.push('/');
        uri.extend(utf8_percent_encode(self.key, &STRICT_KEY));
        for (index, (name, value)) in self.query.iter().enumerate() {
            uri.push(if index == 0 { '?' } else { '&' });
            uri.extend(utf8_percent_encode(name, &STRICT));
            uri.push('=');
            uri.extend(utf8_percent_encode(value, &STRICT));
        }
        // What comes in one piece can be digested for the signature.
        let body = match self.body.as_ref() {
            [] => HttpRequestBody::empty(),
            [piece] => HttpRequestBody::from(piece.clone()),
            _ => HttpRequestBody::from(self.body.clone()),
        };
        let mut request = http::Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri.parse().expect("an encoded URL");
        *request.headers_mut() = self.headers.clone();
        if matches!(self.method, Method::PUT | Method::POST) {
            // S3 wants it also where nothing is sent.
            let length = self.body.content_length().into();
            let name = http::header::CONTENT_LENGTH;
            request.headers_mut().insert(name, length);
        }
        request
    }
}

/// A key as a header or URL names it.
pub(crate) fn encoded(key: &str) -> String {
    utf8_percent_encode(key, &STRICT_KEY).to_string()
}

/// How long one try of a request may take that sends so many bytes.
fn limit(patience: Duration, bytes: usize) -> Duration {
    patience + Duration::from_secs((bytes / SLOWEST) as u64)
}

impl Bucket {
    /// Sends a request and takes the whole answer, again where that can help.
    pub(crate) async fn ask(&self, ask: &Ask<'_>) -> Result<Response<Bytes>, Fault> {
        let once = || async {
            let (parts, body) = self.once(ask).await?.into_parts();
            let body = self.gather(body).await?;
            if ask.may_fail_late() {
                let text = String::from_utf8_lossy(&body);
                if text.contains("<Error>") {
                    return Err(Fault::answered_late(&text));
                }
            }
            Ok(Response::from_parts(parts, body))
        };
        self.again(ask, once).await
    }

    /// Does `work`, which is to send `ask`, until it succeeds or may not be tried again.
    pub(crate) async fn again<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        ask: &Ask<'_>,
        work: impl Fn() -> F,
    ) -> Result<T, Fault> {
        // Two tries that came to nothing are enough: they took all the time that they had.
        let last = Instant::now() + 2 * limit(self.patience(), ask.body.content_length());
        let mut doubt = false;
        let mut pauses = self.backoff().build();
        loop {
            let mut fault = match work().await {
                Ok(done) => return Ok(done),
                Err(fault) => fault,
            };
            doubt |= fault.doubt;
            fault.doubt = doubt;
            let pause = pauses.next().filter(|pause| Instant::now() + *pause < last);
            match pause {
                Some(pause) if ask.may_pass(&fault) => sleep(pause).await,
                _ => return Err(fault),
            }
        }
    }

    /// Sends a request once. Its body comes to whoever reads it.
    pub(crate) async fn once(&self, ask: &Ask<'_>) -> Result<HttpResponse, Fault> {
        let limit = limit(self.patience(), ask.body.content_length());
        let request = ask.request(self.url());
        let answer = self.wire().send(request, limit).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        // What it says matters more than all of its words.
        let body = self.gather(body).await.unwrap_or_default();
        let fault = Fault::answered(parts.status, &String::from_utf8_lossy(&body));
        let region = parts.headers.get("x-amz-bucket-region");
        Err(match region.and_then(|region| region.to_str().ok()) {
            Some(region) => fault.in_region(region),
            None => fault,
        })
    }

    /// All of a body, as long as it goes on coming.
    async fn gather(&self, body: HttpResponseBody) -> Result<Bytes, Fault> {
        let mut pieces = Vec::new();
        let mut stream = body.bytes_stream();
        while let Some(piece) = self.piece(stream.next()).await? {
            pieces.push(piece.map_err(|error| Fault::unanswered(&error))?);
        }
        Ok(match pieces.len() {
            1 => pieces.remove(0),
            _ => pieces.concat().into(),
        })
    }

    /// The next piece of a body, if it comes in time.
    pub(crate) async fn piece<T>(&self, next: impl Future<Output = T>) -> Result<T, Fault> {
        let patience = self.patience();
        let next = timeout(patience, next).await;
        next.map_err(|_| Fault::silent(patience))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_gets_the_time_that_its_bytes_take() {
        let patience = Duration::from_secs(60);
        assert_eq!(limit(patience, 0), patience);
        assert_eq!(limit(patience, 10_000), patience);
        // A part by one of 16 puts on a line of 2 Mbit/s, and the state of 100,000 files alone on it.
        let takes = |bytes: f64, rate: f64| Duration::from_secs_f64(bytes / rate);
        let (part, state) = (5.0 * 1024.0 * 1024.0, 19_000_000.0);
        assert!(limit(patience, part as usize) > takes(part, 250_000.0 / 16.0));
        assert!(limit(patience, state as usize) > takes(state, 250_000.0 / 16.0));
        assert!(limit(patience, part as usize) < Duration::from_secs(400));
    }
}
