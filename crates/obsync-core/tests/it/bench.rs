//! A workbench: a service, a vault, a destination, and runs between them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use obsidian_sync::client::{Connector, Deadlines};
use obsidian_sync::crypto::VaultCipher;
use obsidian_sync::{EncryptionVersion, Millis, Token, Uid, Vault, VaultId};
use obsync_core::clock::FixedClock;
use obsync_core::memory::{
    FailingStateStore, FailingVaultStore, Faults, MemoryStateStore, MemoryVaultStore,
};
use obsync_core::progress::{Event, Progress, Silent};
use obsync_core::report::Report;
use obsync_core::{Budget, StateStore, SyncError, SyncOptions, SyncRun, VaultStore};
use obsync_devserver::{DevServer, VaultSpec};
use tokio_util::sync::CancellationToken;

pub(crate) const OWNER: &str = "me@example.com";
/// 2024-11-22 12:00 UTC.
pub(crate) const NOW: Millis = Millis(1_732_276_800_000);
pub(crate) const MTIME: Millis = Millis(1_700_000_000_123);

/// One vault on a service, with a home for its copy.
pub(crate) struct Bench {
    pub(crate) server: DevServer,
    pub(crate) vault: VaultId,
    token: Token,
    cipher: VaultCipher,
    pub(crate) store: MemoryVaultStore,
    pub(crate) state: MemoryStateStore,
    pub(crate) options: SyncOptions,
    pub(crate) stop: CancellationToken,
    /// How long each step of a connection may take.
    pub(crate) patience: Duration,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(VaultSpec::managed("Notes", OWNER), MemoryVaultStore::new()).await
    }

    pub(crate) async fn of_version(version: EncryptionVersion) -> Self {
        let spec = VaultSpec::encrypted("Notes", OWNER, "secret").version(version);
        Self::with(spec, MemoryVaultStore::new()).await
    }

    pub(crate) async fn with(spec: VaultSpec, store: MemoryVaultStore) -> Self {
        Self::on(DevServer::start().await.unwrap(), spec, store)
    }

    /// On a service that cuts connections on which nothing was said for so long.
    pub(crate) async fn cutting_after(idle: Duration) -> Self {
        let server = DevServer::builder().idle_timeout(idle).start().await;
        let spec = VaultSpec::managed("Notes", OWNER);
        Self::on(server.unwrap(), spec, MemoryVaultStore::new())
    }

    fn on(server: DevServer, spec: VaultSpec, store: MemoryVaultStore) -> Self {
        server.add_account(OWNER, "account", None).unwrap();
        let vault = server.add_vault(spec).unwrap();
        Self {
            token: server.issue_token(OWNER).unwrap(),
            cipher: server.cipher(&vault).unwrap(),
            store,
            state: MemoryStateStore::new(),
            options: SyncOptions {
                device: "box".into(),
                ..SyncOptions::default()
            },
            stop: CancellationToken::new(),
            // So long that a busy machine never meets it; where the service hangs, see `flight`.
            patience: Duration::from_secs(60),
            server,
            vault,
        }
    }

    pub(crate) fn put(&self, path: &str, content: &str) -> Uid {
        self.server
            .put(&self.vault, path, content.as_bytes(), MTIME)
            .unwrap()
    }

    pub(crate) fn put_bytes(&self, path: &str, content: &[u8]) -> Uid {
        self.server.put(&self.vault, path, content, MTIME).unwrap()
    }

    pub(crate) fn delete(&self, path: &str) {
        self.server.delete(&self.vault, path).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        self.server.rename(&self.vault, from, to).unwrap();
    }

    pub(crate) fn mkdir(&self, path: &str) {
        self.server.mkdir(&self.vault, path).unwrap();
    }

    pub(crate) fn connector(&self) -> Connector {
        let vault = Vault {
            id: self.vault.clone(),
            name: "Notes".into(),
            host: self.server.host(),
            region: String::new(),
            salt: String::new(),
            encryption_version: self.cipher.version().number(),
            created: Millis(0),
            size: 0,
            managed_password: None,
            shared: false,
        };
        let limit = self.patience;
        let deadlines = Deadlines {
            upgrade: limit,
            init: limit,
            answer: limit,
            piece: limit,
            silence: limit,
            heartbeat: limit / 4,
            ..Deadlines::default()
        };
        Connector::new(&vault, self.token.clone(), &self.cipher)
            .unwrap()
            .deadlines(deadlines)
    }

    pub(crate) fn run_with(
        &self,
        store: Arc<dyn VaultStore>,
        state: Arc<dyn StateStore>,
    ) -> SyncRun {
        SyncRun {
            vault: self.vault.clone(),
            vault_name: "Notes".into(),
            connector: self.connector(),
            cipher: self.cipher.clone(),
            store,
            state,
            options: self.options.clone(),
            budget: Budget::default(),
            progress: Arc::new(Silent),
            clock: Arc::new(FixedClock(NOW)),
            stop: self.stop.clone(),
        }
    }

    pub(crate) fn sync_run(&self) -> SyncRun {
        self.run_with(Arc::new(self.store.clone()), Arc::new(self.state.clone()))
    }

    /// A run over stores that fail, or are slow, as is said.
    pub(crate) fn run_under(&self, faults: &Faults) -> SyncRun {
        let store = FailingVaultStore::new(self.store.clone(), faults.clone());
        let state = FailingStateStore::new(self.state.clone(), faults.clone());
        self.run_with(Arc::new(store), Arc::new(state))
    }

    pub(crate) async fn try_sync(&self) -> Result<Report, SyncError> {
        self.sync_run().run().await
    }

    /// Runs, and expects nothing to be left.
    #[track_caller]
    pub(crate) fn sync(&self) -> impl Future<Output = Report> + use<'_> {
        let caller = std::panic::Location::caller();
        async move {
            let report = self
                .try_sync()
                .await
                .unwrap_or_else(|error| panic!("{caller}: {error}"));
            let complete = report.status == obsync_core::report::Status::Complete;
            assert!(complete, "{caller}: {report:?}");
            report
        }
    }

    /// Runs while time flies: a minute passes as soon as nothing else happens. Says how long it took.
    pub(crate) async fn flight(
        &self,
        run: SyncRun,
        what: &str,
    ) -> (Result<Report, SyncError>, Duration) {
        /// No run over a handful of files takes longer, whatever goes wrong.
        const LONGEST: Duration = Duration::from_secs(2 * 3600);
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let ended = tokio::time::timeout(LONGEST, run.run()).await;
        let took = began.elapsed();
        tokio::time::resume();
        let ended = ended.unwrap_or_else(|_| panic!("{what}: does not end"));
        (ended, took)
    }

    /// The destination's files as text.
    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
        self.store
            .files()
            .into_iter()
            .map(|(path, bytes)| (path, text(bytes)))
            .collect()
    }

    /// Expects the destination to be the vault.
    #[track_caller]
    pub(crate) fn expect_same(&self) {
        let vault = self.server.tree(&self.vault).unwrap();
        let here: BTreeMap<String, Vec<u8>> = self
            .store
            .files()
            .into_iter()
            .map(|(path, bytes)| (path, bytes.to_vec()))
            .collect();
        assert!(
            vault == here,
            "vault {:?} differs from {:?}",
            vault.keys(),
            here.keys()
        );
    }

    #[track_caller]
    pub(crate) fn expect_files(&self, expected: &[(&str, &str)]) {
        let expected: BTreeMap<String, String> = expected
            .iter()
            .map(|(path, text)| ((*path).into(), (*text).into()))
            .collect();
        assert_eq!(self.files(), expected);
    }

    /// Files pulled from the service since the last call.
    pub(crate) fn pulls(&self) -> u64 {
        let pulled = self.server.stats().pulled();
        self.server.reset_stats();
        pulled
    }
}

/// Remembers the events of a run.
#[derive(Default)]
pub(crate) struct Recorder(pub(crate) Mutex<Vec<String>>);

impl Progress for Recorder {
    fn event(&self, event: Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

type Glance = Box<dyn Fn(&Event<'_>) -> bool + Send + Sync>;
type Deed = Box<dyn FnOnce() + Send>;

/// Does something in the middle of a run: at the first event of a kind.
pub(crate) struct Once {
    at: Glance,
    deed: Mutex<Option<Deed>>,
}

impl Once {
    pub(crate) fn at(
        at: impl Fn(&Event<'_>) -> bool + Send + Sync + 'static,
        deed: impl FnOnce() + Send + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            at: Box::new(at),
            deed: Mutex::new(Some(Box::new(deed))),
        })
    }

    /// Whether it was done.
    pub(crate) fn done(&self) -> bool {
        self.deed.lock().unwrap().is_none()
    }
}

impl Progress for Once {
    fn event(&self, event: Event<'_>) {
        if (self.at)(&event)
            && let Some(deed) = self.deed.lock().unwrap().take()
        {
            deed();
        }
    }
}
