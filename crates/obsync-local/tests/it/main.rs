//! The local stores against their contract, and against what only a real disk does.

//!
//! No test here starts another program: between fork and exec it would hold the locks of others.

// Helpers of tests may panic as tests do.
#![allow(clippy::unwrap_used)]

mod check;
mod conformance;
mod disk;
mod links;
mod privilege;
mod state;
mod support;
