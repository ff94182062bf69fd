//! Times and allocations of what one core does with names and keys.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _};
use obsidian_sync::Password;
use obsidian_sync::crypto::VaultKey;
use serde::Serialize;

use crate::Result;
use crate::work::{cipher, decode, sealed};

const RECORDS: u64 = 100_000;
const ROUNDS: usize = 5;

/// What the bench shows.
#[derive(Debug, Serialize)]
struct Measured {
    records: u64,
    /// Decoding them, in milliseconds.
    decode_ms: f64,
    decode_allocations: u64,
    decode_peak_bytes: u64,
    /// The AES blocks that the decoding can't do without, in milliseconds.
    aes_ms: f64,
    derivation_ms: f64,
    derivation_allocations: u64,
    derivation_peak_bytes: u64,
}

pub(crate) fn print() -> Result<()> {
    let cipher = cipher();
    let records = sealed(&cipher, RECORDS);
    let lengths: Vec<usize> = records
        .iter()
        .flat_map(|record| [&record.path, &record.hash])
        // In hex, behind 16 bytes of tag.
        .map(|name| name.as_str().len() / 2 - 16)
        .collect();
    let decoding = allocation_counter::measure(|| decode(&cipher, &records));
    let derivation = allocation_counter::measure(derive);
    let measured = Measured {
        records: RECORDS,
        decode_ms: median(|| decode(&cipher, &records)),
        decode_allocations: decoding.count_total,
        decode_peak_bytes: decoding.bytes_max,
        aes_ms: median(|| bare_aes(&lengths)),
        derivation_ms: median(derive),
        derivation_allocations: derivation.count_total,
        derivation_peak_bytes: derivation.bytes_max,
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&measured)?)?;
    Ok(())
}

fn derive() {
    black_box(VaultKey::derive(
        &Password::new("secret"),
        "0123456789abcdef",
    ));
}

/// The middle one of some times, in milliseconds.
fn median(work: impl Fn()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

/// For each name, as AES-SIV has it: a chain of blocks to authenticate (each waits for the last),
/// and the key stream, whose blocks go side by side.
fn bare_aes(lengths: &[usize]) {
    let aes = Aes256::new(&Array::from([7; 32]));
    for length in lengths {
        let blocks = length.div_ceil(16);
        let mut chain = Array::from([1; 16]);
        for _ in 0..blocks {
            aes.encrypt_block(&mut chain);
        }
        let mut stream = [chain; 8];
        aes.encrypt_blocks(&mut stream[..blocks.min(8)]);
        black_box(stream);
    }
}
