//! One port for all: REST and the upgrade to a sync connection, with the faults of an HTTP edge.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api;
use crate::faults::{Action, Point};
use crate::service::Service;
use crate::socket;
use crate::wire::{Valve, Wire};

/// Far more than any call of the protocol needs.
const BODY_MAX: usize = 1024 * 1024;
const ORIGIN: &str = "https://obsidian.md";

/// The tasks of one listener, and how to stop them.
#[derive(Clone, Default)]
pub(crate) struct Tasks {
    pub tracker: TaskTracker,
    pub stop: CancellationToken,
}

impl Tasks {
    /// Runs something until it ends or the service stops.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker
            .spawn(async move { stop.run_until_cancelled_owned(work).await });
    }
}

/// One TCP connection.
struct Peer {
    service: Service,
    tasks: Tasks,
    valve: Valve,
    /// Whether it has been answered before: the first answer waits for TCP's handshake too.
    met: AtomicBool,
}

type Page = Response<Full<Bytes>>;

/// Ends the TCP connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped by a fault")]
struct Dropped;

/// Serves one TCP connection to its end.
pub(crate) async fn connection(service: Service, tasks: Tasks, mut stream: TcpStream) {
    service.counters().get().tcp_connections += 1;
    // Without it a small frame waits 40 ms for the last one's acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match service.strike(Point::Accept) {
        Some(Action::Hang) => {
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            return;
        }
        Some(_) => return,
        None => {}
    }
    let (wire, valve) = Wire::new(stream);
    let peer = Arc::new(Peer {
        service,
        tasks,
        valve,
        met: AtomicBool::new(false),
    });
    let answer = service_fn(move |request| {
        let peer = Arc::clone(&peer);
        async move { peer.answer(request).await }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(wire), answer)
        .with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!(%error, "connection ended");
    }
}

impl Peer {
    async fn answer(&self, request: Request<Incoming>) -> Result<Page, Dropped> {
        let round_trip = self.service.faults().latency();
        let trips = if self.met.swap(true, Ordering::Relaxed) {
            1
        } else {
            2
        };
        self.service
            .pace()
            .until(Instant::now() + round_trip * trips)
            .await;
        let mut page = if wants_upgrade(&request) {
            self.upgrade(request).await?
        } else {
            self.rest(request).await?
        };
        // By the service's clock; without it hyper would take the machine's.
        let date = httpdate::fmt_http_date(self.service.now());
        if let Ok(date) = HeaderValue::try_from(date) {
            page.headers_mut().insert(header::DATE, date);
        }
        Ok(page)
    }

    async fn rest(&self, request: Request<Incoming>) -> Result<Page, Dropped> {
        let path = request.uri().path().to_owned();
        let options = request.method() == Method::OPTIONS;
        let counted = if options {
            format!("OPTIONS {path}")
        } else {
            path.clone()
        };
        *self
            .service
            .counters()
            .get()
            .requests
            .entry(counted)
            .or_default() += 1;
        let Some(user_agent) = request.headers().get(header::USER_AGENT) else {
            return Ok(html(StatusCode::GATEWAY_TIMEOUT));
        };
        if self.service.settings().strict && !is_user_agent(user_agent) {
            let word = "dev server: User-Agent is name/version";
            return Ok(error(StatusCode::BAD_REQUEST, word));
        }
        if let Some(action) = self.service.strike_at(Point::Rest, None, Some(&path))
            && let Some(page) = self.misbehave(action).await?
        {
            return Ok(page);
        }
        if path == "/user/signin"
            && let Err(word) = self.check_origin(options, request.headers())
        {
            return Ok(error(StatusCode::FORBIDDEN, word));
        }
        Ok(self.call(&path, request).await)
    }

    async fn call(&self, path: &str, request: Request<Incoming>) -> Page {
        match *request.method() {
            Method::OPTIONS => return preflight(),
            Method::POST => {}
            _ => return error(StatusCode::METHOD_NOT_ALLOWED, "Every call is a POST."),
        }
        let json = request.headers().get(header::CONTENT_TYPE);
        if !json.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
            return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Every call is JSON.");
        }
        let Ok(body) = Limited::new(request.into_body(), BODY_MAX).collect().await else {
            return error(StatusCode::PAYLOAD_TOO_LARGE, "Body too large.");
        };
        let Ok(body) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
            return error(StatusCode::BAD_REQUEST, "The body is not JSON.");
        };
        match api::answer(&self.service, path, body).await {
            None => error(StatusCode::NOT_FOUND, "Not found."),
            Some(Ok(answer)) => page(StatusCode::OK, &answer),
            // Refusals come with status 200; only `error` tells.
            Some(Err(api::Refused(word))) => error(StatusCode::OK, &word),
        }
    }

    fn check_origin(&self, options: bool, headers: &HeaderMap) -> Result<(), &'static str> {
        if !self.service.settings().strict {
            return Ok(());
        }
        if headers
            .get(header::ORIGIN)
            .is_none_or(|origin| origin != ORIGIN)
        {
            return Err("dev server: a sign-in carries Origin: https://obsidian.md");
        }
        if options {
            self.service.add_preflight();
        } else if !self.service.take_preflight() {
            return Err("dev server: a sign-in is preceded by OPTIONS");
        }
        Ok(())
    }

    async fn upgrade(&self, mut request: Request<Incoming>) -> Result<Page, Dropped> {
        let open = socket::Open::new(&self.service);
        self.service.counters().get().upgrades += 1;
        if let Some(action) = self.service.strike(Point::Upgrade)
            && let Some(page) = self.misbehave(action).await?
        {
            return Ok(page);
        }
        let headers = request.headers();
        let version = headers.get(header::SEC_WEBSOCKET_VERSION);
        let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| {
            request.uri().path() == "/" && version.is_some_and(|version| version == "13")
        }) else {
            return Ok(error(StatusCode::BAD_REQUEST, "Not a sync connection."));
        };
        let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
            .expect("base64 is a header value");
        let upgraded = hyper::upgrade::on(&mut request);
        let (service, valve) = (self.service.clone(), self.valve.clone());
        self.tasks.spawn(async move {
            if let Ok(upgraded) = upgraded.await {
                Box::pin(socket::run(service, TokioIo::new(upgraded), valve, open)).await;
            }
        });
        let mut page = Response::new(Full::default());
        *page.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = page.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        Ok(page)
    }

    /// Does what a fault wants; `None` where the request is to be answered after all.
    async fn misbehave(&self, action: Action) -> Result<Option<Page>, Dropped> {
        Ok(Some(match action {
            Action::Hang => match std::future::pending::<Infallible>().await {},
            Action::Cut => {
                // Within the status line and headers of any answer.
                self.valve.cut_after(40);
                return Ok(None);
            }
            Action::Trickle(bytes, pause) => {
                self.valve.trickle(bytes, pause);
                return Ok(None);
            }
            Action::Delay(pause) => {
                self.service.pace().until(Instant::now() + pause).await;
                return Ok(None);
            }
            Action::Garbage => text(StatusCode::OK, "application/json", "{\"vaults\": [nonsense"),
            Action::Error(word) => error(StatusCode::OK, &word),
            Action::Status(code) => text(status(code), "text/plain", ""),
            Action::Html(code) => html(status(code)),
            Action::TooMany(seconds) => {
                let mut page = text(StatusCode::TOO_MANY_REQUESTS, "text/plain", "");
                page.headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                page
            }
            Action::Redirect(target) => {
                let mut page = text(StatusCode::FOUND, "text/plain", "");
                let target = HeaderValue::try_from(target).map_err(|_| Dropped)?;
                page.headers_mut().insert(header::LOCATION, target);
                page
            }
            _ => return Err(Dropped),
        }))
    }
}

fn wants_upgrade(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn is_user_agent(value: &HeaderValue) -> bool {
    let product = value
        .to_str()
        .ok()
        .and_then(|text| text.split_whitespace().next());
    product
        .and_then(|product| product.split_once('/'))
        .is_some_and(|(name, version)| {
            !name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit())
        })
}

fn preflight() -> Page {
    let mut page = text(StatusCode::NO_CONTENT, "text/plain", "");
    let headers = page.headers_mut();
    let any = HeaderValue::from_static("*");
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static(ORIGIN),
    );
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, any.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, any);
    page
}

fn error(status: StatusCode, word: &str) -> Page {
    page(status, &json!({"error": word}))
}

fn page(status: StatusCode, body: &Value) -> Page {
    text(status, "application/json", body.to_string())
}

/// What the real edge shows where it does not let a request through.
fn html(status: StatusCode) -> Page {
    let word = status.canonical_reason().unwrap_or("Error");
    let code = status.as_u16();
    let body = format!(
        "<html>\r\n<head><title>{code} {word}</title></head>\r\n<body>\r\n\
         <center><h1>{code} {word}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    text(status, "text/html", body)
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Page {
    let mut page = Response::new(Full::new(body.into()));
    *page.status_mut() = status;
    page.headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    page
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
