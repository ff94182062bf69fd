//! Runs a command to its end, under a deadline.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::Outcome;

/// The official client is minified, and Node shows the source line of a crash: cut, nothing of it
/// gets into our output.
const LINE: usize = 300;
const LINES: usize = 40;

/// Runs a command without input and returns what it wrote, both streams together.
///
/// # Errors
/// Where it can't be started, ends with another status than 0, or has not ended in time; it is
/// killed then.
pub(crate) async fn run(what: &str, command: &mut Command, limit: Duration) -> Outcome<String> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{what} could not be started: {error}"))?;
    let output = tokio::time::timeout(limit, child.wait_with_output())
        .await
        .map_err(|_| format!("{what} had not ended after {} s", limit.as_secs()))?
        .map_err(|error| format!("{what} could not be waited for: {error}"))?;
    let text = shorten(&[output.stdout, output.stderr].concat());
    if output.status.success() {
        Ok(text)
    } else {
        Err(format!("{what} failed, {}:\n{text}", output.status).into())
    }
}

/// The last lines, none of them long.
fn shorten(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().take(LINE).collect())
        .collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
