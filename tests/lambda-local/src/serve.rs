//! Events by HTTP, at the path that other local runtimes have too, and at `/invoke`.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use obsync_doubles::runtime::Outcome;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;

use crate::sandbox::Sandbox;
use crate::show::say;

const PATHS: [&str; 2] = ["/invoke", "/2015-03-31/functions/function/invocations"];

/// Serves one event at a time until Ctrl-C or SIGTERM.
pub(crate) async fn until_interrupted(sandbox: &mut Sandbox<'_>, port: u16) -> Result<(), String> {
    let stopped = stop_signal().map_err(|error| error.to_string())?;
    tokio::pin!(stopped);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener =
        listener.map_err(|error| format!("port {port}: {error}; choose one with --port"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    say(&format!(
        "\nInvoke it with: curl -sS http://{address}/invoke -d @deploy/events/sync_vault.json\n\
         End it with Ctrl-C."
    ));
    let sandbox = Mutex::new(sandbox);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => return Ok(()),
        };
        let Ok((stream, _)) = stream else { continue };
        // A failure to set it only costs time.
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| answer(&sandbox, request));
        let connection = hyper::server::conn::http1::Builder::new()
            // One connection at a time, as one sandbox has one event at a time.
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            // A client that hangs up is no concern of the next one.
            _ = connection => {}
            () = &mut stopped => return Ok(()),
        }
    }
}

/// Resolves at the first signal.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

async fn answer(
    sandbox: &Mutex<&mut Sandbox<'_>>,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() != Method::POST || !PATHS.contains(&request.uri().path()) {
        let words = json!({"message": format!("POST an event to {}", PATHS[0])});
        return Ok(respond(StatusCode::NOT_FOUND, None, &words));
    }
    let body = request.into_body().collect().await;
    let event = body.map(|body| serde_json::from_slice::<Value>(&body.to_bytes()));
    let Ok(Ok(event)) = event else {
        let words = json!({"message": "the body is not JSON"});
        return Ok(respond(StatusCode::BAD_REQUEST, None, &words));
    };
    let outcome = sandbox.lock().await.invoke(event).await;
    let failed = Some("Unhandled");
    Ok(match outcome {
        Outcome::Answer(answer) => respond(StatusCode::OK, None, &answer),
        Outcome::Error { body, .. } => respond(StatusCode::OK, failed, &body),
        Outcome::TimedOut => {
            let words = json!({"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out"});
            respond(StatusCode::OK, failed, &words)
        }
        Outcome::Died => {
            let words = json!({"errorType": "Runtime.ExitError",
                               "errorMessage": "Runtime exited without providing a reason"});
            respond(StatusCode::OK, failed, &words)
        }
    })
}

fn respond(status: StatusCode, error: Option<&str>, body: &Value) -> Response<Full<Bytes>> {
    let response = Response::builder()
        .status(status)
        .header("Content-Type", "application/json");
    let response = match error {
        Some(error) => response.header("X-Amz-Function-Error", error),
        None => response,
    };
    let body = Full::new(Bytes::from(format!("{body}\n")));
    response.body(body).expect("every header is valid")
}
