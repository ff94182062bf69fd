//! Standard error, shared: a progress bar, log lines and messages must not tear each other.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;

/// Writes to standard error, with the bar out of the way.
#[derive(Clone, Default)]
pub(crate) struct Screen(Arc<Mutex<Option<ProgressBar>>>);

impl Screen {
    /// Takes a bar to step around, or lets go of it.
    pub(crate) fn set_bar(&self, bar: Option<ProgressBar>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bar;
    }

    /// Writes text. A standard error that is gone is nobody's failure.
    pub(crate) fn write(&self, text: &str) {
        let bar = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let write = || drop(io::stderr().lock().write_all(text.as_bytes()));
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}
