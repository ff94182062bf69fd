//! What is measured: one file per workload, each adding lines to the table.

mod attachment;
mod idle;
mod lambda;
mod memory;
mod names;
mod notes;
mod rival;
mod s3;
mod state;
mod vault;

use std::time::Duration;

use crate::Result;
use crate::bed::Bed;
use crate::table::Table;

/// A workload. The variants' descriptions are the help's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Work {
    /// Many small notes over a slow line: files a second
    Notes,
    /// A real vault, or one made up: seconds
    Vault,
    /// Large files over a fast line: bytes a second
    Attachment,
    /// A run that finds no change: processor time
    Idle,
    /// Peak memory of the largest runs
    Memory,
    /// Many small notes to S3: puts a second
    S3,
    /// Loading the state and committing to it
    State,
    /// Decoding names, deriving keys: one core
    Names,
    /// The Lambda function: cold start, events, size
    Lambda,
}

impl Work {
    pub(crate) const ALL: [Self; 9] = [
        Self::Notes,
        Self::Vault,
        Self::Attachment,
        Self::Idle,
        Self::Memory,
        Self::S3,
        Self::State,
        Self::Names,
        Self::Lambda,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Notes => "notes",
            Self::Vault => "vault",
            Self::Attachment => "attachment",
            Self::Idle => "idle",
            Self::Memory => "memory",
            Self::S3 => "s3",
            Self::State => "state",
            Self::Names => "names",
            Self::Lambda => "lambda",
        }
    }

    /// What it may take: some times what it takes on two quiet cores.
    pub(crate) fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Notes => 1_800,
            Self::Vault | Self::S3 => 300,
            Self::Attachment | Self::Idle | Self::Memory => 600,
            Self::State => 240,
            Self::Names | Self::Lambda => 60,
        })
    }

    pub(crate) async fn measure(self, bed: &mut Bed, table: &mut Table) -> Result<()> {
        match self {
            Self::Notes => notes::measure(bed, table).await,
            Self::Vault => vault::measure(bed, table).await,
            Self::Attachment => attachment::measure(bed, table).await,
            Self::Idle => idle::measure(bed, table).await,
            Self::Memory => memory::measure(bed, table).await,
            Self::S3 => s3::measure(bed, table).await,
            Self::State => state::measure(bed, table).await,
            Self::Names => names::measure(table).await,
            Self::Lambda => lambda::measure(bed, table).await,
        }
    }
}

/// The middle one of an odd number of measurements, by some figure.
fn median<T>(mut rounds: Vec<T>, figure: impl Fn(&T) -> f64) -> T {
    rounds.sort_by(|a, b| figure(a).total_cmp(&figure(b)));
    rounds.swap_remove(rounds.len() / 2)
}

/// A count below a million, for people: 100,000.
fn thousands(count: u64) -> String {
    match count {
        0..1000 => count.to_string(),
        _ => format!("{},{:03}", count / 1000, count % 1000),
    }
}
