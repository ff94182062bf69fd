//! A run that finds no change, beside the key derivation that every run begins with. It must not
//! touch the state, however much is in it.

use std::path::Path;
use std::time::SystemTime;

use super::{median, thousands};
use crate::Result;
use crate::bed::Bed;
use crate::table::{Aim, Line};

const ROUNDS: usize = 5;

pub(crate) async fn lines(bed: &mut Bed) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (full, aim) in [
        (1_000, Aim::Look),
        (10_000, Aim::Look),
        (100_000, Aim::Most(100.0)),
    ] {
        let files = bed.size(full);
        let (home, _) = bed.synced(files).await?;
        let database = home.database()?;
        let before = look(&database)?;
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(bed.sync(&home, 4, false).await?);
        }
        if look(&database)? != before {
            return Err("a run without changes wrote to the state".into());
        }
        let run = median(rounds, |run| run.cpu);
        if run.downloaded > 0 {
            return Err("a run without changes downloaded something".into());
        }
        lines.push(Line {
            what: format!("no change, {} files in state", thousands(files)),
            measured: Some(run.cpu * 1e3),
            unit: "ms CPU",
            bound: run.derivation * 1e3,
            beside: "key derivation".to_owned(),
            aim,
            note: format!("{:.0} ms wall; state untouched", run.wall * 1e3),
        });
    }
    Ok(lines)
}

fn look(file: &Path) -> Result<(Vec<u8>, SystemTime)> {
    Ok((std::fs::read(file)?, std::fs::metadata(file)?.modified()?))
}
