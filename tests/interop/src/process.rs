//! Runs a command to its end, under a deadline.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::Outcome;

/// The official client is minified, and Node shows the source line of a crash: cut, nothing of it
/// gets into our output.
const LINE: usize = 300;
const LINES: usize = 40;
/// How often a process is asked for its memory.
const LOOK: Duration = Duration::from_millis(20);

/// A process that ended well.
#[derive(Debug)]
pub struct Ended {
    /// The last lines that it wrote, both streams together.
    pub output: String,
    /// From its start to its end.
    pub took: Duration,
    /// The most memory that it had resident, in MiB; `None` where the system does not tell.
    pub peak_memory: Option<f64>,
}

/// Runs a command without input, and says what it wrote and took.
///
/// # Errors
/// Where it can't be started, ends with another status than 0, or has not ended in time; it is
/// killed then.
pub async fn run(what: &str, command: &mut Command, limit: Duration) -> Outcome<Ended> {
    let started = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{what} could not be started: {error}"))?;
    let mut peak_memory = None;
    let pid = child.id();
    let watch = async {
        // The kernel keeps the maximum: the last look before the end is enough.
        loop {
            peak_memory = pid.and_then(peak_of).or(peak_memory);
            tokio::time::sleep(LOOK).await;
        }
    };
    let ended = tokio::select! {
        ended = tokio::time::timeout(limit, child.wait_with_output()) => ended,
        () = watch => unreachable!("it watches until the process has ended"),
    };
    let took = started.elapsed();
    let output = ended
        .map_err(|_| format!("{what} had not ended after {} s", limit.as_secs()))?
        .map_err(|error| format!("{what} could not be waited for: {error}"))?;
    let text = shorten(&[output.stdout, output.stderr].concat());
    if !output.status.success() {
        return Err(format!("{what} failed, {}:\n{text}", output.status).into());
    }
    Ok(Ended {
        output: text,
        took,
        peak_memory,
    })
}

/// The most memory that a living process has had resident, in MiB.
fn peak_of(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
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
