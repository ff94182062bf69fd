//! What obsync's pure parts cost, in instructions and allocations. Times differ from run to run and
//! from machine to machine; these counts hardly do, so that they can be held to a budget.
//!
//! `obsync-counts check` runs itself under valgrind and compares with `bench/budgets.json`;
//! `obsync-counts measure` prints times and allocations for the bench.

mod budget;
mod measure;
mod work;

use std::process::ExitCode;

use clap::Parser as _;

use crate::work::Work;

/// What a step may fail with: it ends the program.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Counts what obsync's pure parts cost.
#[derive(Debug, clap::Parser)]
#[command(name = "obsync-counts")]
enum Command {
    /// Compare instruction counts with the budgets
    Check {
        /// Make the counts the new budgets
        #[arg(long)]
        write: bool,
    },
    /// Print times and allocations as JSON
    Measure,
    /// Do one work: what is run under valgrind
    Run {
        #[arg(value_enum)]
        work: Work,
        /// Only prepare it
        #[arg(long)]
        prepare: bool,
    },
}

fn main() -> Result<ExitCode> {
    match Command::parse() {
        Command::Check { write } => return budget::check(write),
        Command::Measure => measure::print()?,
        Command::Run { work, prepare } => work::run(work, prepare),
    }
    Ok(ExitCode::SUCCESS)
}
