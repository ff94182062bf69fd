//! What is measured: one file per workload, each giving lines of the table.

mod attachment;
mod idle;
mod memory;
mod notes;

use clap::ValueEnum;

use crate::Result;
use crate::bed::Bed;
use crate::table::Line;

/// A workload. The variants' descriptions are the help's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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

    pub(crate) async fn lines(self, bed: &mut Bed) -> Result<Vec<Line>> {
        match self {
            Self::Notes => notes::lines(bed).await,
            Self::Attachment => attachment::lines(bed).await,
            Self::Idle => idle::lines(bed).await,
            Self::Memory => memory::lines(bed).await,
        }
    }
}

/// The middle one of an odd number of measurements, by some figure.
fn median<T>(mut rounds: Vec<T>, figure: impl Fn(&T) -> f64) -> T {
    rounds.sort_by(|a, b| figure(a).total_cmp(&figure(b)));
    rounds.swap_remove(rounds.len() / 2)
}

/// A count for people: 100,000.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        let shown = [0, 12, 123, 1234, 123_456, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "12", "123", "1,234", "123,456", "1,234,567"]);
    }

    #[test]
    fn the_middle_one_is_taken() {
        assert_eq!(median(vec![3.0, 1.0, 2.0], |x| *x), 2.0);
    }
}
