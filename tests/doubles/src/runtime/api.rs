//! The four calls of the Runtime API.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use super::{Inner, Invocation, Outcome};

const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:obsync";
const TRACE: &str = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1";
/// The most that Lambda takes as an answer.
const MOST: usize = 6 * 1024 * 1024;

/// Answers until it is dropped.
pub(super) async fn serve(listener: tokio::net::TcpListener, inner: Arc<Inner>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // Without it, and with head and body in two writes, each call would take 40 ms longer.
        let _ = stream.set_nodelay(true);
        let inner = inner.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(&inner, request));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    inner: &Inner,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let header = parts.headers.get("lambda-runtime-function-error-type");
    let header = header.and_then(|value| value.to_str().ok());
    let Some(path) = parts.uri.path().strip_prefix("/2018-06-01/runtime/") else {
        return Ok(refuse(404, "NotFound", "no such path"));
    };
    let steps: Vec<&str> = path.split('/').collect();
    if let (&Method::GET, ["invocation", "next"]) = (&parts.method, &steps[..]) {
        return Ok(next(inner).await);
    }
    // A process that dies in the middle of its answer has not given one.
    let Ok(body) = body.collect().await else {
        return Ok(refuse(400, "InvalidRequest", "the body broke off"));
    };
    let body = body.to_bytes();
    Ok(match (&parts.method, &steps[..]) {
        (&Method::POST, ["invocation", id, "response"]) => response(inner, id, &body),
        (&Method::POST, ["invocation", id, "error"]) => finish(inner, id, error(header, &body)),
        (&Method::POST, ["init", "error"]) => {
            inner.state().init_error = Some(error(header, &body));
            inner.progress.notify_waiters();
            accepted()
        }
        _ => refuse(404, "NotFound", "no such call"),
    })
}

/// The long poll.
async fn next(inner: &Inner) -> Response<Full<Bytes>> {
    inner.state().first_next.get_or_insert_with(Instant::now);
    inner.progress.notify_waiters();
    loop {
        let waiting = inner.state().queue.pop_front();
        if let Some(invocation) = waiting {
            return hand_out(inner, invocation);
        }
        inner.queued.notified().await;
    }
}

fn hand_out(inner: &Inner, invocation: Invocation) -> Response<Full<Bytes>> {
    let Invocation {
        id,
        event,
        deadline_ms,
        answer,
    } = invocation;
    inner.state().running.insert(id.clone(), answer);
    Response::builder()
        .header("Lambda-Runtime-Aws-Request-Id", id)
        .header("Lambda-Runtime-Deadline-Ms", deadline_ms.to_string())
        .header("Lambda-Runtime-Invoked-Function-Arn", ARN)
        .header("Lambda-Runtime-Trace-Id", TRACE)
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(event.to_string())))
        .unwrap()
}

fn response(inner: &Inner, id: &str, body: &Bytes) -> Response<Full<Bytes>> {
    if body.len() > MOST {
        let text = format!(
            "Exceeded maximum allowed payload size ({MOST} bytes): {}",
            body.len()
        );
        let outcome = Outcome::Error {
            error_type: "Function.ResponseSizeTooLarge".to_owned(),
            message: text.clone(),
            body: Value::Null,
        };
        finish(inner, id, outcome);
        return refuse(413, "RequestEntityTooLarge", &text);
    }
    match serde_json::from_slice(body) {
        Ok(answer) => finish(inner, id, Outcome::Answer(answer)),
        Err(error) => refuse(400, "InvalidResponse", &format!("not JSON: {error}")),
    }
}

fn error(header: Option<&str>, body: &Bytes) -> Outcome {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    Outcome::Error {
        error_type: match body["errorType"].as_str() {
            Some(kind) => kind.to_owned(),
            None => header.unwrap_or_default().to_owned(),
        },
        message: field("errorMessage"),
        body,
    }
}

/// Ends an invocation, once.
fn finish(inner: &Inner, id: &str, outcome: Outcome) -> Response<Full<Bytes>> {
    let Some(waiting) = inner.state().running.remove(id) else {
        return refuse(400, "InvalidRequestID", &format!("{id} is not running"));
    };
    // Who waited may have given up.
    let _ = waiting.send(outcome);
    accepted()
}

fn accepted() -> Response<Full<Bytes>> {
    plain(202, &json!({"status": "OK"}))
}

fn refuse(status: u16, kind: &str, message: &str) -> Response<Full<Bytes>> {
    plain(status, &json!({"errorType": kind, "errorMessage": message}))
}

fn plain(status: u16, body: &Value) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}
