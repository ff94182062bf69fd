//! The real `bootstrap` under a Lambda runtime of ours, with the dev server and a bucket.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deadlines;
mod events;
mod queue;
mod scratch;
mod secret;
mod trouble;
mod warm;
mod world;
mod zip;
