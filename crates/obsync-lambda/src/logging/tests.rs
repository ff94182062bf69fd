use obsidian_sync::{Millis, Password, Token};
use obsync_core::clock::FixedClock;
use serde_json::{Value, json};
use tracing::{debug, error, info, trace, warn};

use super::*;

/// A log that can be read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged by `run`.
fn logged(level: LogLevel, format: LogFormat, run: impl FnOnce()) -> String {
    let log = Log::default();
    let clock = Arc::new(FixedClock(Millis(1_705_314_600_042)));
    let subscriber = subscriber(level, format, clock, log.clone());
    tracing::subscriber::with_default(subscriber, run);
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn a_run() {
    let _invocation = invocation("req-1", true).entered();
    info!("starting");
    let _vault = vault("abc123").entered();
    info!(files = 145, duration = "8.2 s", done = true, "vault synced");
}

#[test]
fn text_lines_tell_time_level_and_where() {
    assert_eq!(
        logged(LogLevel::Info, LogFormat::Text, a_run),
        "2024-01-15 10:30:00 [INFO] starting request_id=req-1 cold_start=true\n\
         2024-01-15 10:30:00 [INFO] vault synced files=145 duration=\"8.2 s\" done=true \
         vault_id=abc123 request_id=req-1 cold_start=true\n"
    );
}

#[test]
fn json_lines_are_flat_and_typed() {
    let text = logged(LogLevel::Info, LogFormat::Json, a_run);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            json!({
                "timestamp": "2024-01-15T10:30:00.042Z", "level": "INFO", "message": "starting",
                "requestId": "req-1", "coldStart": true,
            }),
            json!({
                "timestamp": "2024-01-15T10:30:00.042Z", "level": "INFO",
                "message": "vault synced", "files": 145, "duration": "8.2 s", "done": true,
                "vaultId": "abc123", "requestId": "req-1", "coldStart": true,
            }),
        ]
    );
}

#[test]
fn a_field_of_the_line_itself_wins_over_those_of_spans() {
    let text = logged(LogLevel::Info, LogFormat::Json, || {
        let _vault = vault("outer").entered();
        info!(vault_id = "inner", level = "mine", "told");
    });
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["vaultId"], "inner");
    assert_eq!(
        (&line["level"], &line["level_"]),
        (&json!("INFO"), &json!("mine"))
    );
}

#[test]
fn names_can_neither_break_a_line_nor_steer_a_terminal() {
    let hostile = "a\u{1b}[2J\n2024-01-15 10:30:00 [INFO] forged.md";
    let text = logged(LogLevel::Info, LogFormat::Text, || {
        warn!(path = hostile, empty = "", "skipped {hostile}");
    });
    assert_eq!(
        text,
        "2024-01-15 10:30:00 [WARN] skipped a\\u{1b}[2J\\n2024-01-15 10:30:00 [INFO] forged.md \
         path=\"a\\u{1b}[2J\\n2024-01-15 10:30:00 [INFO] forged.md\" empty=\"\"\n"
    );
    let json = logged(LogLevel::Info, LogFormat::Json, || info!("{hostile}"));
    let line: Value = serde_json::from_str(&json).unwrap();
    assert!(!line["message"].as_str().unwrap().contains('\u{1b}'));
}

#[test]
fn the_level_is_for_our_own_crates() {
    let run = || {
        trace!("a");
        debug!("b");
        warn!("c");
        debug!(target: "hyper::client", "token in a request");
        warn!(target: "hyper::client", "d");
        error!(target: TOLD, "told before");
    };
    let lines = |level| {
        let text = logged(level, LogFormat::Text, run);
        let last = text.lines().map(|line| line[line.len() - 1..].to_owned());
        last.collect::<String>()
    };
    assert_eq!(lines(LogLevel::Trace), "abcd");
    assert_eq!(lines(LogLevel::Debug), "bcd");
    assert_eq!(lines(LogLevel::Info), "cd");
    assert_eq!(lines(LogLevel::Error), "");
}

#[test]
fn errors_tell_their_invocation_at_every_level() {
    let text = logged(LogLevel::Error, LogFormat::Text, || {
        let _invocation = invocation("req-9", false).entered();
        let _vault = vault("v").entered();
        error!("out of space");
    });
    assert!(text.ends_with("out of space vault_id=v request_id=req-9 cold_start=false\n"));
}

#[test]
fn secrets_do_not_print_at_any_level() {
    let event = json!({"type": "sync_vault", "vault_id": "a", "vault_password": "hunter2"});
    let event = crate::event::Event::parse(&event).unwrap();
    let (token, password) = (Token::new("hunter2"), Password::new("hunter2"));
    let text = logged(LogLevel::Trace, LogFormat::Text, || {
        trace!(?event, ?token, password = ?password, "{token:?}");
    });
    assert!(text.contains("vault: \\\"a\\\""), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn errors_are_told_with_their_causes() {
    let cause = std::io::Error::other("connection refused");
    let error = obsidian_sync::Error::new(obsidian_sync::Kind::Network, "can't connect");
    let error = error.with_source(cause);
    let text = logged(LogLevel::Info, LogFormat::Text, || {
        let error: &(dyn std::error::Error + 'static) = &error;
        error!(error, "failed");
    });
    assert!(
        text.ends_with("failed error=\"can't connect: connection refused\"\n"),
        "{text}"
    );
}

#[test]
fn a_panic_is_told_where_it_happened_and_shows_no_secret() {
    let token = Token::new("hunter2");
    let text = logged(LogLevel::Error, LogFormat::Json, || {
        let _invocation = invocation("req-1", false).entered();
        let _vault = vault("v").entered();
        let panic = std::panic::catch_unwind(|| panic!("no use for {token:?}")).unwrap_err();
        tell_panic(&*panic, "src/x.rs:1:2");
    });
    let line: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(
        (
            &line["level"],
            &line["requestId"],
            &line["vaultId"],
            &line["at"]
        ),
        (
            &json!("ERROR"),
            &json!("req-1"),
            &json!("v"),
            &json!("src/x.rs:1:2")
        )
    );
    let message = line["message"].as_str().unwrap();
    assert!(
        message.starts_with("a bug in obsync: no use for "),
        "{message}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}
