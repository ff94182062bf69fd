//! Log lines on standard error: text for people, or JSON for CloudWatch's filters.
//!
//! ```text
//! 2024-01-15 10:30:10 [INFO] vault synced files=145 vault_id=abc123 request_id=8a4f… cold_start=true
//! {"timestamp":"2024-01-15T10:30:10.000Z","level":"INFO","message":"vault synced","files":145,
//!  "vaultId":"abc123","requestId":"8a4f…","coldStart":true}
//! ```
//!
//! (The JSON is one line.) Which invocation and which vault a line is about comes from the spans
//! that it is in: [`invocation`] and [`vault`]. Secrets have types that do not print; besides,
//! crates of others, which may log whatever passes through them, are heard only when something is
//! wrong, whatever the level.

mod fields;
mod format;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use obsync_config::values::{LogFormat, LogLevel};
use obsync_core::clock::{Clock, SystemClock};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Span, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use fields::Fields;

/// Our own crates.
const OURS: [&str; 6] = [
    "bootstrap",
    "obsync_lambda",
    "obsync_config",
    "obsync_core",
    "obsync_s3",
    "obsidian_sync",
];

/// What the Lambda runtime says of a failure that we have told, with the request that it belongs to,
/// and of a panic, which [`tell_panic`] tells.
const TOLD: &str = "lambda_runtime::layers::panic";

/// Starts logging to standard error. Lambda writes the time and the request of a line that has
/// none; ours have their own.
pub fn start(level: LogLevel, format: LogFormat) {
    let subscriber = subscriber(level, format, Arc::new(SystemClock), std::io::stderr());
    // Only a second start could fail, and there is none.
    let _ = tracing::subscriber::set_global_default(subscriber);
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        tell_panic(panic.payload(), at.as_deref().unwrap_or("an unknown place"));
    }));
}

/// Tells of a panic as of any error: with the invocation and the vault whose work it ended.
pub fn tell_panic(panic: &(dyn std::any::Any + Send), at: &str) {
    tracing::error!(at, "a bug in obsync: {}", panic_text(panic));
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it does not say why".to_owned())
}

/// The subscriber that [`start`] starts, writing anywhere.
pub fn subscriber(
    level: LogLevel,
    format: LogFormat,
    clock: Arc<dyn Clock>,
    out: impl Write + Send + 'static,
) -> impl Subscriber + Send + Sync {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_targets(OURS.map(|target| (target, level)))
        .with_target(TOLD, LevelFilter::OFF);
    let lines = Lines {
        format,
        clock,
        out: Mutex::new(out),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter))
}

/// The span of one invocation. It is there at every level, so that errors tell theirs.
pub fn invocation(request_id: &str, cold_start: bool) -> Span {
    tracing::error_span!("invocation", request_id, cold_start)
}

/// The span of one vault's run.
pub fn vault(vault_id: &str) -> Span {
    tracing::error_span!("vault", vault_id)
}

/// Writes a line for each event.
struct Lines<W> {
    format: LogFormat,
    clock: Arc<dyn Clock>,
    out: Mutex<W>,
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write + Send + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.take_message();
        // From the innermost span outwards: what is nearest wins.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(more) = span.extensions().get::<Fields>() {
                fields.add_missing(more);
            }
        }
        let now = self.clock.now();
        let level = *event.metadata().level();
        let mut line = match self.format {
            LogFormat::Text => format::text(now, level, &message, &fields),
            LogFormat::Json => format::json(now, level, &message, &fields),
        };
        line.push('\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that can't be written is no reason to fail, and there is nowhere to say it.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests;
