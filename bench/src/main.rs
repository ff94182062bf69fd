//! What obsync achieves, measured beside what is possible and beside what people would use instead:
//! one table, each line a comparison within one run on one machine. `make bench`, or
//! `make bench LINES="notes idle"` for some of it.
//!
//! The service runs in this process. What is measured runs in a child of its own (this program
//! again), so that its processor time and memory are its own. See [`work`] for what is measured.

mod bed;
mod bucket;
mod child;
mod official;
mod plot;
mod program;
mod results;
mod table;
mod work;

use std::io::Write as _;

use clap::Parser as _;

use crate::bed::Bed;
use crate::table::Table;
use crate::work::Work;

/// What a step of the bench may fail with: it ends its work.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures obsync, and prints a table beside the bounds.
#[derive(Debug, clap::Parser)]
#[command(name = "obsync-bench")]
struct Arguments {
    /// What to measure; everything by default
    #[arg(value_enum)]
    only: Vec<Work>,

    /// Measure less of it: for a look at whether all works, not for figures
    #[arg(long)]
    quick: bool,
}

// Many threads, as the command line has it: the child is this program too.
#[tokio::main]
async fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some(child::NAME) => return child::main().await,
        Some(bucket::NAME) => return bucket::main().await,
        _ => {}
    }
    let Arguments { only, quick } = Arguments::parse();
    let mut bed = Bed::start(quick).await?;
    let mut table = Table::begin()?;
    for work in Work::ALL {
        if !only.is_empty() && !only.contains(&work) {
            continue;
        }
        let measured = tokio::time::timeout(work.limit(), work.measure(&mut bed, &mut table)).await;
        // One that fails does not keep the others from being seen.
        match measured {
            Ok(Ok(())) => {}
            Ok(Err(error)) => table.fail(work.name(), &error.to_string())?,
            Err(_) => table.fail(work.name(), &format!("not done in {:?}", work.limit()))?,
        }
        bed.server.faults().set_latency(std::time::Duration::ZERO);
    }
    bed.end()?;
    if !table.failed.is_empty() {
        return Err(format!(
            "{} of the works failed; nothing was saved",
            table.failed.len()
        )
        .into());
    }
    if only.is_empty() && !quick {
        results::save(&table)?;
        writeln!(std::io::stdout(), "saved to bench/results and README.md")?;
    }
    Ok(())
}
