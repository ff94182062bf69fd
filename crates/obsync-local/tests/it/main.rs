//! The local stores against their contract, and against what only a real disk does.

// Helpers of tests may panic as tests do, and say what they skip.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod check;
mod conformance;
mod disk;
mod links;
mod state;
mod support;
