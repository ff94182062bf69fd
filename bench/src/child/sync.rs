//! One run of the engine, put together as the command line does it, with a clock on its events.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use obsidian_sync::client::Connector;
use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::{EncryptionVersion, Millis, Password, Token, Vault, VaultId};
use obsync_core::clock::SystemClock;
use obsync_core::progress::{Event, Progress};
use obsync_core::report::Status;
use obsync_core::{SyncOptions, SyncRun};
use obsync_local::{About, FolderOptions, FolderStore, SqliteStateStore, StateDir, destination};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::usage;
use crate::Result;

const NAME: &str = "Bench";

/// Everything that the run needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SyncJob {
    pub(crate) vault: VaultId,
    pub(crate) host: String,
    pub(crate) token: String,
    pub(crate) password: String,
    pub(crate) salt: String,
    pub(crate) folder: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) connections: usize,
    /// Whether to note when each file was fetched, which itself takes memory.
    pub(crate) times: bool,
}

/// What the run did, and what it took. Times are in seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Synced {
    pub(crate) downloaded: u64,
    pub(crate) bytes: u64,
    /// From opening the stores to the report.
    pub(crate) wall: f64,
    /// Processor time of the whole process but the key derivation.
    pub(crate) cpu: f64,
    /// Processor time of the key derivation.
    pub(crate) derivation: f64,
    /// MiB.
    pub(crate) peak_memory: Option<f64>,
    /// When the last bytes were fetched.
    pub(crate) last_bytes: f64,
    /// When all connections were open, if they ever were.
    pub(crate) all_open: Option<f64>,
    /// When each file was fetched, if asked for.
    pub(crate) fetched: Vec<f64>,
}

pub(super) async fn run(job: SyncJob) -> Result<Synced> {
    let before = usage::cpu();
    let (connector, cipher) = connector(&job)?;
    let derivation = usage::cpu() - before;

    let start = Instant::now();
    let watch = Arc::new(Watch {
        start,
        connections: job.connections,
        times: job.times,
        seen: Mutex::default(),
    });
    let store = FolderStore::open(
        &job.folder,
        FolderOptions {
            vault_id: Some(job.vault.clone()),
            ..FolderOptions::default()
        },
    )?;
    let about = About::new(&job.vault, NAME, destination(&job.folder));
    let state = SqliteStateStore::open(&StateDir::new(job.state).state(&about), &about)?;
    store.lock()?;
    let report = SyncRun {
        vault: job.vault,
        vault_name: NAME.to_owned(),
        connector,
        cipher,
        store: Arc::new(store),
        state: Arc::new(state),
        options: SyncOptions {
            connections: job.connections,
            ..SyncOptions::default()
        },
        progress: Arc::clone(&watch) as Arc<dyn Progress>,
        clock: Arc::new(SystemClock),
        stop: CancellationToken::new(),
    }
    .run()
    .await?;
    let wall = start.elapsed().as_secs_f64();

    if report.status != Status::Complete {
        return Err(format!("the run did not succeed: {report:?}").into());
    }
    let seen = std::mem::take(&mut *watch.seen());
    Ok(Synced {
        downloaded: report.files_downloaded,
        bytes: report.bytes,
        wall,
        derivation,
        last_bytes: seen.last_bytes,
        all_open: seen.all_open,
        fetched: seen.fetched,
        peak_memory: usage::peak_memory(),
        cpu: usage::cpu() - derivation,
    })
}

/// Derives the key, and says how to reach the vault.
pub(super) fn connector(job: &SyncJob) -> Result<(Connector, VaultCipher)> {
    let key = VaultKey::derive(&Password::new(job.password.as_str()), &job.salt);
    let cipher = VaultCipher::new(EncryptionVersion::LATEST, &key, &job.salt);
    let vault = Vault {
        id: job.vault.clone(),
        name: NAME.to_owned(),
        host: job.host.clone(),
        region: String::new(),
        salt: job.salt.clone(),
        encryption_version: cipher.version().number(),
        created: Millis(0),
        size: 0,
        managed_password: None,
        shared: false,
    };
    let connector = Connector::new(&vault, Token::new(job.token.as_str()), &cipher)?;
    Ok((connector, cipher))
}

/// Notes when things happened.
struct Watch {
    start: Instant,
    connections: usize,
    times: bool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    last_bytes: f64,
    all_open: Option<f64>,
    fetched: Vec<f64>,
}

impl Watch {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Watch {
    fn event(&self, event: Event<'_>) {
        let now = self.start.elapsed().as_secs_f64();
        match event {
            Event::Connections(open) if open == self.connections => {
                self.seen().all_open.get_or_insert(now);
            }
            // Once for each file that is not streamed.
            Event::Bytes(_) => {
                let mut seen = self.seen();
                seen.last_bytes = now;
                if self.times {
                    seen.fetched.push(now);
                }
            }
            _ => {}
        }
    }
}
