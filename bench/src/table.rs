//! The table: lines that compare, printed as they come and saved as JSON.

use std::io::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::Result;

/// One comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// What was done.
    pub(crate) what: String,
    /// What came out; `None` where this system does not tell.
    pub(crate) measured: Option<f64>,
    pub(crate) unit: &'static str,
    /// What it is compared with, measured or computed in the same run, in the same unit.
    pub(crate) bound: f64,
    /// What the bound is.
    pub(crate) beside: String,
    pub(crate) aim: Aim,
    /// What else was seen.
    pub(crate) note: String,
}

/// What is to be reached.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    /// At least so much of the bound.
    Share(f64),
    /// No more than this, in the line's unit.
    Most(f64),
    /// None: shown for comparison.
    Look,
}

impl Line {
    fn share(&self) -> Option<f64> {
        self.measured.map(|measured| measured / self.bound)
    }

    fn met(&self) -> bool {
        match (self.aim, self.measured, self.share()) {
            (Aim::Share(least), _, Some(share)) => share >= least,
            (Aim::Most(most), Some(measured), _) => measured <= most,
            _ => true,
        }
    }

    fn row(&self) -> [String; 6] {
        let unit = self.unit;
        let verdict = if self.met() { "met" } else { "MISSED" };
        [
            self.what.clone(),
            self.measured
                .map_or("n/a".into(), |it| format!("{it:.1} {unit}")),
            format!("{:.1} {}", self.bound, self.beside),
            self.share()
                .map_or("n/a".into(), |it| format!("{:.1} %", 100.0 * it)),
            match self.aim {
                Aim::Share(least) => format!("≥ {:.0} %: {verdict}", 100.0 * least),
                Aim::Most(most) => format!("≤ {most:.0} {unit}: {verdict}"),
                Aim::Look => "-".to_owned(),
            },
            self.note.clone(),
        ]
    }
}

const HEAD: [&str; 6] = ["what", "measured", "beside", "share", "aim", "note"];
const WIDTHS: [usize; 5] = [42, 14, 41, 8, 18];

/// All lines so far.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Table {
    lines: Vec<Line>,
}

impl Table {
    /// Prints the head.
    pub(crate) fn begin() -> Result<Self> {
        print(&HEAD.map(str::to_owned))?;
        Ok(Self::default())
    }

    /// Prints a line and keeps it.
    pub(crate) fn add(&mut self, line: Line) -> Result<()> {
        print(&line.row())?;
        self.lines.push(line);
        Ok(())
    }

    /// Writes `results/latest.json` beside the sources, which Cargo tells at run time.
    pub(crate) fn save(&self) -> Result<()> {
        let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or("bench".into());
        let file = PathBuf::from(crate_folder).join("results/latest.json");
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(std::fs::write(file, text)?)
    }
}

fn print(row: &[String; 6]) -> Result<()> {
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
        for (measured, aim, met) in [
            (Some(9.0), Aim::Share(0.9), true),
            (Some(8.9), Aim::Share(0.9), false),
            (Some(96.0), Aim::Most(96.0), true),
            (Some(96.1), Aim::Most(96.0), false),
            (None, Aim::Most(96.0), true),
        ] {
            let (what, beside, note) = Default::default();
            let line = Line {
                what,
                measured,
                unit: "s",
                bound: 10.0,
                beside,
                aim,
                note,
            };
            assert_eq!(line.met(), met, "{measured:?} {aim:?}");
        }
    }
}
