//! Runs a command to its end, under a deadline.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
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
    /// From its start to the words that were waited for; `None` where they did not come.
    pub said: Option<Duration>,
    /// The most memory that it had resident, in MiB; `None` where the system does not tell.
    pub peak_memory: Option<f64>,
}

/// Runs a command without input, and says what it wrote and took, and when these words came.
///
/// # Errors
/// Where it can't be started, ends with another status than 0, or has not ended in time; it is
/// killed then.
pub async fn run(
    what: &str,
    command: &mut Command,
    limit: Duration,
    words: Option<&str>,
) -> Outcome<Ended> {
    let started = Instant::now();
    let mut child = command
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
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let end = async {
        let (output, errors, status) =
            tokio::try_join!(read(output, words), read(errors, None), child.wait())?;
        Ok::<_, std::io::Error>((output, errors, status))
    };
    let ended = tokio::select! {
        ended = tokio::time::timeout(limit, end) => ended,
        () = watch => unreachable!("it watches until the process has ended"),
    };
    let took = started.elapsed();
    let ((output, said), (errors, _), status) = ended
        .map_err(|_| format!("{what} had not ended after {} s", limit.as_secs()))?
        .map_err(|error| format!("{what} could not be waited for: {error}"))?;
    let text = shorten(&[output, errors].concat());
    if !status.success() {
        return Err(format!("{what} failed, {status}:\n{text}").into());
    }
    Ok(Ended {
        output: text,
        took,
        said: said.map(|at| at - started),
        peak_memory,
    })
}

/// Reads to the end; says when a line with these words came.
async fn read(
    stream: Option<impl AsyncRead + Unpin>,
    words: Option<&str>,
) -> std::io::Result<(Vec<u8>, Option<Instant>)> {
    let (mut all, mut said) = (Vec::new(), None);
    let Some(stream) = stream else {
        return Ok((all, said));
    };
    let mut lines = BufReader::new(stream);
    loop {
        let before = all.len();
        if lines.read_until(b'\n', &mut all).await? == 0 {
            return Ok((all, said));
        }
        let line = String::from_utf8_lossy(&all[before..]);
        if words.is_some_and(|words| line.contains(words)) {
            said.get_or_insert_with(Instant::now);
        }
    }
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
