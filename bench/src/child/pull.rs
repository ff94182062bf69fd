//! The pulls of a run and nothing else: what the line and the service give on this machine now.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::try_join_all;
use obsidian_sync::{Error, Uid, VaultVersion};

use super::Job;
use crate::Result;

/// Opens all connections, then pulls; says how many seconds the pulls took.
pub(super) async fn run(job: &Job, version: VaultVersion, uids: &[Uid]) -> Result<f64> {
    let (connector, _) = job.connector()?;
    let mut clients = Vec::new();
    for _ in 0..job.connections {
        clients.push(connector.connect(version, false).await?);
    }
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    try_join_all(clients.iter_mut().map(async |client| {
        while let Some(uid) = uids.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut pull = client.pull(*uid).await?;
            while pull.piece().await?.is_some() {}
        }
        Ok::<_, Error>(())
    }))
    .await?;
    Ok(start.elapsed().as_secs_f64())
}
