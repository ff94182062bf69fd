//! An S3 service in this process: stricter than most doubles about signatures and conditions, and
//! able to fail on purpose.

mod answer;
pub mod moto;
mod objects;

use std::collections::{BTreeMap, BTreeSet, HashMap};
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
    signers: BTreeSet<Signer>,
    serial: u64,
    /// Whether conditions are ignored.
    careless: bool,
    /// Whether versioning is off.
    unversioned: bool,
    /// Whether signatures are ignored.
    trusting: bool,
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

/// Who signed a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signer {
    /// The access key's id.
    pub id: String,
    /// The region that it was signed for.
    pub region: String,
    /// The session token of temporary credentials.
    pub token: Option<String>,
}

fn signer(asked: &Asked) -> Option<Signer> {
    let (_, scope) = asked.header("authorization")?.split_once("Credential=")?;
    let mut parts = scope.split('/');
    let (id, _date, region) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Signer {
        id: id.to_owned(),
        region: region.to_owned(),
        token: asked.header("x-amz-security-token").map(str::to_owned),
    })
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
        world.signers.extend(signer(&asked));
        let fault = world.faults.iter().position(|f| line.starts_with(&f.at));
        let fault = fault.map(|at| world.faults.remove(at).how);
        if let Some(How::Answer(status, code, more)) = fault {
            return Ok(answer::error(status, code, more));
        }
        let mut answered = match answer::refused(bucket, &asked) {
            Some(refusal) if !world.trusting => refusal,
            _ => world.answer(&asked),
        };
        if world.unversioned {
            answered.headers_mut().remove("x-amz-version-id");
        }
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

    /// Who signed the requests since the last call.
    pub fn signers(&self) -> Vec<Signer> {
        let signers = std::mem::take(&mut self.world.lock().unwrap().signers);
        signers.into_iter().collect()
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

    /// Changes an object's bytes and nothing else: its ETag and metadata still tell of the old ones.
    pub fn rot(&self, key: &str, bytes: &[u8]) {
        let mut world = self.world.lock().unwrap();
        let object = world.objects.get_mut(key).expect("an object to rot");
        object.bytes = Bytes::copy_from_slice(bytes);
    }

    /// Makes an object lose the checksum that the service keeps, as one that was put without.
    pub fn lose_checksum(&self, key: &str) {
        let mut world = self.world.lock().unwrap();
        let object = world.objects.get_mut(key).expect("an object");
        object.headers.remove("x-amz-checksum-sha256");
    }

    /// Says from now on that versioning is off, and names no versions.
    pub fn keep_no_versions(&self) {
        self.world.lock().unwrap().unversioned = true;
    }

    /// Takes every write from now on, whatever its condition.
    pub fn ignore_conditions(&self) {
        self.world.lock().unwrap().careless = true;
    }

    /// Takes every request from now on, whoever signed it and how.
    pub fn ignore_signatures(&self) {
        self.world.lock().unwrap().trusting = true;
    }

    /// Removes an object as another program would.
    pub fn remove(&self, key: &str) {
        self.world.lock().unwrap().objects.remove(key);
    }
}
