//! One line of Embedded Metric Format.

use std::time::Duration;

use obsidian_sync::Millis;
use serde_json::{Value, json};

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Obsync";

/// Each metric and its unit.
pub const METRICS: [(&str, &str); 7] = [
    ("SyncDuration", "Seconds"),
    ("FilesProcessed", "Count"),
    ("MemoryUsage", "Megabytes"),
    ("BytesDownloaded", "Bytes"),
    ("Failures", "Count"),
    ("PartialSyncs", "Count"),
    ("ColdStart", "Count"),
];

/// What is told of one vault in one invocation, or of an invocation that failed as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    /// The function's name.
    pub function: &'a str,
    /// The vault's id, if it is a vault of the account.
    pub vault_id: Option<&'a str>,
    /// What the event called it; to be looked up, and no dimension: a name may have letters that
    /// CloudWatch takes in none, and each slip of the pen would make metrics of its own.
    pub vault: Option<&'a str>,
    /// The invocation.
    pub request_id: &'a str,
    /// How it went: the answer's word, `aborted`, or the kind of the failure.
    pub status: &'a str,
    /// How long it took.
    pub duration: Duration,
    /// Files brought, moved or deleted.
    pub files: u64,
    /// Plaintext bytes fetched.
    pub bytes: u64,
    /// The process's resident memory in bytes, where the system tells it.
    pub memory: Option<u64>,
    /// Whether it failed.
    pub failed: bool,
    /// Whether something is left to do.
    pub partial: bool,
    /// Whether the process was started for this.
    pub cold_start: bool,
}

/// The line for a sample, in Embedded Metric Format.
pub fn line(sample: &Sample<'_>, now: Millis) -> Value {
    let vault_id = sample.vault_id.filter(|id| is_dimension(id));
    let metrics: Vec<&str> = METRICS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| *name != "MemoryUsage" || sample.memory.is_some())
        .collect();
    let mut line = json!({
        "_aws": about(vault_id, &metrics, now),
        "FunctionName": sample.function,
        "SyncDuration": thousandths(sample.duration.as_secs_f64()),
        "FilesProcessed": sample.files,
        "BytesDownloaded": sample.bytes,
        "Failures": u8::from(sample.failed),
        "PartialSyncs": u8::from(sample.partial),
        "ColdStart": u8::from(sample.cold_start),
        "requestId": sample.request_id,
        "status": sample.status,
    });
    if let Some(id) = vault_id {
        line["VaultId"] = id.into();
    }
    if let Some(vault) = sample.vault {
        line["vault"] = vault.into();
    }
    if let Some(bytes) = sample.memory {
        // Of 2^20 bytes each, as in Lambda's own reports.
        #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
        let megabytes = bytes as f64 / f64::from(1 << 20);
        line["MemoryUsage"] = thousandths(megabytes).into();
    }
    line
}

/// The line of an invocation that synced nothing and still was a cold start.
pub(super) fn cold_start(function: &str, request_id: &str, now: Millis) -> Value {
    json!({
        "_aws": about(None, &["ColdStart"], now),
        "FunctionName": function,
        "ColdStart": 1,
        "requestId": request_id,
    })
}

fn about(vault_id: Option<&str>, metrics: &[&str], now: Millis) -> Value {
    let metrics = METRICS.iter().filter(|(name, _)| metrics.contains(name));
    let metrics = metrics.map(|(name, unit)| json!({ "Name": name, "Unit": unit }));
    let dimensions = match vault_id {
        Some(_) => json!([["FunctionName", "VaultId"], ["FunctionName"]]),
        None => json!([["FunctionName"]]),
    };
    json!({
        "Timestamp": now.0,
        "CloudWatchMetrics": [{
            "Namespace": NAMESPACE,
            "Dimensions": dimensions,
            "Metrics": metrics.collect::<Vec<_>>(),
        }],
    })
}

/// Whether CloudWatch takes a text as a dimension: with another, the whole line is lost.
fn is_dimension(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic())
}

fn thousandths(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_nobody_knows_is_left_out() {
        let sample = Sample {
            function: "f",
            vault_id: Some("v"),
            vault: None,
            request_id: "r",
            status: "complete",
            duration: Duration::ZERO,
            files: 0,
            bytes: 0,
            memory: None,
            failed: false,
            partial: false,
            cold_start: false,
        };
        let line = line(&sample, Millis(0)).to_string();
        assert!(!line.contains("MemoryUsage"), "{line}");
    }

    #[test]
    fn what_cloudwatch_would_not_take_is_no_dimension() {
        for (id, taken) in [
            ("0123abcd", true),
            ("Überblick", false),
            ("", false),
            ("a b", false),
        ] {
            assert_eq!(is_dimension(id), taken, "{id}");
        }
        assert!(!is_dimension(&"a".repeat(256)));
    }
}
