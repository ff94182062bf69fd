//! [`Gate`]: what stands before every effect.

use async_trait::async_trait;
use obsync_core::StoreError;

/// Lets only the holder of the lease through.
#[async_trait]
pub(crate) trait Gate: Send + Sync {
    /// Takes the lease before the first effect; afterwards checks that it has not run out.
    async fn enter(&self) -> Result<(), StoreError>;

    /// Asks S3 whether the lease is still ours: before a failed condition is called a local edit,
    /// since a stale run must not take a newer run's objects for one.
    async fn confirm(&self) -> Result<(), StoreError>;
}
