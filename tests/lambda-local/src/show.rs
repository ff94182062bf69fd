//! Words for a person.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use obsync_doubles::runtime::Outcome;
use obsync_lambda_local::{Bucket, Stage};
use serde_json::Value;

/// Prints a line. Whoever reads may be gone.
pub(crate) fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}");
}

/// How it went; later ones are worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Well,
    Partly,
    Badly,
}

impl Verdict {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let Outcome::Answer(answer) = outcome else {
            return Self::Badly;
        };
        if let Some(failures) = answer["batchItemFailures"].as_array() {
            return if failures.is_empty() {
                Self::Well
            } else {
                Self::Partly
            };
        }
        match answer["status"].as_str() {
            Some("complete" | "ok") => Self::Well,
            Some("partial") => Self::Partly,
            _ => Self::Badly,
        }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Well => Self::SUCCESS,
            Verdict::Partly => Self::from(4),
            Verdict::Badly => Self::FAILURE,
        }
    }
}

/// Shows a line that the function wrote; metrics as figures.
pub(crate) fn line(text: &str) {
    match metrics(text) {
        Some(figures) => say(&format!("   metrics: {figures}")),
        None => say(&format!("   | {text}")),
    }
}

/// The figures of a line in CloudWatch's Embedded Metric Format.
fn metrics(text: &str) -> Option<String> {
    let document: Value = serde_json::from_str(text).ok()?;
    let groups = document["_aws"]["CloudWatchMetrics"].as_array()?;
    let defined = groups
        .iter()
        .filter_map(|group| group["Metrics"].as_array());
    let figures = defined.flatten().filter_map(|metric| {
        let name = metric["Name"].as_str()?;
        let unit = metric["Unit"].as_str().filter(|unit| *unit != "Count");
        let unit = unit.map(|unit| format!(" {unit}")).unwrap_or_default();
        Some(format!("{name} {}{unit}", document[name]))
    });
    Some(figures.collect::<Vec<_>>().join(", "))
}

/// Shows what came of an invocation.
pub(crate) fn outcome(outcome: &Outcome, took: Duration, peak: Option<u64>) {
    let peak = peak.map(|bytes| format!(", at most {} MB resident so far", bytes / 1_000_000));
    let cost = format!("{took:.1?}{}", peak.unwrap_or_default());
    match outcome {
        Outcome::Answer(answer) => say(&format!("answer ({cost}): {answer:#}")),
        Outcome::Error {
            error_type,
            message,
            ..
        } => {
            say(&format!("function error ({cost}): {error_type}: {message}"));
        }
        Outcome::TimedOut => say(&format!("killed: no answer in time ({cost})")),
        Outcome::Died => say(&format!("the function's process ended ({cost})")),
    }
}

/// What went over the wire so far.
pub(crate) struct Seen {
    pulls: u64,
    requests: Option<Vec<String>>,
}

impl Seen {
    pub(crate) fn of(stage: &Stage) -> Self {
        let requests = match &stage.bucket {
            Bucket::Double(double) => Some(double.requests()),
            Bucket::Elsewhere { .. } => None,
        };
        Self {
            pulls: stage.service.stats().pulled(),
            requests,
        }
    }

    /// In words. The double hands out its requests once, so these are since the last look.
    pub(crate) fn since(&self, before: &Self) -> String {
        let pulls = self.pulls - before.pulls;
        let mut text = format!("   wire: {pulls} files pulled");
        if let Some(requests) = &self.requests {
            let count = |method: &str| requests.iter().filter(|r| r.starts_with(method)).count();
            let [puts, gets, heads] = ["PUT", "GET", "HEAD"].map(count);
            text += &format!(
                "; S3: {puts} PUT, {gets} GET, {heads} HEAD of {}",
                requests.len()
            );
        }
        text
    }
}
