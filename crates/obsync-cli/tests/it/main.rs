//! The real binary, with a cleared environment, against the dev server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod account;
mod bad_input;
mod output;
mod s3;
mod sandbox;
mod sync;
