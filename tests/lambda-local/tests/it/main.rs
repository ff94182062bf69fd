//! The program `lambda-local`, with the real function in it.
//!
//! The function is built beside it where the whole workspace is tested; elsewhere there may be none,
//! which `OBSYNC_LAMBDA=require` makes a failure.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "tests that are skipped say so")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// The function, if it was built.
fn bootstrap() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_lambda-local")).with_file_name("bootstrap");
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var_os("OBSYNC_LAMBDA").is_some_and(|it| it == "require");
    assert!(!required, "there is no {}", path.display());
    eprintln!(
        "SKIPPED: there is no {}: cargo build -p obsync-lambda",
        path.display()
    );
    None
}

fn command(bootstrap: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lambda-local"));
    command.arg("--bootstrap").arg(bootstrap).args(arguments);
    command
}

fn run(bootstrap: &Path, arguments: &[&str]) -> (Output, String) {
    let output = command(bootstrap, arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, said)
}

#[test]
fn sample_events_are_run_and_what_comes_of_them_is_shown() {
    let Some(bootstrap) = bootstrap() else { return };
    let (output, said) = run(&bootstrap, &[]);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in [
        "Sync service   http://127.0.0.1:",
        "S3 double      http://127.0.0.1:",
        "512 MB",
        "cold start: asked for its first event after",
        "── sync_vault",
        "── status",
        "\"status\": \"complete\"",
        "metrics: SyncDuration",
        "[INFO] synced",
        "wire: 0 files pulled; S3: 1 PUT",
        "MB resident so far",
        "All went well.",
    ] {
        assert!(said.contains(part), "no '{part}' in {said}");
    }
    assert!(!said.contains("ERROR"), "{said}");
    assert_eq!(said.matches("── sync_vault").count(), 2);
    assert_eq!(
        said.matches("cold start: asked").count(),
        1,
        "it is warm then"
    );
}

#[test]
fn the_exit_status_says_how_it_went() {
    let Some(bootstrap) = bootstrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let unknown = file("unknown.json", r#"{"type": "snyc_vault"}"#);
    let (output, said) = run(&bootstrap, &[&unknown, "sync_vault"]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("Obsync.InvalidEvent: type must be"), "{said}");
    assert!(said.contains("Not all went well."), "{said}");

    let body = r#"{\"type\": \"sync_vault\", \"vault_id\": \"neither\"}"#;
    let record = format!(r#"{{"messageId": "m", "eventSource": "aws:sqs", "body": "{body}"}}"#);
    let queue = file("queue.json", &format!(r#"{{"Records": [{record}]}}"#));
    let (output, said) = run(&bootstrap, &[&queue]);
    assert_eq!(output.status.code(), Some(4), "{said}");

    let (output, said) = run(&bootstrap, &["no-such-sample"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("error: no-such-sample: "), "{said}");
    let zip = folder.path().join("none.zip");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lambda-local"));
    let output = command.arg("--zip").arg(zip).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("hint: `make lambda-local` builds one"),
        "{said}"
    );
}

/// A program that takes events until it is told to end. It ends with its test.
struct Serving {
    child: Child,
    address: String,
    lines: BufReader<ChildStdout>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    fn start(bootstrap: &Path) -> Self {
        let mut command = command(bootstrap, &["--serve", "--port", "0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut serving = Self {
            child,
            address: String::new(),
            lines,
        };
        while serving.address.is_empty() {
            let mut line = String::new();
            let read = serving.lines.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "it ended");
            if let Some((_, rest)) = line.split_once("curl -sS http://") {
                serving.address = rest.split('/').next().unwrap().to_owned();
            }
        }
        serving
    }

    /// The head and the body of the answer to a request.
    fn ask(&self, line: &str, body: &str) -> (String, String) {
        let mut stream = std::net::TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "{line} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }
}

#[test]
fn events_are_taken_by_http_until_it_is_told_to_end() {
    let Some(bootstrap) = bootstrap() else { return };
    let mut serving = Serving::start(&bootstrap);
    let event = r#"{"type": "sync_vault", "vault_id": "My vault"}"#;
    let (head, body) = serving.ask("POST /invoke", event);
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(body.contains(r#""status":"complete""#), "{body}");
    assert!(!head.contains("x-amz-function-error"), "{head}");

    let other = "POST /2015-03-31/functions/function/invocations";
    let (head, body) = serving.ask(other, r#"{"type": "x"}"#);
    assert!(head.contains("x-amz-function-error: unhandled"), "{head}");
    assert!(body.contains("Obsync.InvalidEvent"), "{body}");
    for (line, body, status) in [
        ("POST /invoke", "{", "400"),
        ("GET /invoke", "", "404"),
        ("POST /", "{}", "404"),
    ] {
        let (head, _) = serving.ask(line, body);
        assert!(
            head.starts_with(&format!("http/1.1 {status}")),
            "{line}: {head}"
        );
    }

    let pid = serving.child.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    let mut rest = String::new();
    serving.lines.read_to_string(&mut rest).unwrap();
    assert!(serving.child.wait().unwrap().success(), "{rest}");
    assert!(rest.contains("function error"), "{rest}");
}
