//! Fetching: N connections, one pull each, every content checked before it goes on.
//!
//! A job goes from the queue to a connection, is pulled, decrypted and checked, and is handed to a
//! put task that stages it at the destination. The bytes in between are bounded by the [`Budget`]: its
//! share is taken before the pull and given back when the content is staged.

mod fetch;
mod idle;
mod pool;
mod put;
mod queue;
mod rest;
mod work;

use std::sync::Arc;
use std::time::Duration;

use obsidian_sync::VaultVersion;
use obsidian_sync::client::Connector;
use obsidian_sync::crypto::VaultCipher;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::place::Placer;
use crate::plan::Target;
use crate::store::{Staged, Stamp, StoreError};

pub(crate) use idle::Idle;
pub(crate) use pool::run;
pub(crate) use put::PUTS;
pub(crate) use rest::Rest;

/// Where content comes from, and how much of it at a time.
pub(crate) struct Remote {
    pub(crate) connector: Connector,
    pub(crate) cipher: VaultCipher,
    /// The version that further connections announce, so that they get an empty backlog.
    pub(crate) version: VaultVersion,
    pub(crate) connections: usize,
    pub(crate) budget: Budget,
    /// How long a download that is on its way may still take after a stop.
    pub(crate) finishing: Duration,
}

/// Everything that fetching needs.
pub(crate) struct Context {
    remote: Remote,
    placer: Arc<Placer>,
    stop: CancellationToken,
    arrivals: mpsc::Sender<Arrival>,
    puts: put::Puts,
}

/// What became of one target.
pub(crate) struct Arrival {
    pub(crate) target: Target,
    /// Whether its bytes came over the network; not so for a second path with the same content.
    pub(crate) fetched: bool,
    pub(crate) outcome: Outcome,
    /// The targets that get the same content once this one is in its place.
    pub(crate) rest: Option<Rest>,
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
    pub(crate) fn new(
        remote: Remote,
        placer: Arc<Placer>,
        stop: CancellationToken,
        arrivals: mpsc::Sender<Arrival>,
    ) -> Self {
        Self {
            remote,
            placer,
            stop,
            arrivals,
            puts: put::Puts::new(),
        }
    }

    /// Resolves when what is on its way is to be dropped.
    async fn too_late(&self) {
        self.stop.cancelled().await;
        if !self.remote.finishing.is_zero() {
            tokio::time::sleep(self.remote.finishing).await;
        }
    }

    async fn arrive(&self, target: Target, fetched: bool, outcome: Outcome) {
        let rest = None;
        self.send(Arrival {
            target,
            fetched,
            outcome,
            rest,
        })
        .await;
    }

    /// The receiver is gone only when the run has ended; then nobody asks.
    async fn send(&self, arrival: Arrival) {
        let _ = self.arrivals.send(arrival).await;
    }
}
