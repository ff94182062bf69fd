//! A run that finds no change, beside the key derivation that every run begins with. It must not
//! touch the state, however much is in it.

use super::{median, thousands};
use crate::Result;
use crate::bed::{Bed, DEFAULT_CONNECTIONS};
use crate::table::{Aim, Line, Table};

const ROUNDS: usize = 5;

pub(super) async fn measure(bed: &mut Bed, table: &mut Table) -> Result<()> {
    for full in [1_000, 10_000, 100_000] {
        let files = bed.size(full);
        let (home, _) = bed.synced(files).await?;
        let database = home.database()?;
        let look = || {
            Ok::<_, std::io::Error>((std::fs::read(&database)?, database.metadata()?.modified()?))
        };
        let before = look()?;
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(bed.sync(&home, DEFAULT_CONNECTIONS, false).await?);
        }
        if look()? != before || rounds.iter().any(|run| run.downloaded > 0) {
            return Err("a run without changes wrote to the state, or downloaded".into());
        }
        let run = median(rounds, |run| run.cpu);
        table.add(Line {
            what: format!("no change, {} files in state", thousands(files)),
            measured: Some(run.cpu * 1e3),
            unit: "ms CPU",
            bound: run.derivation * 1e3,
            beside: "key derivation".to_owned(),
            aim: if full == 100_000 {
                Aim::Most(100.0)
            } else {
                Aim::Look
            },
            note: format!("{:.0} ms wall; state untouched", run.wall * 1e3),
        })?;
    }
    Ok(())
}
