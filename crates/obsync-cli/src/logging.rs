//! Log lines, on standard error.

use std::io;

use obsync_config::values::{LogFormat, LogLevel};
use obsync_core::escape_name;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::output::tame_json;
use crate::screen::Screen;

/// Our own crates. Others may log what passes through them, tokens and passwords included, so they
/// are heard only when something is wrong, whatever the level.
const OURS: [&str; 6] = [
    "obsync",
    "obsync_config",
    "obsync_core",
    "obsync_local",
    "obsync_s3",
    "obsidian_sync",
];

pub(crate) fn start(level: LogLevel, format: LogFormat, screen: &Screen) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_targets(OURS.map(|target| (target, level)));
    let writer = Lines {
        screen: screen.clone(),
        format,
    };
    let layer = fmt::layer().with_writer(writer).with_ansi(false);
    let layer = match format {
        LogFormat::Text => layer.with_target(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    // Only a second start could fail, and there is none.
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init();
}

/// Makes a writer for each event.
#[derive(Clone)]
struct Lines {
    screen: Screen,
    format: LogFormat,
}

/// One event. What it says may come from the service, names above all: it stays one line, and a
/// terminal acts on nothing in it.
struct Line {
    screen: Screen,
    format: LogFormat,
    bytes: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line {
            screen: self.screen.clone(),
            format: self.format,
            bytes: Vec::new(),
        }
    }
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            let text = String::from_utf8_lossy(&self.bytes);
            let line = tame(text.strip_suffix('\n').unwrap_or(&text), self.format);
            self.screen.write(&format!("{line}\n"));
        }
    }
}

fn tame(line: &str, format: LogFormat) -> String {
    match format {
        LogFormat::Text => escape_name(line),
        LogFormat::Json => tame_json(line.to_owned()),
    }
}
