//! The table: lines that compare, printed as they come.

use std::io::Write as _;

use serde::Serialize;

use crate::Result;
use crate::child::Memory;

/// One comparison.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Line {
    /// What was done.
    pub(crate) what: String,
    /// What came out; `None` where it could not be measured: the note says why.
    pub(crate) measured: Option<f64>,
    pub(crate) unit: Unit,
    /// What it is compared with, from the same run and in the same unit; `None` where that could not
    /// be measured.
    pub(crate) bound: Option<f64>,
    /// What the bound is.
    pub(crate) beside: String,
    pub(crate) against: Against,
    pub(crate) aim: Aim,
    /// The most that was resident at once in the process that did it.
    pub(crate) memory: Memory,
    /// What else was seen.
    pub(crate) note: String,
    /// Whether it is among the few that the README shows.
    #[serde(skip)]
    pub(crate) headline: bool,
    /// Where it is in the plot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) point: Option<Point>,
}

/// A first pull in numbers.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Point {
    pub(crate) round_trip_ms: u64,
    pub(crate) connections: usize,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) enum Unit {
    #[default]
    #[serde(rename = "files/s")]
    Files,
    #[serde(rename = "puts/s")]
    Puts,
    #[serde(rename = "MB/s")]
    Megabytes,
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Millis,
    #[serde(rename = "ms CPU")]
    MillisOfCpu,
    #[serde(rename = "MiB")]
    Mebibytes,
    #[serde(rename = "MB")]
    ZipMegabytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Files => "files/s",
            Self::Puts => "puts/s",
            Self::Megabytes => "MB/s",
            Self::Seconds => "s",
            Self::Millis => "ms",
            Self::MillisOfCpu => "ms CPU",
            Self::Mebibytes => "MiB",
            Self::ZipMegabytes => "MB",
        }
    }

    fn more_is_better(self) -> bool {
        matches!(self, Self::Files | Self::Puts | Self::Megabytes)
    }
}

/// What it is compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Against {
    /// What can't be passed, or what is done anyway: shown as a share of it.
    #[default]
    Bound,
    /// What people would use instead: shown as a factor, above 1 where we are better.
    Rival,
}

/// What is to be reached.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    /// At least so much of the bound.
    Share(f64),
    /// At least so many times as good as the rival.
    Factor(f64),
    /// No more than this, in the line's unit.
    Most(f64),
    /// None: shown for comparison.
    #[default]
    Look,
}

impl Line {
    /// Measured as a share of the bound, or as a factor of the rival's figure.
    fn ratio(&self) -> Option<f64> {
        let (measured, bound) = (self.measured?, self.bound?);
        Some(match self.against {
            Against::Rival if !self.unit.more_is_better() => bound / measured,
            _ => measured / bound,
        })
    }

    fn met(&self) -> Option<bool> {
        Some(match self.aim {
            Aim::Share(least) | Aim::Factor(least) => self.ratio()? >= least,
            Aim::Most(most) => self.measured? <= most,
            Aim::Look => return None,
        })
    }

    fn row(&self) -> [String; 7] {
        let unit = self.unit.name();
        let verdict = match self.met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not measured",
        };
        let or_not = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            self.what.clone(),
            or_not(self.measured.map(|it| format!("{} {unit}", figure(it)))),
            match self.bound {
                Some(bound) => format!("{} {}", figure(bound), self.beside),
                None => self.beside.clone(),
            },
            or_not(self.ratio().map(|ratio| match self.against {
                Against::Bound if self.unit.more_is_better() => format!("{:.1} %", 100.0 * ratio),
                Against::Bound => format!("{ratio:.2} of it"),
                Against::Rival => format!("{ratio:.1} ×"),
            })),
            match self.aim {
                Aim::Share(least) => format!("≥ {:.0} %: {verdict}", 100.0 * least),
                Aim::Factor(least) => format!("≥ {least:.0} ×: {verdict}"),
                Aim::Most(most) => format!("≤ {most:.0} {unit}: {verdict}"),
                Aim::Look => "-".to_owned(),
            },
            or_not(self.memory.peak.map(|peak| match self.memory.after_key {
                Some(after) => format!("{peak:.0} / {after:.0} MiB"),
                None => format!("{peak:.0} MiB"),
            })),
            self.note.clone(),
        ]
    }
}

/// Three digits or so.
fn figure(number: f64) -> String {
    match number.abs() {
        it if it < 10.0 => format!("{number:.2}"),
        it if it < 100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// The peak is that of the whole process and, behind the stroke, that after the key derivation.
const HEAD: [&str; 7] = [
    "what",
    "measured",
    "beside",
    "ratio",
    "aim",
    "peak / after key",
    "note",
];
const WIDTHS: [usize; 6] = [52, 13, 58, 10, 20, 16];

/// All lines so far.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Table {
    schema: u32,
    cores: usize,
    pub(crate) lines: Vec<Line>,
    /// Works that did not come to their end, and why.
    pub(crate) failed: Vec<String>,
}

impl Table {
    /// Prints the head.
    pub(crate) fn begin() -> Result<Self> {
        print(&HEAD.map(str::to_owned))?;
        Ok(Self {
            schema: 3,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            ..Self::default()
        })
    }

    /// Prints a line and keeps it.
    pub(crate) fn add(&mut self, line: Line) -> Result<()> {
        print(&line.row())?;
        self.lines.push(line);
        Ok(())
    }

    /// Prints that a work failed, and keeps that.
    pub(crate) fn fail(&mut self, what: &str, why: &str) -> Result<()> {
        writeln!(std::io::stdout(), "{what}: FAILED: {why}")?;
        self.failed.push(format!("{what}: {why}"));
        Ok(())
    }

    /// The lines that the README shows, as a Markdown table.
    pub(crate) fn headlines(&self) -> String {
        let mut text =
            "| work | obsync | beside | | peak memory / after the key derivation |\n|---|---|---|---|---|\n".to_owned();
        for line in self.lines.iter().filter(|line| line.headline) {
            let [what, measured, beside, ratio, _, memory, _] = line.row();
            text += &format!("| {what} | {measured} | {beside} | {ratio} | {memory} |\n");
        }
        text
    }
}

fn print(row: &[String; 7]) -> Result<()> {
    let mut text = String::new();
    for (cell, width) in row.iter().zip(WIDTHS) {
        text.push_str(&format!("{cell:<width$} "));
    }
    text.push_str(&row[WIDTHS.len()]);
    writeln!(std::io::stdout(), "{}", text.trim_end())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aims_are_judged() {
        let (bound, rival) = (Against::Bound, Against::Rival);
        for (measured, unit, against, aim, met) in [
            (Some(9.0), Unit::Files, bound, Aim::Share(0.9), Some(true)),
            (Some(8.9), Unit::Files, bound, Aim::Share(0.9), Some(false)),
            (Some(96.0), Unit::Millis, bound, Aim::Most(96.0), Some(true)),
            (
                Some(96.1),
                Unit::Millis,
                bound,
                Aim::Most(96.0),
                Some(false),
            ),
            (None, Unit::Millis, bound, Aim::Most(96.0), None),
            (
                Some(9.0),
                Unit::Seconds,
                rival,
                Aim::Factor(1.0),
                Some(true),
            ),
            (
                Some(11.0),
                Unit::Seconds,
                rival,
                Aim::Factor(1.0),
                Some(false),
            ),
            (Some(11.0), Unit::Puts, rival, Aim::Factor(1.0), Some(true)),
            (Some(11.0), Unit::Puts, rival, Aim::Look, None),
        ] {
            let line = Line {
                measured,
                unit,
                against,
                aim,
                bound: Some(10.0),
                ..Line::default()
            };
            assert_eq!(line.met(), met, "{measured:?} {aim:?}");
        }
    }
}
