//! A state that takes no more: the run ends by itself, and does not claim success.

use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use obsync_core::memory::MemoryStateStore;
use obsync_core::report::Status;
use obsync_core::{
    Batch, Contents, Counts, FileMeta, Header, RunStatus, StateStore, StoreError, Unapplied,
    VaultPath,
};

use crate::bench::Bench;

/// Hangs for ever when it is told of files that are in place.
struct Stuck(MemoryStateStore);

#[async_trait]
impl StateStore for Stuck {
    async fn header(&self) -> Result<Header, StoreError> {
        self.0.header().await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.0.counts().await
    }

    async fn load(&self) -> Result<Contents, StoreError> {
        self.0.load().await
    }

    async fn intents(&self) -> Result<Vec<(VaultPath, FileMeta)>, StoreError> {
        self.0.intents().await
    }

    async fn unapplied(&self) -> Result<Vec<Unapplied>, StoreError> {
        self.0.unapplied().await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if !batch.set.is_empty() {
            // From here on time passes as fast as it can.
            tokio::time::pause();
            pending::<()>().await;
        }
        self.0.commit(batch).await
    }

    async fn status(&self) -> Result<RunStatus, StoreError> {
        self.0.status().await
    }

    async fn set_status(&self, status: &RunStatus) -> Result<(), StoreError> {
        self.0.set_status(status).await
    }
}

#[tokio::test]
async fn a_last_commit_that_hangs_is_no_success() {
    let bench = Bench::new().await;
    bench.put("a.md", "A");
    let state = Arc::new(Stuck(bench.state.clone()));
    let run = bench.run_with(Arc::new(bench.store.clone()), state);
    let report = run.run().await.unwrap();
    assert_eq!(report.status, Status::Failed);
    assert!(report.error.is_some(), "{report:?}");
    assert_eq!(bench.state.status().await.unwrap().last_success, None);
    tokio::time::resume();
    bench.sync().await;
    bench.expect_same();
}
