//! CloudWatch metrics, one line of Embedded Metric Format for each vault of an invocation.
//!
//! CloudWatch reads the lines from the function's log; nothing is sent. Each metric comes with two
//! sets of dimensions: function and vault, to look at one vault; and the function alone, which
//! alarms need, since an alarm can't watch vaults that nobody has named to it.

mod line;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use obsync_core::clock::Clock;
use obsync_core::progress::{Event, Progress};
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
        }
    }

    fn write(&self, sample: &Sample<'_>) {
        let line = format!("{}\n", line(sample, self.0.clock.now()));
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
}

impl Invocation {
    /// Begins a vault. Its line is written when [`VaultMetrics::finish`] is called, or else when it
    /// is dropped: by an error, a panic, or a deadline that gave the vault up.
    pub fn vault(&self, vault_id: impl Into<String>) -> VaultMetrics {
        VaultMetrics {
            invocation: self.clone(),
            vault_id: vault_id.into(),
            began: Instant::now(),
            counters: Arc::default(),
            finished: false,
        }
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
    vault_id: String,
    began: Instant,
    counters: Arc<Counters>,
    finished: bool,
}

impl VaultMetrics {
    /// To be told of the run's progress.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Writes the line of a vault that was answered for.
    pub fn finish(mut self, answer: &VaultAnswer) {
        let (status, failed, partial) = match answer.status {
            VaultStatus::Complete => ("complete", false, false),
            VaultStatus::Partial => ("partial", false, true),
            VaultStatus::Busy => ("busy", false, false),
            VaultStatus::Failed => ("failed", true, false),
        };
        let files = answer.files_downloaded + answer.files_moved + answer.files_deleted;
        self.write(status, failed, partial, files, answer.bytes);
    }

    fn write(&mut self, status: &str, failed: bool, partial: bool, files: u64, bytes: u64) {
        self.finished = true;
        let metrics = &self.invocation.metrics;
        metrics.write(&Sample {
            function: &metrics.0.function,
            vault_id: &self.vault_id,
            request_id: &self.invocation.request_id,
            status,
            duration: self.began.elapsed(),
            files,
            bytes,
            memory: (metrics.0.memory)(),
            failed,
            partial,
            cold_start: self.invocation.cold_start.swap(false, Ordering::Relaxed),
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
