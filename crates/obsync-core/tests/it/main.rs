//! The engine against the local service: real protocol, real encryption, stores in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod bench;
mod changes;
mod crash;
mod edits;
mod endings;
mod failures;
mod feeds;
mod folded;
mod guards;
mod hostile;
mod looks;
mod network;
mod plans;
mod promises;
mod races;
mod restored;
mod side_by_side;
mod stuck;
mod told;
mod unfinished;
mod unusable;
mod verify;
mod waiting;
