//! [`FailingStateStore`].

use async_trait::async_trait;

use super::{Faults, Op, effect};
use crate::path::VaultPath;
use crate::state::{Batch, Contents, Counts, Header, RunStatus, StateStore, Unapplied};
use crate::store::{FileMeta, StoreError};

/// A state store that fails as [`Faults`] says.
#[derive(Debug)]
pub struct FailingStateStore<S> {
    inner: S,
    faults: Faults,
}

impl<S> FailingStateStore<S> {
    /// Wraps a store.
    pub fn new(inner: S, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// The wrapped store.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

#[async_trait]
impl<S: StateStore> StateStore for FailingStateStore<S> {
    async fn header(&self) -> Result<Header, StoreError> {
        self.faults.alive()?;
        self.inner.header().await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.faults.alive()?;
        self.inner.counts().await
    }

    async fn load(&self) -> Result<Contents, StoreError> {
        self.faults.alive()?;
        self.inner.load().await
    }

    async fn intents(&self) -> Result<Vec<(VaultPath, FileMeta)>, StoreError> {
        self.faults.alive()?;
        self.inner.intents().await
    }

    async fn unapplied(&self) -> Result<Vec<Unapplied>, StoreError> {
        self.faults.alive()?;
        self.inner.unapplied().await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        effect!(
            self.faults,
            Op::Commit,
            None,
            self.inner.commit(batch).await
        )
    }

    async fn checkpoint(&self) -> Result<(), StoreError> {
        effect!(
            self.faults,
            Op::Checkpoint,
            None,
            self.inner.checkpoint().await
        )
    }

    async fn status(&self) -> Result<RunStatus, StoreError> {
        self.faults.alive()?;
        self.inner.status().await
    }

    async fn set_status(&self, status: &RunStatus) -> Result<(), StoreError> {
        effect!(
            self.faults,
            Op::SetStatus,
            None,
            self.inner.set_status(status).await
        )
    }
}
