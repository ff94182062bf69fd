//! Work that blocks, kept off the threads that serve the network.

use obsync_core::{StoreError, StoreErrorKind};
use tokio::task::{JoinHandle, spawn_blocking};

/// A call that was started.
pub(crate) type Started<T> = JoinHandle<Result<T, StoreError>>;

/// Runs a blocking call on tokio's pool of threads for such.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    end(start(work)).await
}

/// Starts a blocking call there.
pub(crate) fn start<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Started<T> {
    spawn_blocking(work)
}

/// Waits for the end of a call that was started.
pub(crate) async fn end<T>(started: Started<T>) -> Result<T, StoreError> {
    match started.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => {
            Err(StoreError::new(StoreErrorKind::Other, "the program is ending").with_source(error))
        }
    }
}
