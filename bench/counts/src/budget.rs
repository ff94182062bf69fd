//! Instruction counts under valgrind, and allocations, beside the budgets.
//!
//! A work is run twice, whole and only prepared; the difference is its own. Seeds of hash tables and
//! addresses make counts differ by a few thousandths from run to run, another compiler by more.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::work::{self, Work};

/// How far from its budget a count may be. One that fell is to become the budget, or the gain could
/// be lost again unseen.
const TOLERANCE: f64 = 0.03;
/// The same, where another compiler built the program than the one that the budgets were taken with.
const OTHER_COMPILER: f64 = 0.15;
/// Counts are kept in thousands: less is noise.
const UNIT: f64 = 1e3;
/// Set to this value, the variable makes missing tools a failure.
const REQUIRE: (&str, &str) = ("OBSYNC_BUDGETS", "require");

#[derive(Debug, Default, Serialize, Deserialize)]
struct Budgets {
    /// The compiler that they were taken with.
    compiler: String,
    /// Thousands of instructions by the work's name.
    thousand_instructions: BTreeMap<String, u64>,
    /// Allocations by the work's name.
    allocations: BTreeMap<String, u64>,
}

/// Prints counts beside budgets. Fails when one is off.
pub(crate) fn check(write: bool) -> Result<ExitCode> {
    if let Some(missing) = missing() {
        if std::env::var(REQUIRE.0).is_ok_and(|value| value == REQUIRE.1) {
            return Err(format!("the budgets can't be checked: {missing}").into());
        }
        writeln!(io::stderr(), "budgets not checked: {missing}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let file = file();
    let budgets: Budgets = match fs::read(&file) {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(budgets) => budgets,
            // Of another form: what is set anew needs none.
            Err(_) if write => Budgets::default(),
            Err(error) => return Err(format!("can't read {}: {error}", file.display()).into()),
        },
        Err(error) if write && error.kind() == io::ErrorKind::NotFound => Budgets::default(),
        Err(error) => return Err(format!("can't read {}: {error}", file.display()).into()),
    };
    let mut counted = Budgets {
        compiler: compiler()?,
        ..Budgets::default()
    };
    for work in Work::ALL {
        let instructions = (count(work)? / UNIT).round() as u64;
        let name = || work.name().to_owned();
        counted.thousand_instructions.insert(name(), instructions);
        counted.allocations.insert(name(), work::allocations(work));
    }
    if write {
        fs::write(&file, serde_json::to_string_pretty(&counted)? + "\n")?;
    }
    let mut tolerance = TOLERANCE;
    if !write && budgets.compiler != counted.compiler {
        tolerance = OTHER_COMPILER;
        let (theirs, ours) = (&budgets.compiler, &counted.compiler);
        writeln!(
            io::stdout(),
            "The budgets are {theirs}'s; with {ours} a count may differ by more."
        )?;
    }
    let off = compare(
        "thousand instructions",
        &counted.thousand_instructions,
        &budgets.thousand_instructions,
        tolerance,
    )? + compare(
        "allocations",
        &counted.allocations,
        &budgets.allocations,
        tolerance,
    )?;
    if off > 0 && !write {
        writeln!(
            io::stdout(),
            "{off} differ from their budget by more than {:.0} %. Make it cheaper or, if it is worth \
             that or has become cheaper, run `make budgets WRITE=1` and say why in the change.",
            100.0 * tolerance
        )?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints counts beside their budgets; how many are off.
fn compare(
    what: &str,
    counted: &BTreeMap<String, u64>,
    budgets: &BTreeMap<String, u64>,
    tolerance: f64,
) -> Result<u32> {
    let mut out = io::stdout();
    writeln!(out, "{what:30} {:>14} {:>14}", "counted", "budget")?;
    let mut off = 0;
    for (name, count) in counted {
        let budget = budgets.get(name).copied();
        let ratio = budget.map(|budget| *count as f64 / budget as f64 - 1.0);
        let (verdict, fine) = judge(ratio, tolerance);
        off += u32::from(!fine);
        let shown = budget.map_or("-".to_owned(), |budget| budget.to_string());
        writeln!(out, "{name:30} {count:>14} {shown:>14}  {verdict}")?;
    }
    Ok(off)
}

/// What is said of a count, and whether that is fine; `ratio` is how far it lies above its budget.
fn judge(ratio: Option<f64>, tolerance: f64) -> (String, bool) {
    let Some(ratio) = ratio else {
        return ("NO BUDGET".to_owned(), false);
    };
    let (word, fine) = match ratio {
        _ if ratio > tolerance => ("ABOVE", false),
        _ if ratio < -tolerance => ("BELOW: lower the budget", false),
        _ => ("ok", true),
    };
    (format!("{:+.2} % {word}", 100.0 * ratio), fine)
}

/// As the compiler calls itself.
fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc).arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Why counts can't be taken here.
fn missing() -> Option<String> {
    if std::env::consts::ARCH != "x86_64" {
        return Some("they are for x86-64".to_owned());
    }
    let found = Command::new("valgrind").arg("--version").output();
    match found {
        Ok(output) if output.status.success() => None,
        _ => Some("valgrind is not installed".to_owned()),
    }
}

/// `bench/budgets.json`, beside this crate, whose place Cargo tells at run time.
fn file() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or("bench/counts".into());
    PathBuf::from(own).join("../budgets.json")
}

/// The instructions of a work by itself.
fn count(work: Work) -> Result<f64> {
    let (whole, prepared) = (start(work, false)?, start(work, true)?);
    Ok(collected(whole)? - collected(prepared)?)
}

fn start(work: Work, prepare: bool) -> Result<Child> {
    let work = clap::ValueEnum::to_possible_value(&work).ok_or("every work has a name")?;
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["run", work.get_name()])
        .args(prepare.then_some("--prepare"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    Ok(command.spawn()?)
}

/// Reads valgrind's last words: `==7== Collected : 1234`.
fn collected(child: Child) -> Result<f64> {
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    match collected {
        Some((_, count)) if output.status.success() => Ok(count.trim().parse()?),
        _ => Err(format!("valgrind failed, {}:\n{said}", output.status).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_rose_or_fell_is_off() {
        for (ratio, fine) in [
            (Some(0.0), true),
            (Some(0.029), true),
            (Some(0.031), false),
            (Some(-0.029), true),
            (Some(-0.031), false),
            (None, false),
        ] {
            assert_eq!(judge(ratio, TOLERANCE).1, fine, "{ratio:?}");
        }
    }
}
