//! Standard error, shared: a progress bar, log lines and messages must not tear each other.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;
use tracing_subscriber::fmt::MakeWriter;

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

/// One log line.
pub(crate) struct Line {
    screen: Screen,
    bytes: Vec<u8>,
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.screen.write(&String::from_utf8_lossy(&self.bytes));
        }
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line {
            screen: self.clone(),
            bytes: Vec::new(),
        }
    }
}
