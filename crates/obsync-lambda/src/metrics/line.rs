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

/// What is told of one vault in one invocation.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    /// The function's name.
    pub function: &'a str,
    /// The vault's id.
    pub vault_id: &'a str,
    /// The invocation.
    pub request_id: &'a str,
    /// How the vault went: the answer's word, or `aborted`.
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
    let metrics: Vec<Value> = METRICS
        .iter()
        .filter(|(name, _)| *name != "MemoryUsage" || sample.memory.is_some())
        .map(|(name, unit)| json!({ "Name": name, "Unit": unit }))
        .collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": now.0,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["FunctionName", "VaultId"], ["FunctionName"]],
                "Metrics": metrics,
            }],
        },
        "FunctionName": sample.function,
        "VaultId": sample.vault_id,
        "SyncDuration": thousandths(sample.duration.as_secs_f64()),
        "FilesProcessed": sample.files,
        "BytesDownloaded": sample.bytes,
        "Failures": u8::from(sample.failed),
        "PartialSyncs": u8::from(sample.partial),
        "ColdStart": u8::from(sample.cold_start),
        "requestId": sample.request_id,
        "status": sample.status,
    });
    if let Some(bytes) = sample.memory {
        // Of 2^20 bytes each, as in Lambda's own reports.
        #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
        let megabytes = bytes as f64 / f64::from(1 << 20);
        line["MemoryUsage"] = thousandths(megabytes).into();
    }
    line
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
            vault_id: "v",
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
}
