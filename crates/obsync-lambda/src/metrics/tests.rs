use obsidian_sync::Millis;
use serde_json::json;

use super::*;
use crate::answer::VaultError;
use obsync_core::VaultPath;
use obsync_core::clock::FixedClock;

/// A log that can be read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn metrics() -> (Metrics, Log) {
    let log = Log::default();
    let clock = Arc::new(FixedClock(Millis(1_705_314_600_000)));
    let memory = || Some(96 << 20);
    (Metrics::new("obsync-sync", clock, memory, log.clone()), log)
}

fn answer(status: VaultStatus) -> VaultAnswer {
    let mut answer = VaultAnswer::failed("v1", "n", VaultError::new("network", "x"));
    answer.status = status;
    answer.files_downloaded = 3;
    answer.files_moved = 2;
    answer.files_deleted = 1;
    answer.bytes = 5000;
    answer
}

#[tokio::test(start_paused = true)]
async fn a_line_is_what_cloudwatch_reads() {
    let (metrics, log) = metrics();
    let vault = metrics.invocation("req-1", true).vault("Notes");
    vault.found("v1");
    tokio::time::advance(Duration::from_millis(8200)).await;
    vault.finish(&answer(VaultStatus::Complete));
    let units = |name: &str, unit: &str| json!({ "Name": name, "Unit": unit });
    assert_eq!(
        log.lines(),
        [json!({
            "_aws": {
                "Timestamp": 1_705_314_600_000_u64,
                "CloudWatchMetrics": [{
                    "Namespace": "Obsync",
                    "Dimensions": [["FunctionName", "VaultId"], ["FunctionName"]],
                    "Metrics": [
                        units("SyncDuration", "Seconds"),
                        units("FilesProcessed", "Count"),
                        units("MemoryUsage", "Megabytes"),
                        units("BytesDownloaded", "Bytes"),
                        units("Failures", "Count"),
                        units("PartialSyncs", "Count"),
                        units("ColdStart", "Count"),
                    ],
                }],
            },
            "FunctionName": "obsync-sync", "VaultId": "v1", "vault": "Notes",
            "SyncDuration": 8.2, "FilesProcessed": 6, "MemoryUsage": 96.0,
            "BytesDownloaded": 5000, "Failures": 0, "PartialSyncs": 0, "ColdStart": 1,
            "requestId": "req-1", "status": "complete",
        })]
    );
}

#[tokio::test(start_paused = true)]
async fn each_status_counts_as_what_it_is() {
    let (metrics, log) = metrics();
    let invocation = metrics.invocation("req-1", true);
    for status in [VaultStatus::Partial, VaultStatus::Busy, VaultStatus::Failed] {
        invocation.vault("v1").finish(&answer(status));
    }
    let seen: Vec<_> = log
        .lines()
        .iter()
        .map(|line| {
            let of = |name: &str| line[name].as_u64().unwrap();
            (of("Failures"), of("PartialSyncs"), of("ColdStart"))
        })
        .collect();
    let expected = [(0, 1, 1), (0, 1, 0), (1, 0, 0)];
    assert_eq!(seen, expected, "and one cold start for all");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_early_is_told_too() {
    let (metrics, log) = metrics();
    let invocation = metrics.invocation("req-1", false);
    let panicking = invocation.clone();
    let task = tokio::spawn(async move {
        let vault = panicking.vault("v1");
        let path = VaultPath::parse("a.md").unwrap();
        let counters = vault.counters();
        counters.event(Event::Bytes(700));
        counters.event(Event::Downloaded(&path));
        counters.event(Event::Connections(3));
        panic!("a bug");
    });
    assert!(task.await.unwrap_err().is_panic());

    let given_up = async {
        let vault = invocation.vault("v2");
        vault.found("v2");
        std::future::pending::<()>().await;
    };
    let second = Duration::from_secs(1);
    assert!(tokio::time::timeout(second, given_up).await.is_err());

    let lines = log.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["status"], "aborted");
    assert_eq!(lines[0]["Failures"], 1);
    assert_eq!(lines[0]["FilesProcessed"], 1);
    assert_eq!(lines[0]["BytesDownloaded"], 700);
    assert_eq!(lines[1]["VaultId"], "v2");
    assert_eq!(lines[1]["SyncDuration"], 1.0);
}

#[tokio::test(start_paused = true)]
async fn what_a_vault_is_called_is_no_dimension_until_it_is_found() {
    let (metrics, log) = metrics();
    let invocation = metrics.invocation("req-1", false);
    let vault = invocation.vault("Übersicht");
    vault.finish(&answer(VaultStatus::Failed));
    let line = &log.lines()[0];
    let about = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(about["Dimensions"], json!([["FunctionName"]]));
    assert_eq!(
        (&line["VaultId"], &line["vault"]),
        (&Value::Null, &json!("Übersicht"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_fails_without_a_vault_is_a_run_that_failed() {
    let (metrics, log) = metrics();
    let invocation = metrics.invocation("req-1", true);
    tokio::time::advance(Duration::from_millis(1500)).await;
    invocation.failed("invalid_event");
    invocation.end();
    let lines = log.lines();
    assert_eq!(lines.len(), 1);
    for (field, value) in [
        ("Failures", json!(1)),
        ("SyncDuration", json!(1.5)),
        ("PartialSyncs", json!(0)),
        ("ColdStart", json!(1)),
        ("status", json!("invalid_event")),
        ("VaultId", Value::Null),
    ] {
        assert_eq!(lines[0][field], value, "{field}");
    }
}

#[tokio::test]
async fn a_cold_start_that_synced_nothing_is_told_of_once() {
    let (metrics, log) = metrics();
    let invocation = metrics.invocation("req-1", true);
    invocation.end();
    invocation.end();
    metrics.invocation("req-2", false).end();
    let lines = log.lines();
    assert_eq!((lines.len(), &lines[0]["ColdStart"]), (1, &json!(1)));
    let about = &lines[0]["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(
        about["Metrics"],
        json!([{"Name": "ColdStart", "Unit": "Count"}])
    );
    assert_eq!(lines[0]["SyncDuration"], Value::Null, "it is no run");
}
