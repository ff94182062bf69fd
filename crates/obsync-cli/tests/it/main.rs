//! The real binary, with a cleared environment, against the dev server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod account;
#[cfg(feature = "aws-profiles")]
mod aws;
mod bad_input;
mod doctor;
mod hostile;
mod killed;
mod memory;
mod output;
mod rclone;
mod s3;
mod sandbox;
mod secrets;
mod sync;
mod verify;
