//! Progress on standard error: bars, plain lines or JSON lines. Nothing is drawn in the first
//! quarter second.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle as BarStyle};
use obsync_core::progress::{Event, Progress, Silent};
use serde_json::{Value, json};

use crate::args::{Global, ProgressStyle};
use crate::output::{bytes, count, json_text};
use crate::screen::Screen;

/// A run that is over sooner needs no progress.
const QUIET_START: Duration = Duration::from_millis(250);
/// The pause between plain lines.
const PLAIN_PAUSE: Duration = Duration::from_secs(5);

/// The progress that the command line asks for.
pub(crate) fn progress(global: &Global, screen: &Screen) -> Arc<dyn Progress> {
    match global.progress {
        ProgressStyle::Json => Arc::new(JsonLines {
            screen: screen.clone(),
        }),
        ProgressStyle::None => Arc::new(Silent),
        _ if global.quiet => Arc::new(Silent),
        ProgressStyle::Bar => Arc::new(Bar::new(screen)),
        ProgressStyle::Auto if std::io::stderr().is_terminal() => Arc::new(Bar::new(screen)),
        ProgressStyle::Auto | ProgressStyle::Plain => Arc::new(Plain::new(screen, Instant::now())),
    }
}

/// What is known of the run so far.
#[derive(Debug, Clone, Default)]
struct Numbers {
    records: u64,
    /// Downloads, moves and deletions of the plan; `None` before it stands.
    planned: Option<u64>,
    done: u64,
    failed: u64,
    bytes: u64,
    all_bytes: u64,
    connections: usize,
}

impl Numbers {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Records(records) => self.records = records,
            Event::Planned {
                downloads,
                bytes,
                moves,
                deletions,
            } => {
                self.planned = Some(downloads + moves + deletions);
                self.all_bytes = bytes;
                // A repair has counted what it compared before.
                (self.done, self.bytes) = (0, 0);
            }
            Event::Comparing { files, bytes } => {
                *self = Self {
                    planned: Some(files),
                    all_bytes: bytes,
                    ..Self::default()
                };
            }
            Event::Compared { bytes, .. } => {
                self.done += 1;
                self.bytes += bytes;
            }
            Event::Connections(open) => self.connections = open,
            Event::Bytes(more) => self.bytes += more,
            Event::Downloaded(_) | Event::Moved(_) | Event::Deleted(_) => self.done += 1,
            Event::Failed { .. } => self.failed += 1,
            _ => {}
        }
    }

    fn files(&self) -> String {
        let Some(planned) = self.planned else {
            return format!("{} read", count(self.records, "record"));
        };
        let failed = if self.failed == 0 {
            String::new()
        } else {
            format!(", {} failed", self.failed)
        };
        format!("{} of {}{failed}", self.done, count(planned, "file"))
    }
}

/// A bar with rate and estimate.
struct Bar {
    bar: ProgressBar,
    numbers: Mutex<Numbers>,
    screen: Screen,
    starter: tokio::task::JoinHandle<()>,
}

impl Bar {
    fn new(screen: &Screen) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(style("{spinner} {msg}"));
        bar.set_message("connecting");
        let (shown, owner) = (bar.clone(), screen.clone());
        let starter = tokio::spawn(async move {
            tokio::time::sleep(QUIET_START).await;
            owner.set_bar(Some(shown.clone()));
            shown.set_draw_target(ProgressDrawTarget::stderr());
            shown.enable_steady_tick(Duration::from_millis(100));
        });
        Self {
            bar,
            numbers: Mutex::default(),
            screen: screen.clone(),
            starter,
        }
    }
}

impl Progress for Bar {
    fn event(&self, event: Event<'_>) {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.take(event);
        match event {
            Event::Planned { bytes, .. } | Event::Comparing { bytes, .. } => {
                self.bar.set_length(bytes);
                self.bar.set_position(0);
                self.bar.reset_eta();
                self.bar.set_style(style(
                    "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec}, {eta} left  {msg}",
                ));
            }
            Event::Bytes(more) | Event::Compared { bytes: more, .. } => self.bar.inc(more),
            _ => {}
        }
        self.bar.set_message(numbers.files());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.starter.abort();
        self.screen.set_bar(None);
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> BarStyle {
    BarStyle::with_template(template).unwrap_or_else(|_| BarStyle::default_bar())
}

/// A line now and then.
struct Plain {
    screen: Screen,
    started: Instant,
    state: Mutex<PlainState>,
}

#[derive(Default)]
struct PlainState {
    numbers: Numbers,
    told: Option<Instant>,
}

impl Plain {
    fn new(screen: &Screen, started: Instant) -> Self {
        Self {
            screen: screen.clone(),
            started,
            state: Mutex::default(),
        }
    }

    /// The line to print at `now`, if one is due.
    fn due(&self, event: Event<'_>, now: Instant) -> Option<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.numbers.take(event);
        let elapsed = now.duration_since(self.started);
        let pause_over = state
            .told
            .is_none_or(|told| now.duration_since(told) >= PLAIN_PAUSE);
        // Until there is something to count, there is nothing to say.
        let nothing = state.numbers.planned.is_none() && state.numbers.records == 0;
        if elapsed < QUIET_START || !pause_over || nothing {
            return None;
        }
        state.told = Some(now);
        let numbers = &state.numbers;
        Some(match numbers.planned {
            None => numbers.files(),
            Some(_) => format!(
                "{}, {} of {}, {}/s, {} connections",
                numbers.files(),
                bytes(numbers.bytes),
                bytes(numbers.all_bytes),
                bytes(rate(numbers.bytes, elapsed)),
                numbers.connections
            ),
        })
    }
}

impl Progress for Plain {
    fn event(&self, event: Event<'_>) {
        if let Some(line) = self.due(event, Instant::now()) {
            self.screen.write(&format!("{line}\n"));
        }
    }
}

fn rate(bytes: u64, elapsed: Duration) -> u64 {
    u128::from(bytes)
        .saturating_mul(1000)
        .checked_div(elapsed.as_millis())
        .map_or(0, |rate| u64::try_from(rate).unwrap_or(u64::MAX))
}

/// Each event as a JSON object on a line of its own.
struct JsonLines {
    screen: Screen,
}

impl Progress for JsonLines {
    fn event(&self, event: Event<'_>) {
        if let Some(object) = object(event) {
            self.screen.write(&format!("{}\n", json_text(&object)));
        }
    }
}

fn object(event: Event<'_>) -> Option<Value> {
    Some(match event {
        Event::Connecting => json!({ "event": "connecting" }),
        Event::Records(records) => json!({ "event": "records", "records": records }),
        Event::Planned {
            downloads,
            bytes,
            moves,
            deletions,
        } => json!({
            "event": "planned", "downloads": downloads, "bytes": bytes, "moves": moves,
            "deletions": deletions,
        }),
        Event::Comparing { files, bytes } => {
            json!({ "event": "comparing", "files": files, "bytes": bytes })
        }
        Event::Compared { path, bytes } => {
            json!({ "event": "compared", "path": path, "bytes": bytes })
        }
        Event::Connections(open) => json!({ "event": "connections", "open": open }),
        Event::Bytes(bytes) => json!({ "event": "bytes", "bytes": bytes }),
        Event::Downloaded(path) => json!({ "event": "downloaded", "path": path }),
        Event::Moved(path) => json!({ "event": "moved", "path": path }),
        Event::Deleted(path) => json!({ "event": "deleted", "path": path }),
        Event::Kept { path, kept_as } => {
            json!({ "event": "kept", "path": path, "kept_as": kept_as })
        }
        Event::Failed { path, message } => {
            json!({ "event": "failed", "path": path, "message": message })
        }
        Event::Note(note) => json!({ "event": "note", "message": note }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use obsync_core::VaultPath;

    #[test]
    fn plain_lines_are_rare_and_not_too_early() {
        let start = Instant::now();
        let plain = Plain::new(&Screen::default(), start);
        let at = |millis| start + Duration::from_millis(millis);
        let planned = Event::Planned {
            downloads: 4,
            bytes: 4096,
            moves: 1,
            deletions: 0,
        };
        let path = VaultPath::parse("a.md").unwrap();
        assert_eq!(
            plain.due(Event::Records(12), at(249)),
            None,
            "a quarter second is quiet"
        );
        assert_eq!(plain.due(Event::Records(0), at(250)), None);
        assert_eq!(
            plain.due(Event::Records(20), at(250)).unwrap(),
            "20 records read"
        );
        assert_eq!(plain.due(planned, at(300)), None);
        assert_eq!(plain.due(Event::Connections(2), at(400)), None);
        assert_eq!(plain.due(Event::Bytes(2048), at(5249)), None);
        assert_eq!(
            plain.due(Event::Downloaded(&path), at(5250)).unwrap(),
            "1 of 5 files, 2.00 KiB of 4.00 KiB, 390 B/s, 2 connections"
        );
    }

    #[test]
    fn json_lines_carry_names_as_json() {
        let path = VaultPath::parse("a\u{1b}b.md").unwrap();
        assert_eq!(
            object(Event::Downloaded(&path)).unwrap().to_string(),
            r#"{"event":"downloaded","path":"a\u001bb.md"}"#
        );
    }
}
