//! Runs a target over its corpus, and over mutations of it.

use std::panic::{self, AssertUnwindSafe};

use crate::watch::Watch;
use crate::{Corpus, Mutator, Target};

/// An input that broke a target.
#[derive(Debug)]
pub struct Finding {
    /// The input.
    pub input: Vec<u8>,
    /// What the panic said.
    pub message: String,
}

/// Tries the whole corpus, then `count` inputs made from it and the seed. An input that takes for ever
/// ends the process, and is kept; so is one that ends it by itself.
///
/// # Errors
/// The first input that broke the target.
pub fn run(target: &Target, corpus: &Corpus, count: u64, seed: u64) -> Result<u64, Finding> {
    let mut mutator = Mutator::new(seed);
    let watch = Watch::new(target, corpus);
    for input in &corpus.inputs {
        watch.begins(input);
        attempt(target, input)?;
    }
    for _ in 0..count {
        let input = mutator.next(&corpus.inputs);
        watch.begins(&input);
        attempt(target, &input)?;
    }
    Ok(corpus.inputs.len() as u64 + count)
}

fn attempt(target: &Target, input: &[u8]) -> Result<(), Finding> {
    panic::catch_unwind(AssertUnwindSafe(|| (target.check)(input))).map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        Finding {
            input: input.to_vec(),
            message: text.unwrap_or_default(),
        }
    })
}
