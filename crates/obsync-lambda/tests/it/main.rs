//! The real `bootstrap` under a Lambda runtime of ours, with the dev server and a bucket.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what happened is shown when a test fails"
)]

mod deadlines;
mod events;
mod frozen;
mod proxy;
mod queue;
mod secret;
mod secrets;
mod trouble;
mod warm;
mod world;
mod zip;
