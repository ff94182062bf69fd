//! The pulls of a run and nothing else: what the line and the service give on this machine now.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use obsidian_sync::{Uid, VaultVersion};
use serde::{Deserialize, Serialize};

use super::sync::{SyncJob, connector};
use crate::Result;

/// What to pull, over which connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PullJob {
    pub(crate) of: SyncJob,
    pub(crate) version: VaultVersion,
    pub(crate) uids: Vec<Uid>,
}

/// Opens all connections, then pulls; says how many seconds the pulls took.
pub(super) async fn run(job: PullJob) -> Result<f64> {
    let (connector, _) = connector(&job.of)?;
    let mut clients = Vec::new();
    for _ in 0..job.of.connections {
        clients.push(connector.connect(job.version, false).await?);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let uids: Arc<[Uid]> = job.uids.into();
    let start = Instant::now();
    let workers: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let (next, uids) = (Arc::clone(&next), Arc::clone(&uids));
            tokio::spawn(async move {
                while let Some(uid) = uids.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut pull = client.pull(*uid).await?;
                    while pull.piece().await?.is_some() {}
                }
                Ok::<_, obsidian_sync::Error>(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    Ok(start.elapsed().as_secs_f64())
}
