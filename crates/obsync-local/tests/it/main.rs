//! The local stores against their contract, and against what only a real disk does.

mod conformance;
mod disk;
mod links;
mod state;
mod support;
