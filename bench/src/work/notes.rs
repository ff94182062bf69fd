//! Many small notes over a slow line. Each pull takes one round trip, so that N connections can
//! fetch N files a round trip and no more: `N / RTT` is the bound. Without a round trip the bound is
//! the same pulls with nothing done to what they bring.

use std::time::Duration;

use super::thousands;
use crate::Result;
use crate::bed::{Bed, DEFAULT_CONNECTIONS};
use crate::child::{Ran, Synced};
use crate::table::{Against, Aim, Line, Point, Unit};

const BYTES: usize = 2048;
/// Notes, round trip in milliseconds, connections: each takes some seconds.
const GRID: [(u64, u64, usize); 11] = [
    (500, 0, 4),
    (2_000, 0, 8),
    (10_000, 0, 8),
    (500, 30, 1),
    (500, 30, 4),
    (2_000, 30, 4),
    AIMED,
    (10_000, 30, 16),
    (500, 100, 4),
    (500, 100, 8),
    (2_000, 100, 16),
];
/// The one that the aims are for.
const AIMED: (u64, u64, usize) = (2_000, 30, 8);
/// The official client brings some 20 notes a second, so it gets the fewest.
const RIVAL_NOTES: u64 = 500;

pub(super) async fn measure(bed: &mut Bed, table: &mut crate::table::Table) -> Result<()> {
    for cell in GRID {
        for line in first_pull(bed, cell).await? {
            table.add(line)?;
        }
    }
    for trip in [0, 30, 100] {
        table.add(beside_the_official_client(bed, trip).await?)?;
    }
    Ok(())
}

async fn first_pull(bed: &mut Bed, cell: (u64, u64, usize)) -> Result<Vec<Line>> {
    let (full, trip, connections) = cell;
    let files = bed.size(full);
    let (home, uids) = bed.notes(files, BYTES)?;
    bed.server.faults().set_latency(Duration::from_millis(trip));
    let ran = bed.sync(&home, connections, true).await;
    let bare = match trip {
        0 => Some(bed.pull(&home, connections, uids).await),
        _ => None,
    };
    bed.server.faults().set_latency(Duration::ZERO);
    bed.drop_vault(&home)?;
    let (ran, bare) = (ran?, bare.transpose()?);
    let Ran {
        result: synced,
        memory,
        ..
    } = ran;

    let (bound, beside) = match bare {
        Some(seconds) => (files as f64 / seconds, "bare pulls".to_owned()),
        None => (
            connections as f64 / trip as f64 * 1e3,
            format!("= {connections} / {trip} ms"),
        ),
    };
    let what = format!("{} notes, {trip} ms, {connections} conn.", thousands(files));
    let steady = steady_rate(connections, &synced);
    let whole = Line {
        what: what.clone(),
        measured: Some(files as f64 / synced.wall),
        unit: Unit::Files,
        bound: Some(bound),
        beside: beside.clone(),
        memory,
        note: note(&synced, steady),
        point: Some(Point {
            round_trip_ms: trip,
            connections,
        }),
        ..Line::default()
    };
    if cell != AIMED {
        return Ok(vec![Line {
            headline: cell == (10_000, 30, 16),
            ..whole
        }]);
    }
    let once_open = Line {
        what: format!("{what}, once all are open"),
        measured: steady,
        unit: Unit::Files,
        bound: Some(bound),
        beside,
        aim: Aim::Share(0.9),
        memory,
        ..Line::default()
    };
    let whole = Line {
        aim: Aim::Share(0.8),
        headline: true,
        ..whole
    };
    Ok(vec![once_open, whole])
}

fn note(synced: &Synced, steady: Option<f64>) -> String {
    let mut note = format!(
        "{:.2} s; planned at {:.2} s",
        synced.wall,
        synced.planned.unwrap_or(f64::NAN)
    );
    if let (Some(at), Some(rate)) = (synced.all_open, steady) {
        note += &format!("; {rate:.0} files/s once all were open, at {at:.2} s");
    }
    note
}

/// Both as whole processes, each with the password known and nothing brought yet.
async fn beside_the_official_client(bed: &mut Bed, trip: u64) -> Result<Line> {
    let files = bed.size(RIVAL_NOTES);
    let mut line = Line {
        what: format!("{files} notes, {trip} ms, {DEFAULT_CONNECTIONS} conn., whole process"),
        unit: Unit::Files,
        against: Against::Rival,
        headline: trip == 30,
        point: Some(Point {
            round_trip_ms: trip,
            connections: DEFAULT_CONNECTIONS,
        }),
        ..Line::default()
    };
    let (home, _) = bed.notes(files, BYTES)?;
    let rival = bed.rival().await;
    bed.server.faults().set_latency(Duration::from_millis(trip));
    let ran = bed.sync(&home, DEFAULT_CONNECTIONS, false).await;
    let ended = match &rival {
        Ok(rival) => Some(rival.sync(&home).await),
        Err(_) => None,
    };
    bed.server.faults().set_latency(Duration::ZERO);
    bed.drop_vault(&home)?;
    let ran = ran?;
    line.measured = Some(files as f64 / ran.elapsed);
    line.memory = ran.memory;
    compare(&mut line, rival.err(), ended.transpose(), files as f64);
    Ok(line)
}

/// Fills in what the official client took for so much work.
pub(super) fn compare(
    line: &mut Line,
    missing: Option<String>,
    ended: Result<Option<obsync_interop::process::Ended>>,
    work: f64,
) {
    line.beside = "official client".to_owned();
    match (missing, ended) {
        (None, Ok(Some(ended))) => {
            line.bound = Some(match line.unit {
                Unit::Files => work / ended.took.as_secs_f64(),
                _ => ended.took.as_secs_f64(),
            });
            if let Some(mib) = ended.peak_memory {
                line.beside = format!("official client, peak {mib:.0} MiB");
            }
        }
        (missing, ended) => {
            let failed = ended.err().map(|error| error.to_string());
            line.beside = "official client: not measured".to_owned();
            let why = missing.or(failed).unwrap_or_default();
            line.note = why.lines().next().unwrap_or_default().to_owned();
        }
    }
}

/// Files a second from the moment when all connections were open to the moment when the last job
/// was taken: when all but one file for each connection were there.
fn steady_rate(connections: usize, synced: &Synced) -> Option<f64> {
    let from = synced.all_open?;
    let last = synced.fetched.len().checked_sub(connections + 1)?;
    let to = synced.fetched[last];
    let before = synced.fetched.partition_point(|at| *at <= from);
    (to > from).then(|| (last + 1 - before) as f64 / (to - from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_part_is_between_the_ramp_and_the_tail() {
        let mut synced = Synced {
            all_open: Some(10.0),
            // Two before, four in four seconds, then a slow tail of one for each connection.
            fetched: vec![5.0, 9.0, 11.0, 12.0, 13.0, 14.0, 50.0, 90.0],
            ..Synced::default()
        };
        assert_eq!(steady_rate(2, &synced), Some(1.0));
        synced.all_open = None;
        assert_eq!(steady_rate(2, &synced), None);
    }
}
