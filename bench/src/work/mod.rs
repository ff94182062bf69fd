//! What is measured: one file per workload, each adding lines to the table.

mod attachment;
mod idle;
mod memory;
mod notes;

use crate::Result;
use crate::bed::Bed;
use crate::table::Table;

/// A workload. The variants' descriptions are the help's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Work {
    /// Many small notes over a slow line: files a second
    Notes,
    /// One large file over a fast one: bytes a second
    Attachment,
    /// A run that finds no change: processor time
    Idle,
    /// Peak memory of the largest runs
    Memory,
}

impl Work {
    pub(crate) const ALL: [Self; 4] = [Self::Notes, Self::Attachment, Self::Idle, Self::Memory];

    pub(crate) async fn measure(self, bed: &mut Bed, table: &mut Table) -> Result<()> {
        match self {
            Self::Notes => notes::measure(bed, table).await,
            Self::Attachment => attachment::measure(bed, table).await,
            Self::Idle => idle::measure(bed, table).await,
            Self::Memory => memory::measure(bed, table).await,
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
