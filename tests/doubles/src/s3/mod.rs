//! An S3 service in this process: stricter than most doubles about signatures and conditions, and
//! able to fail on purpose.

mod answer;
mod objects;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

/// The one bucket there is.
pub const BUCKET: &str = "notes";

/// A running service. It ends with its test.
#[derive(Debug, Clone)]
pub struct Double {
    /// Where it listens.
    pub url: String,
    world: Arc<Mutex<World>>,
}

#[derive(Debug, Default)]
struct World {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Upload>,
    faults: Vec<Fault>,
    requests: Vec<String>,
    serial: u64,
}

/// An object as it is stored.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its content.
    pub bytes: Bytes,
    /// Its ETag, with quotes.
    pub e_tag: String,
    /// Metadata, type, encryption, class, tags: as they came.
    pub headers: BTreeMap<String, String>,
    /// Its version id.
    pub version: String,
}

#[derive(Debug)]
struct Upload {
    key: String,
    headers: BTreeMap<String, String>,
    parts: BTreeMap<u32, Bytes>,
}

/// What goes wrong, once per entry.
#[derive(Debug, Clone)]
struct Fault {
    /// The start of `METHOD key` to match.
    at: String,
    how: How,
}

/// How a request goes wrong.
#[derive(Debug, Clone)]
pub enum How {
    /// The effect happens and the connection breaks.
    LoseReply,
    /// This answer, and no effect.
    Answer(u16, &'static str, &'static str),
}

/// A request, taken apart.
struct Asked {
    method: String,
    /// Empty for requests about the bucket.
    key: String,
    query: HashMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Bytes,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection breaks on purpose")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Double {
    /// Starts one on a free port of this host.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let double = Self {
            url,
            world: Arc::default(),
        };
        let serving = double.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let double = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| double.clone().serve(request));
                    let io = TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await;
                });
            }
        });
        double
    }

    async fn serve(
        self,
        request: Request<hyper::body::Incoming>,
    ) -> Result<Response<Full<Bytes>>, Broken> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        let path = parts.uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let decode = |text: &str| {
            let text = percent_encoding::percent_decode_str(text);
            text.decode_utf8().unwrap().into_owned()
        };
        let query = parts.uri.query().unwrap_or_default().split('&');
        let query = query.filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        let headers = parts.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        let asked = Asked {
            method: parts.method.to_string(),
            key: decode(key),
            query: query.collect(),
            headers: headers.collect(),
            body,
        };
        let mut world = self.world.lock().unwrap();
        let line = format!("{} {}", asked.method, asked.key);
        world.requests.push(line.clone());
        let fault = world.faults.iter().position(|f| line.starts_with(&f.at));
        let fault = fault.map(|at| world.faults.remove(at).how);
        if let Some(How::Answer(status, code, more)) = fault {
            return Ok(answer::error(status, code, more));
        }
        let answered = match answer::refused(bucket, &asked) {
            Some(refusal) => refusal,
            None => world.answer(&asked),
        };
        match fault {
            Some(How::LoseReply) => Err(Broken),
            _ => Ok(answered),
        }
    }

    /// Makes the next request that starts so go wrong.
    pub fn fail(&self, at: &str, how: How) {
        let at = at.to_owned();
        self.world.lock().unwrap().faults.push(Fault { at, how });
    }

    /// The requests since the last call, as `METHOD key`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.world.lock().unwrap().requests)
    }

    /// The object at a key.
    pub fn object(&self, key: &str) -> Option<Object> {
        self.world.lock().unwrap().objects.get(key).cloned()
    }

    /// All keys.
    pub fn keys(&self) -> Vec<String> {
        self.world.lock().unwrap().objects.keys().cloned().collect()
    }

    /// How many multipart uploads are open.
    pub fn uploads(&self) -> usize {
        self.world.lock().unwrap().uploads.len()
    }

    /// Puts an object as another program would.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let mut world = self.world.lock().unwrap();
        let bytes = Bytes::copy_from_slice(bytes);
        world.store(key, bytes, BTreeMap::new(), None);
    }

    /// Removes an object as another program would.
    pub fn remove(&self, key: &str) {
        self.world.lock().unwrap().objects.remove(key);
    }
}
