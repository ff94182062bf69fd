//! What obsync achieves, measured beside what is possible: one table, each line a comparison
//! within one run on one machine. `make bench`, or `cargo run --release -p obsync-bench -- notes`.
//!
//! The service runs in this process. The client runs in a child of its own (this program again),
//! so that its processor time and memory are its own. See [`work`] for what is measured.

mod bed;
mod child;
mod table;
mod work;

use clap::Parser as _;

use crate::bed::Bed;
use crate::table::Table;
use crate::work::Work;

/// What a step of the bench may fail with: it ends the bench.
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
    if std::env::args().nth(1).as_deref() == Some(child::NAME) {
        return child::main().await;
    }
    let Arguments { only, quick } = Arguments::parse();
    let mut bed = Bed::start(quick).await?;
    let mut table = Table::begin()?;
    for work in Work::ALL {
        if only.is_empty() || only.contains(&work) {
            work.measure(&mut bed, &mut table).await?;
        }
    }
    bed.end()?;
    if only.is_empty() && !quick {
        table.save()?;
    }
    Ok(())
}
