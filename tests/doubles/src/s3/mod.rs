//! An S3 service in this process: stricter than most doubles about signatures, conditions and parts,
//! with a clock of its own, and able to fail on purpose.

mod actions;
mod answer;
mod listing;
pub mod moto;
mod objects;
mod signature;
mod steer;
mod uploads;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

pub use actions::Used;
use answer::Answer;

/// The one bucket there is.
pub const BUCKET: &str = "notes";

/// Access keys that the service knows from the start, with their secrets.
const KEYS: [(&str, &str); 4] = [
    ("AKIDEXAMPLE", "hidden key"),
    // The runtime double's function has these.
    ("ASIAEXAMPLE", "hidden key"),
    ("test-AWS_ACCESS_KEY_ID", "test-AWS_SECRET_ACCESS_KEY"),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
];

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
    /// Access keys: their secrets, and whether they have run out.
    keys: HashMap<String, (String, bool)>,
    used: BTreeSet<Used>,
    serial: u64,
    /// Bytes of content that were sent.
    sent: u64,
    /// How far the service's clock is ahead of this machine's.
    ahead: Duration,
    /// How long every answer takes.
    delay: Duration,
    /// How many entries a page of a listing has at most; 0 for S3's own limit.
    page: usize,
    /// The account that owns the bucket, if requests must name it.
    owner: Option<String>,
    /// Whether conditions are ignored.
    careless: bool,
    versions: Versions,
    /// Whether signatures are ignored.
    trusting: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Versions {
    #[default]
    Kept,
    Off,
    Suspended,
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
    /// When it was put, by the service's clock.
    pub modified: SystemTime,
}

#[derive(Debug)]
struct Upload {
    key: String,
    headers: BTreeMap<String, String>,
    parts: BTreeMap<u32, uploads::Part>,
    begun: SystemTime,
}

/// What goes wrong, once per entry.
#[derive(Debug, Clone)]
struct Fault {
    /// The start of `METHOD key` to match.
    at: String,
    /// How many that match pass before.
    after: usize,
    how: How,
}

/// How a request goes wrong.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// The effect happens and the connection breaks.
    LoseReply,
    /// This answer, and no effect: status, code, and more of the error's XML.
    Answer(u16, &'static str, &'static str),
    /// The effect happens, and yet this answer.
    DoneButAnswer(u16, &'static str),
    /// A redirect without a body, to a bucket in this region.
    Elsewhere(&'static str),
    /// No effect, and never an answer.
    Hang,
    /// The effect happens; the answer begins, and never ends.
    HangMidway,
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
    let signed = signature::Signed::read(asked)?;
    Some(Signer {
        id: signed.id.to_owned(),
        region: signed.region.to_owned(),
        token: asked.header("x-amz-security-token").map(str::to_owned),
    })
}

/// A request, taken apart.
struct Asked {
    method: String,
    /// The path as it came.
    path: String,
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

type Body = UnsyncBoxBody<Bytes, Broken>;

impl Double {
    /// Starts one on a free port of this host.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let double = Self {
            url,
            world: Arc::default(),
        };
        for (id, secret) in KEYS {
            double.know(id, secret);
        }
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

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    async fn serve(
        self,
        request: Request<hyper::body::Incoming>,
    ) -> Result<Response<Body>, Broken> {
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
            path: parts.uri.path().to_owned(),
            key: decode(key),
            query: query.collect(),
            headers: headers.collect(),
            body,
        };
        let (fault, answered) = self.world().serve(bucket, &asked);
        let delay = self.world().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match (fault, answered) {
            (Some(How::LoseReply), _) => Err(Broken),
            (Some(How::HangMidway), answer) => Ok(answer.map(|body| {
                let half = body
                    .map_err(Broken::from)
                    .map_frame(|frame| frame.map_data(|bytes| bytes.slice(..bytes.len() / 2)));
                UnsyncBoxBody::new(Unending(half.boxed_unsync()))
            })),
            (Some(How::Hang), _) => std::future::pending().await,
            (_, answer) => Ok(answer.map(|body| body.map_err(Broken::from).boxed_unsync())),
        }
    }
}

impl World {
    fn now(&self) -> SystemTime {
        SystemTime::now() + self.ahead
    }

    /// Takes out what is to go wrong with a request.
    fn fault(&mut self, line: &str) -> Option<How> {
        let mut matching = self.faults.iter_mut().enumerate();
        let found = matching.find_map(|(at, fault)| {
            let matches = line.starts_with(&fault.at);
            if matches && fault.after > 0 {
                fault.after -= 1;
                return None;
            }
            matches.then_some(at)
        });
        Some(self.faults.remove(found?).how)
    }

    fn serve(&mut self, bucket: &str, asked: &Asked) -> (Option<How>, Answer) {
        let line = format!("{} {}", asked.method, asked.key);
        self.requests.push(line.clone());
        self.signers.extend(signer(asked));
        let fault = self.fault(&line);
        let mut answered = match fault {
            Some(How::Answer(status, code, more)) => answer::error(status, code, more),
            Some(How::Elsewhere(region)) => {
                let mut answer = answer::plain(301, String::new());
                let region = region.parse().unwrap();
                answer.headers_mut().insert("x-amz-bucket-region", region);
                answer
            }
            Some(How::Hang) => answer::plain(500, String::new()),
            Some(How::LoseReply | How::HangMidway | How::DoneButAnswer(..)) | None => {
                let refusal = match self.trusting {
                    true => None,
                    false => self.refused(bucket, asked),
                };
                refusal.unwrap_or_else(|| self.answer(asked))
            }
        };
        if let Some(How::DoneButAnswer(status, code)) = fault {
            answered = answer::error(status, code, "");
        }
        let missing = answered.status() == hyper::StatusCode::NOT_FOUND;
        self.used.extend(actions::of(asked, missing));
        let headers = answered.headers_mut();
        match self.versions {
            Versions::Kept => {}
            Versions::Off => drop(headers.remove("x-amz-version-id")),
            Versions::Suspended => {
                if headers.contains_key("x-amz-version-id") {
                    headers.insert("x-amz-version-id", "null".parse().unwrap());
                }
            }
        }
        let date = httpdate::fmt_http_date(self.now());
        headers.insert("date", date.parse().unwrap());
        if asked.method != "HEAD" {
            use hyper::body::Body as _;
            self.sent += answered.body().size_hint().exact().unwrap_or_default();
        }
        (fault, answered)
    }
}

/// A body that never comes to its end.
struct Unending(Body);

impl hyper::body::Body for Unending {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Broken>>> {
        let frame = std::pin::Pin::new(&mut self.0).poll_frame(context);
        match frame {
            std::task::Poll::Ready(None) => std::task::Poll::Pending,
            frame => frame,
        }
    }
}
