//! Long-running proofs: what obsync promises, under random histories.
//!
//! A history is a list of [`op::Op`]s: what other devices do to the vault, what a person does to
//! the copy, and runs between, some of them cut short. After each run the destination is compared
//! with a [`model`]. A history that fails is made smaller and printed; its place is then in
//! `regressions.rs`, under a name.
//!
//! `OBSYNC_HISTORIES` says how many histories are tried at each kind of destination, and
//! `OBSYNC_SEED` where they begin: history `n` of seed `s` is history 0 of seed `s + n`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod devices;
mod filters;
mod histories;
mod links;
mod model;
mod op;
mod place;
mod regressions;
mod stage;
mod world;
