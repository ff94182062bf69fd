//! Log lines, on standard error.

use obsync_config::values::{LogFormat, LogLevel};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

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
    let layer = fmt::layer().with_writer(screen.clone()).with_ansi(false);
    let layer = match format {
        LogFormat::Text => layer.with_target(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    // Only a second start could fail, and there is none.
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init();
}
