//! Connections that nobody uses for a while. The service cuts those that are silent for a minute or so
//! (protocol section 4.5), so somebody has to say something on them.

use obsidian_sync::client::SyncClient;
use obsidian_sync::{Error, Kind};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

/// An open connection that waits for its work, and is kept alive meanwhile.
#[derive(Debug)]
pub(crate) struct Idle {
    task: AbortOnDropHandle<Result<SyncClient, Error>>,
    wanted: oneshot::Sender<()>,
}

impl Idle {
    pub(crate) fn new(mut client: SyncClient) -> Self {
        let (wanted, work) = oneshot::channel();
        let waiting = async move {
            // Dropped or sent: somebody wants it.
            let _ = meanwhile(&mut client, work).await?;
            Ok(client)
        };
        let task = tokio::spawn(waiting.in_current_span());
        Self {
            task: AbortOnDropHandle::new(task),
            wanted,
        }
    }

    /// The connection, if it is still there.
    pub(crate) async fn wake(self) -> Result<SyncClient, Error> {
        // Where the task has ended, its result says why.
        let _ = self.wanted.send(());
        match self.task.await {
            Ok(client) => client,
            Err(error) => {
                let what = "the task that kept a connection alive is gone";
                Err(Error::new(Kind::Network, what).with_source(error))
            }
        }
    }

    /// Says goodbye.
    pub(crate) async fn close(self) {
        if let Ok(client) = self.wake().await {
            client.close().await;
        }
    }
}

/// Waits for something else, and keeps a connection alive meanwhile. What is said on it is news for the
/// next run.
///
/// # Errors
/// What became of the connection; the wait is then given up.
pub(super) async fn meanwhile<T>(
    client: &mut SyncClient,
    wait: impl Future<Output = T>,
) -> Result<T, Error> {
    tokio::pin!(wait);
    loop {
        tokio::select! {
            biased;
            done = &mut wait => return Ok(done),
            notice = client.next() => drop(notice?),
        }
    }
}
