//! Instruction counts under valgrind, beside the budgets.
//!
//! A work is run twice, whole and only prepared; the difference is its own. Seeds of hash tables and
//! addresses make counts differ by a few thousandths from run to run.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::work::Work;

/// How far above its budget a count may be.
const TOLERANCE: f64 = 0.03;
/// Counts are kept in thousands: less is noise.
const UNIT: f64 = 1e3;
/// Set to this value, the variable makes missing tools a failure.
const REQUIRE: (&str, &str) = ("OBSYNC_BUDGETS", "require");

#[derive(Debug, Default, Serialize, Deserialize)]
struct Budgets {
    /// Thousands of instructions by the work's name.
    thousand_instructions: BTreeMap<String, u64>,
}

/// Prints counts beside budgets. Fails when one is above.
pub(crate) fn check(write: bool) -> Result<ExitCode> {
    if let Some(missing) = missing() {
        if std::env::var(REQUIRE.0).is_ok_and(|value| value == REQUIRE.1) {
            return Err(format!("the budgets can't be checked: {missing}").into());
        }
        writeln!(io::stderr(), "budgets not checked: {missing}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let file = file();
    let mut budgets: Budgets = match fs::read(&file) {
        Ok(text) => serde_json::from_slice(&text)?,
        Err(error) if write && error.kind() == io::ErrorKind::NotFound => Budgets::default(),
        Err(error) => return Err(format!("can't read {}: {error}", file.display()).into()),
    };
    let mut out = io::stdout();
    writeln!(
        out,
        "{:30} {:>14} {:>14}",
        "thousand instructions", "counted", "budget"
    )?;
    let mut above = 0;
    for work in Work::ALL {
        let count = (count(work)? / UNIT).round();
        let budget = budgets.thousand_instructions.get(work.name()).copied();
        let verdict = match budget {
            _ if write => "written".to_owned(),
            None => "NO BUDGET".to_owned(),
            Some(budget) => {
                let ratio = count / budget as f64 - 1.0;
                let word = match ratio {
                    _ if ratio > TOLERANCE => "ABOVE",
                    _ if ratio < -TOLERANCE => "lower the budget",
                    _ => "ok",
                };
                format!("{:+.2} % {word}", 100.0 * ratio)
            }
        };
        above += u32::from(verdict.ends_with("ABOVE") || budget.is_none() && !write);
        let shown = budget.map_or("-".to_owned(), |budget| budget.to_string());
        writeln!(out, "{:30} {count:>14} {shown:>14}  {verdict}", work.name())?;
        if write {
            let name = work.name().to_owned();
            budgets.thousand_instructions.insert(name, count as u64);
        }
    }
    if write {
        fs::write(&file, serde_json::to_string_pretty(&budgets)? + "\n")?;
    }
    if above > 0 {
        writeln!(
            out,
            "{above} above its budget by more than {:.0} %. Make it cheaper or, if it is worth \
             that, run `make budgets WRITE=1` and say why in the change.",
            100.0 * TOLERANCE
        )?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
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
