//! One run of the engine, put together as the command line does it, with a clock on its events.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use obsync_core::clock::SystemClock;
use obsync_core::progress::{Event, Progress};
use obsync_core::report::Status;
use obsync_core::{Budget, SyncOptions, SyncRun};
use obsync_local::{About, FolderOptions, FolderStore, SqliteStateStore, StateDir, destination};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::Job;
use crate::Result;

const NAME: &str = "Bench";

/// What the run did, and what it took. Times are in seconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Synced {
    pub(crate) downloaded: u64,
    /// From opening the stores to the report.
    pub(crate) wall: f64,
    /// Processor time of the whole process but the key derivation.
    pub(crate) cpu: f64,
    /// Processor time of the key derivation.
    pub(crate) derivation: f64,
    /// The most that was resident at once, in MiB; `None` where the system does not tell.
    pub(crate) peak_memory: Option<f64>,
    /// When all connections were open, if they ever were.
    pub(crate) all_open: Option<f64>,
    /// When content was fetched, if asked for: once a small file, once a piece of a large one.
    pub(crate) fetched: Vec<f64>,
}

pub(super) async fn run(job: &Job, folder: &Path, state: &Path, times: bool) -> Result<Synced> {
    let before = cpu();
    let (connector, cipher) = job.connector()?;
    let derivation = cpu() - before;

    let start = Instant::now();
    let watch = Arc::new(Watch {
        start,
        connections: job.connections,
        times,
        seen: Mutex::default(),
    });
    let options = FolderOptions {
        vault_id: Some(job.vault.clone()),
        ..FolderOptions::default()
    };
    let store = FolderStore::open(folder, options)?;
    let about = About::new(&job.vault, NAME, destination(folder));
    let state = SqliteStateStore::open(&StateDir::new(state).state(&about), &about)?;
    store.lock()?;
    let run = SyncRun {
        vault: job.vault.clone(),
        vault_name: NAME.to_owned(),
        connector,
        cipher,
        store: Arc::new(store),
        state: Arc::new(state),
        options: SyncOptions {
            connections: job.connections,
            ..SyncOptions::default()
        },
        budget: Budget::default(),
        progress: Arc::clone(&watch) as Arc<dyn Progress>,
        clock: Arc::new(SystemClock),
        stop: CancellationToken::new(),
    };
    let report = run.run().await?;
    let wall = start.elapsed().as_secs_f64();

    if report.status != Status::Complete {
        return Err(format!("the run did not succeed: {report:?}").into());
    }
    let mut seen = watch.seen.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Synced {
        downloaded: report.files_downloaded,
        wall,
        cpu: cpu() - derivation,
        derivation,
        peak_memory: peak_memory(),
        ..std::mem::take(&mut *seen)
    })
}

/// Notes when things happened.
struct Watch {
    start: Instant,
    connections: usize,
    times: bool,
    /// Only its times.
    seen: Mutex<Synced>,
}

impl Progress for Watch {
    fn event(&self, event: Event<'_>) {
        let now = self.start.elapsed().as_secs_f64();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Connections(open) if open == self.connections => {
                seen.all_open.get_or_insert(now);
            }
            Event::Bytes(_) if self.times => seen.fetched.push(now),
            _ => {}
        }
    }
}

/// Processor time of all threads so far, in seconds.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
