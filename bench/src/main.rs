//! What obsync achieves, measured beside what is possible: one table, each line a comparison
//! within one run on one machine. `make bench`, or `cargo run --release -p obsync-bench -- notes`.
//!
//! The service runs in this process. The client runs in a child of its own (this program again),
//! so that its processor time and memory are its own. See [`work`] for what is measured.

mod bed;
mod child;
mod table;
mod work;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

use crate::bed::Bed;
use crate::table::Table;
use crate::work::Work;

/// What a step of the bench may fail with: it ends the bench.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures obsync, and prints a table beside the bounds.
#[derive(Debug, Parser)]
#[command(name = "obsync-bench")]
struct Arguments {
    /// What to measure; everything by default
    #[arg(value_enum)]
    only: Vec<Work>,

    /// Measure less of it: for a look at whether all works, not for figures
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some(child::NAME) => runtime().and_then(|runtime| runtime.block_on(child::main())),
        _ => {
            let arguments = Arguments::parse();
            runtime().and_then(|runtime| runtime.block_on(measure(&arguments)))
        }
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// As the command line has it.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

async fn measure(arguments: &Arguments) -> Result<ExitCode> {
    let whole = arguments.only.is_empty() && !arguments.quick;
    let mut bed = Bed::start(arguments.quick).await?;
    let mut table = Table::begin()?;
    for work in Work::ALL {
        if arguments.only.is_empty() || arguments.only.contains(&work) {
            for line in work.lines(&mut bed).await? {
                table.add(line)?;
            }
        }
    }
    if whole {
        table.save()?;
    }
    Ok(ExitCode::SUCCESS)
}
