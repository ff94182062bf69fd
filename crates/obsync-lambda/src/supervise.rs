//! Work that is not trusted to end, and to end well.

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::answer::VaultError;
use crate::ended::Fault;
use crate::logging;

/// Runs work apart from everything else, until it ends or the time is over.
pub(crate) async fn supervise<T: Send + 'static>(
    until: Instant,
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    let task = AbortOnDropHandle::new(tokio::spawn(work));
    match tokio::time::timeout_at(until, task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            let text = match error.try_into_panic() {
                Ok(panic) => logging::panic_text(&*panic),
                Err(_) => "it was aborted".to_owned(),
            };
            let message = format!("a bug in obsync stopped this vault's run: {text}");
            Err(Fault::GaveUp(VaultError::new("internal", message)))
        }
        Err(_) => {
            let message = "the run could not be ended in time; what was saved stays, and the next \
                           run looks at the rest again";
            Err(Fault::GaveUp(VaultError::new("timeout", message)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_run_that_hangs_or_panics_is_a_failure() {
        let soon = || Instant::now() + Duration::from_secs(5);
        let fine = supervise(soon(), async { Ok(7) }).await;
        assert_eq!(fine.unwrap(), 7);

        let dropped = Arc::new(());
        let held = Arc::clone(&dropped);
        let hang = async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok(())
        };
        let fault = supervise(soon(), hang).await.unwrap_err();
        let error = told(fault);
        assert_eq!((error.kind, error.retryable), ("timeout", true));
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&dropped), 1, "it does not go on");

        let fault = supervise(soon(), async { panic_of(7) });
        let error = told(fault.await.unwrap_err());
        assert_eq!(error.kind, "internal");
        assert!(error.message.ends_with(": no such case: 7"), "{error:?}");
    }

    fn told(fault: Fault) -> VaultError {
        match fault {
            Fault::GaveUp(error) => error,
            Fault::Stopped | Fault::Error(_) => panic!("{fault:?}"),
        }
    }

    fn panic_of(case: u32) -> Result<(), Fault> {
        panic!("no such case: {case}")
    }
}
