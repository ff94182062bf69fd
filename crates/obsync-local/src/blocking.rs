//! Work that blocks, kept off the threads that serve the network.

use obsync_core::{StoreError, StoreErrorKind};

/// Runs a blocking call on tokio's pool of threads for such.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => {
            Err(StoreError::new(StoreErrorKind::Other, "the program is ending").with_source(error))
        }
    }
}
