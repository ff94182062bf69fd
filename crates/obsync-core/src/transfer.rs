//! Fetching: N connections, one pull each, every content checked before it goes on.
//!
//! A job goes from the queue to a connection, is pulled, decrypted and checked, and is handed to a
//! put task that stages it at the destination. The bytes in between are bounded by the
//! [`Budget`](crate::budget::Budget): its share is taken before the pull and given back when the
//! content is staged.

mod fetch;
mod pool;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use obsidian_sync::VaultVersion;
use obsidian_sync::client::Connector;
use obsidian_sync::crypto::VaultCipher;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::budget::Budget;
use crate::place::Placer;
use crate::plan::Target;
use crate::progress::Progress;
use crate::store::{Staged, Stamp, StoreError, VaultStore};

pub(crate) use pool::run;

/// Puts that may run side by side: enough to hide a file's fsync behind others'.
const PUTS: usize = 16;

/// Everything that fetching needs.
pub(crate) struct Context {
    pub(crate) connector: Connector,
    pub(crate) cipher: VaultCipher,
    pub(crate) store: Arc<dyn VaultStore>,
    pub(crate) placer: Arc<Placer>,
    pub(crate) budget: Budget,
    pub(crate) connections: usize,
    /// The version that further connections announce, so that they get an empty backlog.
    pub(crate) version: VaultVersion,
    pub(crate) progress: Arc<dyn Progress>,
    pub(crate) stop: CancellationToken,
    /// How long after that a download that is on its way may still take.
    finishing: Duration,
    pub(crate) arrivals: mpsc::Sender<Arrival>,
    puts: Arc<Semaphore>,
    tasks: TaskTracker,
}

/// What became of one target.
pub(crate) struct Arrival {
    pub(crate) target: Target,
    /// Whether its bytes came over the network; not so for a second path with the same content.
    pub(crate) fetched: bool,
    pub(crate) outcome: Outcome,
}

pub(crate) enum Outcome {
    /// Checked, durable, not yet visible.
    Staged(Staged),
    /// In place already: the store marks its own files and needs no note of intent.
    Placed(Stamp),
    /// The destination did not take it.
    Store(StoreError),
    /// It could not be fetched.
    Failed(String),
    /// It was on its way when the run was told to stop.
    Unfinished {
        /// Whether the run could give it all its time.
        whole: bool,
    },
}

impl Context {
    #[expect(
        clippy::too_many_arguments,
        reason = "built in one place, all parts needed"
    )]
    pub(crate) fn new(
        connector: Connector,
        cipher: VaultCipher,
        placer: Arc<Placer>,
        budget: Budget,
        connections: usize,
        version: VaultVersion,
        stop: CancellationToken,
        finishing: Duration,
        arrivals: mpsc::Sender<Arrival>,
    ) -> Self {
        Self {
            connector,
            cipher,
            store: Arc::clone(&placer.store),
            progress: Arc::clone(&placer.progress),
            placer,
            budget,
            connections: connections.max(1),
            version,
            stop,
            finishing,
            arrivals,
            puts: Arc::new(Semaphore::new(PUTS)),
            tasks: TaskTracker::new(),
        }
    }

    /// Resolves when what is on its way is to be dropped.
    async fn too_late(&self) {
        self.stop.cancelled().await;
        if !self.finishing.is_zero() {
            tokio::time::sleep(self.finishing).await;
        }
    }

    /// Sends an arrival on. The receiver is gone only when the run has ended; then nobody asks.
    async fn arrive(&self, target: Target, fetched: bool, outcome: Outcome) {
        let _ = self
            .arrivals
            .send(Arrival {
                target,
                fetched,
                outcome,
            })
            .await;
    }
}
