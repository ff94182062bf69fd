//! The Runtime API as a process sees it, and processes as Lambda sees them.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use obsync_doubles::runtime::{Function, Outcome, RuntimeApi, Stream, limits_memory};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const LONG: Duration = Duration::from_secs(30);

async fn ask(api: &str, line: &str, body: &str) -> (String, String) {
    ask_with(api, line, "x: y", body).await
}

/// One request on a connection of its own; the answer's head and body.
async fn ask_with(api: &str, line: &str, header: &str, body: &str) -> (String, String) {
    let mut stream = tokio::net::TcpStream::connect(api).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: {api}\r\n{header}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

async fn next(api: &str) -> (String, String, Value) {
    let (head, body) = ask(api, "GET /2018-06-01/runtime/invocation/next", "").await;
    let id = head
        .lines()
        .find_map(|line| line.strip_prefix("lambda-runtime-aws-request-id: "));
    let id = id.unwrap().to_owned();
    (id, head, serde_json::from_str(&body).unwrap())
}

fn post(id: &str, what: &str) -> String {
    format!("POST /2018-06-01/runtime/invocation/{id}/{what}")
}

/// A script that stands for a function.
fn script(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bootstrap");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (folder, path)
}

#[tokio::test]
async fn events_are_handed_out_in_order_and_answered_once() {
    let api = RuntimeApi::start().await;
    let address = api.address();
    assert_eq!(api.first_next(), None);
    let process = async {
        let (first, head, event) = next(&address).await;
        assert_eq!(event, json!({"n": 1}));
        assert!(head.contains("lambda-runtime-deadline-ms: "));
        assert!(head.contains("lambda-runtime-invoked-function-arn: arn:aws:lambda:"));
        assert!(head.contains("lambda-runtime-trace-id: root="));
        let (head, _) = ask(&address, &post(&first, "response"), "7").await;
        assert!(head.starts_with("http/1.1 202"));
        let (head, body) = ask(&address, &post(&first, "response"), "8").await;
        assert!(head.starts_with("http/1.1 400"), "{head}");
        assert!(body.contains("InvalidRequestID"));

        let (second, _, event) = next(&address).await;
        assert_eq!(event, json!({"n": 2}));
        assert_ne!(first, second);
        let header = "Lambda-Runtime-Function-Error-Type: unhandled";
        let report = r#"{"errorType":"Obsync.Auth","errorMessage":"wrong password"}"#;
        let (head, _) = ask_with(&address, &post(&second, "error"), header, report).await;
        assert!(head.starts_with("http/1.1 202"), "{head}");
    };
    let (one, two, ()) = tokio::join!(
        api.invoke(json!({"n": 1}), LONG),
        api.invoke(json!({"n": 2}), LONG),
        process
    );
    assert_eq!(one.answer(), json!(7));
    let Outcome::Error {
        error_type,
        message,
        ..
    } = two
    else {
        panic!("{two:?}");
    };
    assert_eq!(error_type, "Obsync.Auth");
    assert_eq!(message, "wrong password");
    assert!(api.first_next().is_some());
}

#[tokio::test]
async fn a_late_answer_is_refused() {
    let api = RuntimeApi::start().await;
    let outcome = api.invoke(json!({}), Duration::from_millis(1)).await;
    assert_eq!(outcome, Outcome::TimedOut);
    let address = api.address();
    let id = tokio::select! {
        outcome = api.invoke(json!({}), LONG) => panic!("{outcome:?}"),
        (id, ..) = next(&address) => id,
    };
    let (head, body) = ask(&address, &post(&id, "response"), "1").await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
    assert!(body.contains("InvalidRequestID"));
}

#[tokio::test]
async fn a_failed_init_fails_every_invocation() {
    let api = RuntimeApi::start().await;
    let head = "POST /2018-06-01/runtime/init/error";
    let report = r#"{"errorType":"Obsync.Config","errorMessage":"no bucket"}"#;
    ask(&api.address(), head, report).await;
    let outcome = api.invoke(json!({}), LONG).await;
    let Outcome::Error { error_type, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(error_type, "Obsync.Config");
    assert!(api.ready().await.is_err());
}

#[tokio::test]
async fn a_process_gets_lambdas_environment_and_no_other() {
    let (_folder, path) = script("env; echo to the side >&2; exit 3");
    let mut function = Function::of(path).env("MINE", "yes").start().await;
    assert_eq!(function.invoke(json!({}), LONG).await, Outcome::Died);
    function.gone().await;
    let lines = function.lines(Stream::Stdout);
    assert!(lines.contains(&"MINE=yes".to_owned()));
    assert!(lines.contains(&"AWS_LAMBDA_FUNCTION_NAME=obsync".to_owned()));
    assert!(!lines.iter().any(|line| line.starts_with("CARGO")));
    assert_eq!(function.lines(Stream::Stderr), ["to the side"]);
}

#[tokio::test]
async fn a_silent_process_is_killed_on_request_and_with_its_function() {
    let (_folder, path) = script("echo up; exec sleep 1000");
    let function = Function::of(&path).start().await;
    assert!(function.line(|line| line == "up", LONG).await.is_some());
    assert!(function.peak_rss().is_some_and(|bytes| bytes > 0));
    assert!(!function.kill().await.unwrap().success());
    assert_eq!(function.peak_rss(), None);

    let mut function = Function::of(&path).start().await;
    assert!(function.line(|line| line == "up", LONG).await.is_some());
    let pid = function.pid();
    function.kill().await;
    function.gone().await;
    drop(function);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test]
async fn a_frozen_process_says_nothing_until_it_is_thawed() {
    let (_folder, path) = script("while :; do echo tick; sleep 0.01; done");
    let function = Function::of(&path).start().await;
    assert!(function.line(|line| line == "tick", LONG).await.is_some());
    function.freeze();
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", function.pid())).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    };
    while state() != 'T' {
        tokio::task::yield_now().await;
    }
    function.thaw();
    while state() == 'T' {
        tokio::task::yield_now().await;
    }
    function.kill().await;
}

#[tokio::test]
async fn a_process_is_held_to_its_memory_where_this_user_may() {
    if !limits_memory() {
        eprintln!("skipped: this user can't make memory control groups");
        return;
    }
    // The shell holds 32 MB in a variable.
    let text = "echo up; x=$(head -c 33554432 /dev/zero | tr '\\0' x); echo ${#x}";
    let (_folder, path) = script(text);
    let mut function = Function::of(&path).memory(256).limit_memory().start().await;
    function.gone().await;
    assert_eq!(function.lines(Stream::Stdout), ["up", "33554432"]);
    let mut function = Function::of(&path).memory(16).limit_memory().start().await;
    function.gone().await;
    assert_eq!(function.lines(Stream::Stdout), ["up"]);
}
