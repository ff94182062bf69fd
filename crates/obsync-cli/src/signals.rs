//! Ctrl-C and SIGTERM → the one stop signal.

use tokio_util::sync::CancellationToken;

use crate::output::Printer;

/// 128 + SIGINT, as shells report it.
const INTERRUPTED: i32 = 130;

/// A token that the first signal cancels. The second one ends the process at once; a crash at any
/// instant is safe.
///
/// Called only when the work begins: until then, at prompts above all, a signal just ends it.
pub(crate) fn stop_signal(printer: &Printer) -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let (token, printer) = (stop.clone(), printer.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if token.is_cancelled() {
                std::process::exit(INTERRUPTED);
            }
            printer.line("stopping at a safe point; once more to stop at once");
            token.cancel();
        }
    });
    Ok(stop)
}
