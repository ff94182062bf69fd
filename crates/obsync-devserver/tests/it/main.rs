//! The dev server from outside: a raw client of its own, so that no code of ours speaks on both ends.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod client;
mod faults;
mod persist;
mod program;
mod requests;
mod rest;
mod sync;
mod vaults;
