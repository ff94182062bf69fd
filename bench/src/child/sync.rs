//! One run of the engine, put together as the command line does it, with a clock on its events.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use obsync_core::clock::SystemClock;
use obsync_core::progress::{Event, Progress};
use obsync_core::report::Status;
use obsync_core::{Budget, StateStore, SyncOptions, SyncRun, VaultStore};
use obsync_local::{About, FolderOptions, FolderStore, SqliteStateStore, StateDir, destination};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Job, s3};
use crate::Result;

/// The vault's name, as the stores are told it.
pub(super) const NAME: &str = "Bench";

/// Where the copy goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Target {
    Folder {
        folder: PathBuf,
        state: PathBuf,
    },
    /// To the S3 double at this URL.
    S3 {
        endpoint: String,
    },
}

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
    /// When the backlog was read and the plan stood; `None` where there was nothing to do.
    pub(crate) planned: Option<f64>,
    /// When all connections were open, if they ever were.
    pub(crate) all_open: Option<f64>,
    /// When content was fetched, if asked for: once a small file, once a piece of a large one.
    pub(crate) fetched: Vec<f64>,
}

pub(super) async fn run(job: &Job, target: &Target, times: bool, full: bool) -> Result<Synced> {
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
    let (store, state) = stores(job, target).await?;
    let run = SyncRun {
        vault: job.vault.clone(),
        vault_name: NAME.to_owned(),
        connector,
        cipher,
        store,
        state,
        options: SyncOptions {
            connections: job.connections,
            full,
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
        ..std::mem::take(&mut *seen)
    })
}

async fn stores(job: &Job, target: &Target) -> Result<(Arc<dyn VaultStore>, Arc<dyn StateStore>)> {
    let (folder, state) = match target {
        Target::Folder { folder, state } => (folder, state),
        Target::S3 { endpoint } => {
            let home = s3::open(endpoint, &job.vault).await?;
            return Ok((Arc::new(home.files), Arc::new(home.state)));
        }
    };
    let options = FolderOptions {
        vault_id: Some(job.vault.clone()),
        ..FolderOptions::default()
    };
    let store = FolderStore::open(folder, options)?;
    let about = About::new(&job.vault, NAME, destination(folder));
    let state = SqliteStateStore::open(&StateDir::new(state).state(&about), &about)?;
    store.lock()?;
    Ok((Arc::new(store), Arc::new(state)))
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
            Event::Planned { .. } => seen.planned = Some(now),
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
