//! CloudWatch metrics, one line of Embedded Metric Format for each vault of an invocation.
//!
//! CloudWatch reads the lines from the function's log; nothing is sent. Each metric comes with two
//! sets of dimensions: function and vault, to look at one vault; and the function alone, which
//! alarms need, since an alarm can't watch vaults that nobody has named to it.
//!
//! What fails without a vault, such as an event that makes no sense, has a line of the function
//! alone. It counts as a run too: the runs less the failures are those that went well.

mod line;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use obsync_core::clock::Clock;
use obsync_core::progress::{Event, Progress};
use serde_json::Value;
use tokio::time::Instant;

use crate::answer::{VaultAnswer, VaultStatus};
pub use line::{METRICS, NAMESPACE, Sample, line};

/// Writes the metrics of a function.
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

struct Shared {
    function: String,
    clock: Arc<dyn Clock>,
    memory: Box<dyn Fn() -> Option<u64> + Send + Sync>,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Metrics {
    /// For a function. `memory` tells the process's resident memory in bytes; `out` is the log's
    /// end, standard output in Lambda.
    pub fn new(
        function: impl Into<String>,
        clock: Arc<dyn Clock>,
        memory: impl Fn() -> Option<u64> + Send + Sync + 'static,
        out: impl Write + Send + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            function: function.into(),
            clock,
            memory: Box::new(memory),
            out: Mutex::new(Box::new(out)),
        }))
    }

    /// Begins an invocation. However many vaults it has, a cold start is counted once.
    pub fn invocation(&self, request_id: impl Into<String>, cold_start: bool) -> Invocation {
        Invocation {
            metrics: self.clone(),
            request_id: request_id.into(),
            cold_start: Arc::new(AtomicBool::new(cold_start)),
            began: Instant::now(),
        }
    }

    fn write(&self, line: &Value) {
        let line = format!("{line}\n");
        let mut out = self.0.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that can't be written is no reason to fail a sync, and there is nowhere to say it.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

/// The metrics of one invocation.
#[derive(Clone)]
pub struct Invocation {
    metrics: Metrics,
    request_id: String,
    cold_start: Arc<AtomicBool>,
    began: Instant,
}

impl Invocation {
    /// Begins a vault, by what the event calls it; see [`VaultMetrics::found`]. Its line is written
    /// when [`VaultMetrics::finish`] is called, or else when it is dropped: by an error, a panic, or
    /// a deadline that gave the vault up.
    pub fn vault(&self, wanted: impl Into<String>) -> VaultMetrics {
        VaultMetrics {
            invocation: self.clone(),
            wanted: wanted.into(),
            vault_id: OnceLock::new(),
            began: Instant::now(),
            counters: Arc::default(),
            finished: false,
        }
    }

    /// Writes the line of a failure that is no vault's; `kind` is its word.
    pub fn failed(&self, kind: &str) {
        self.sample(&Sample {
            status: kind,
            duration: self.began.elapsed(),
            failed: true,
            ..self.blank()
        });
    }

    /// Ends it: a cold start that no line has told of gets a line of its own.
    pub fn end(&self) {
        if self.cold_start.swap(false, Ordering::Relaxed) {
            let shared = &self.metrics.0;
            let now = shared.clock.now();
            let line = line::cold_start(&shared.function, &self.request_id, now);
            self.metrics.write(&line);
        }
    }

    /// What all lines have.
    fn blank(&self) -> Sample<'_> {
        let shared = &self.metrics.0;
        Sample {
            function: &shared.function,
            vault_id: None,
            vault: None,
            request_id: &self.request_id,
            status: "",
            duration: Duration::ZERO,
            files: 0,
            bytes: 0,
            memory: (shared.memory)(),
            failed: false,
            partial: false,
            cold_start: self.cold_start.swap(false, Ordering::Relaxed),
        }
    }

    fn sample(&self, sample: &Sample<'_>) {
        let now = self.metrics.0.clock.now();
        self.metrics.write(&line(sample, now));
    }
}

/// What a vault has done so far: to be told by the engine, so that a run that ends early counts too.
#[derive(Debug, Default)]
pub struct Counters {
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Progress for Counters {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Downloaded(_) | Event::Moved(_) | Event::Deleted(_) => {
                self.files.fetch_add(1, Ordering::Relaxed);
            }
            Event::Bytes(more) => {
                self.bytes.fetch_add(more, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// The metrics of one vault in one invocation.
pub struct VaultMetrics {
    invocation: Invocation,
    wanted: String,
    vault_id: OnceLock<String>,
    began: Instant,
    counters: Arc<Counters>,
    finished: bool,
}

impl VaultMetrics {
    /// To be told of the run's progress.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Notes which vault it is.
    pub fn found(&self, vault_id: &str) {
        self.vault_id.get_or_init(|| vault_id.to_owned());
    }

    /// Writes the line of a vault that was answered for.
    pub fn finish(mut self, answer: &VaultAnswer) {
        let (status, failed, partial) = match answer.status {
            VaultStatus::Complete => ("complete", false, false),
            VaultStatus::Partial => ("partial", false, true),
            // As in the answer, where it makes the whole partial: nothing says that it is up to date.
            VaultStatus::Busy => ("busy", false, true),
            VaultStatus::Failed => ("failed", true, false),
        };
        let files = answer.files_downloaded + answer.files_moved + answer.files_deleted;
        self.write(status, failed, partial, files, answer.bytes);
    }

    fn write(&mut self, status: &str, failed: bool, partial: bool, files: u64, bytes: u64) {
        self.finished = true;
        self.invocation.sample(&Sample {
            vault_id: self.vault_id.get().map(String::as_str),
            vault: Some(&self.wanted),
            status,
            duration: self.began.elapsed(),
            files,
            bytes,
            failed,
            partial,
            ..self.invocation.blank()
        });
    }
}

impl Drop for VaultMetrics {
    fn drop(&mut self) {
        if !self.finished {
            let files = self.counters.files.load(Ordering::Relaxed);
            let bytes = self.counters.bytes.load(Ordering::Relaxed);
            self.write("aborted", true, false, files, bytes);
        }
    }
}
