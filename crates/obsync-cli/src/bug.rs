//! A panic is a bug of obsync's: what a person and a script are told of it.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, AssertUnwindSafe};

use crate::exit::{Exit, Failure};
use crate::output::Printer;

/// From here on, a panic tells where it was, and no more: its own words may quote what was at hand, and
/// that may be a secret.
pub(crate) fn tell(printer: &Printer) {
    let printer = printer.clone();
    panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string);
        printer.line(&format!(
            "a bug in obsync {}: it panicked at {}",
            env!("CARGO_PKG_VERSION"),
            place.unwrap_or_default()
        ));
        // Only where RUST_BACKTRACE asks for it. It names functions, not values.
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            for line in trace.to_string().lines() {
                printer.line(line);
            }
        }
    }));
}

/// Makes a failure of a panic, with one of the exit statuses that scripts know.
pub(crate) fn guard<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // Nothing that the work held is used afterwards.
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let failure = Failure::new(Exit::Failed, "bug", "a bug in obsync ended this command");
        Err(failure
            .hint("please report it, with the place that is named above and what you ran")
            .hint("nothing is lost: running again goes on where this run was"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::Screen;

    /// What tells the test below that it is the process that panics: the hook is the process's.
    const CHILD: &str = "OBSYNC_TEST_PANICS";

    fn panics() -> ! {
        tell(&Printer {
            command: "sync",
            json: false,
            quiet: true,
            json_lines: false,
            screen: Screen::default(),
        });
        let word = "marked-sécret";
        let failure = guard(|| Ok(word.split_at(9))).unwrap_err();
        assert_eq!(failure.exit, Exit::Failed);
        assert_eq!(failure.kind, "bug");
        std::process::exit(77);
    }

    #[test]
    fn a_panic_tells_where_it_was_and_not_what_it_quotes() {
        if std::env::var_os(CHILD).is_some() {
            panics();
        }
        let this = "bug::tests::a_panic_tells_where_it_was_and_not_what_it_quotes";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture"])
            .env(CHILD, "1")
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(77), "{said}");
        assert!(
            said.contains("a bug in obsync") && said.contains("panicked at"),
            "{said}"
        );
        assert!(!said.contains("marked"), "{said}");
    }
}
