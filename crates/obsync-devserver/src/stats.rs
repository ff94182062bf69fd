//! What clients did, counted, so that a test can say "downloads nothing".

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use obsidian_sync::{Uid, VaultId, VaultVersion};

/// Counts since the start, or since [`Service::reset_stats`](crate::Service::reset_stats).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// TCP connections accepted, REST included.
    pub tcp_connections: u64,
    /// Sync connections whose upgrade was asked for, refused ones included.
    pub upgrades: u64,
    /// Sync connections opened.
    pub sockets: u64,
    /// Sync connections open now.
    pub sockets_open: usize,
    /// The most that were open at once.
    pub sockets_max: usize,
    /// Every `init` that was answered with ok, in order.
    pub inits: Vec<InitSeen>,
    /// Answered pulls of each record.
    pub pulls: BTreeMap<VaultId, BTreeMap<Uid, u64>>,
    /// Sealed bytes handed out in pieces.
    pub bytes_pulled: u64,
    /// Pushes taken in, of clients only.
    pub pushes: u64,
    /// Of these, pushes whose content was not needed.
    pub deduplicated: u64,
    /// Requests to the sign-in, refused ones included.
    pub sign_in_attempts: u64,
    /// Sign-ins that gave a token.
    pub sign_ins: u64,
    /// REST requests by path, `OPTIONS` as `OPTIONS /path`.
    pub requests: BTreeMap<String, u64>,
    /// Requests on sync connections by `op`.
    pub ops: BTreeMap<String, u64>,
    /// Requests that were sent before the answer to the last one had left: the protocol allows one at a time.
    pub overlapping: u64,
}

/// One `init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitSeen {
    /// The vault.
    pub vault: VaultId,
    /// The version that the client has.
    pub version: VaultVersion,
    /// Whether it asked for the vault as it stands.
    pub initial: bool,
    /// What the client calls itself.
    pub device: String,
}

impl Stats {
    /// How many downloads were answered, over all vaults.
    pub fn pulled(&self) -> u64 {
        self.pulls.values().flat_map(BTreeMap::values).sum()
    }

    /// How often one record was downloaded.
    pub fn pulls_of(&self, vault: &VaultId, uid: Uid) -> u64 {
        self.pulls
            .get(vault)
            .and_then(|pulls| pulls.get(&uid))
            .copied()
            .unwrap_or(0)
    }

    /// REST requests to a path.
    pub fn requests_to(&self, path: &str) -> u64 {
        self.requests.get(path).copied().unwrap_or(0)
    }

    /// Requests on sync connections with this `op`.
    pub fn ops_of(&self, op: &str) -> u64 {
        self.ops.get(op).copied().unwrap_or(0)
    }
}

/// The counters behind a lock.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<Stats>);

impl Counters {
    pub(crate) fn get(&self) -> MutexGuard<'_, Stats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count_pull(&self, vault: &VaultId, uid: Uid, bytes: u64) {
        let mut stats = self.get();
        *stats
            .pulls
            .entry(vault.clone())
            .or_default()
            .entry(uid)
            .or_default() += 1;
        stats.bytes_pulled += bytes;
    }

    pub(crate) fn count_push(&self, deduplicated: bool) {
        let mut stats = self.get();
        stats.pushes += 1;
        stats.deduplicated += u64::from(deduplicated);
    }

    /// Starts counting anew; what is open stays open.
    pub(crate) fn reset(&self) {
        let mut stats = self.get();
        let open = stats.sockets_open;
        *stats = Stats {
            sockets_open: open,
            sockets_max: open,
            ..Stats::default()
        };
    }
}
