//! Fuzzing without a special toolchain: each [`Target`] reads untrusted bytes, and must neither
//! panic nor break what it promises. Inputs come from the kept corpus and from mutations of it, made
//! from a seed, so that every failure can be made again.
//!
//! `cargo test -p obsync-fuzz` runs a fixed count; the program runs on request for as long as one
//! likes: `cargo run --release -p obsync-fuzz -- frames --count 1000000 --seed 7`. What fails is
//! kept in the corpus, and is from then on a test.

#![allow(clippy::unwrap_used, reason = "a target's panic is its finding")]

mod corpus;
mod mutate;
mod run;
pub mod targets;
mod watch;

pub use corpus::Corpus;
pub use mutate::Mutator;
pub use run::{Finding, run};

/// Something that reads what others wrote.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and its folder in the corpus.
    pub name: &'static str,
    /// Inputs to try in the tests: fewer where each is dear.
    pub count: u32,
    /// Tries one input; panics if a promise is broken.
    pub check: fn(&[u8]),
}
