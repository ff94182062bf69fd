//! Random histories at each kind of destination.

use std::sync::Arc;
use std::time::{Duration, Instant};

use obsidian_sync::EncryptionVersion;
use obsync_core::Folding;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::op::{Op, history};
use crate::place::{Bucket, Folder, Memory, Place};
use crate::stage::Stage;
use crate::world::{TALLY, World};

/// The seed where nobody says another.
const SEED: u64 = 2_026_112_200;

/// Where a history plays.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    Memory,
    /// In memory, where names fold as on macOS.
    FoldingMemory,
    Folder,
    Bucket,
}

impl At {
    fn place(self, stage: &Stage) -> Arc<dyn Place> {
        let folds = Folding {
            case: true,
            unicode: true,
        };
        match self {
            Self::Memory => Arc::new(Memory::new(Folding::default())),
            Self::FoldingMemory => Arc::new(Memory::new(folds)),
            Self::Folder => Arc::new(Folder::new(&stage.vault)),
            Self::Bucket => Arc::new(Bucket::new(&stage.double, &stage.vault)),
        }
    }
}

/// Plays one history.
pub(crate) fn replay(stage: &Stage, at: At, history: &[Op]) -> Result<(), String> {
    let mut world = World::new(stage, at.place(stage));
    stage.block_on(world.play(history))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text:?}")),
    )
}

fn random(at: At, histories: u64) {
    let first = number("OBSYNC_SEED").unwrap_or(SEED);
    let histories = number("OBSYNC_HISTORIES").unwrap_or(histories);
    // A vault of each encryption scheme.
    let stages = [
        EncryptionVersion::V3,
        EncryptionVersion::V2,
        EncryptionVersion::V0,
    ];
    let stages = stages.map(Stage::of_version);
    let began = Instant::now();
    for seed in first..first + histories {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config {
            cases: 1,
            failure_persistence: None,
            max_shrink_iters: 600,
            max_shrink_time: 60_000,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let stage = &stages[(seed % stages.len() as u64) as usize];
        let tried = runner.run(&history(), |history| {
            replay(stage, at, &history).map_err(TestCaseError::fail)
        });
        match tried {
            Ok(()) => {}
            Err(TestError::Fail(why, smallest)) => panic!(
                "{why}\n\nthe smallest history at {at:?}, of OBSYNC_SEED={seed}:\n{smallest:#?}"
            ),
            Err(error) => panic!("OBSYNC_SEED={seed}: {error}"),
        }
    }
    told(at, first, histories, began.elapsed());
}

#[allow(
    clippy::print_stderr,
    reason = "the figures, for whoever asks with --nocapture"
)]
fn told(at: At, first: u64, histories: u64, took: Duration) {
    eprintln!(
        "{at:?}: {histories} histories from OBSYNC_SEED={first} in {took:.1?}; so far {TALLY:?}"
    );
}

#[test]
fn random_histories_in_memory() {
    random(At::Memory, 60);
}

#[test]
fn random_histories_where_names_fold() {
    random(At::FoldingMemory, 40);
}

#[test]
fn random_histories_in_a_folder() {
    random(At::Folder, 40);
}

#[test]
fn random_histories_in_a_bucket() {
    random(At::Bucket, 40);
}
