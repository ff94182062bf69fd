//! Many small notes over a slow line. Each pull takes one round trip, so that N connections can
//! fetch N files a round trip and no more: `N / RTT` is the bound. Without a round trip the bound is
//! the same pulls with nothing done to what they bring, and what the disk takes is shown beside it.

use std::collections::HashMap;
use std::time::Duration;

use super::rival;
use super::{median, thousands};
use crate::Result;
use crate::bed::{Bed, DEFAULT_CONNECTIONS};
use crate::child::{Ran, Synced};
use crate::table::{Aim, Line, Point, Table, Unit};

const BYTES: usize = 2048;
const NOTES: [u64; 3] = [500, 2_000, 10_000];
/// Round trips, in milliseconds.
const TRIPS: [u64; 3] = [0, 30, 100];
const CONNECTIONS: [usize; 5] = [1, 2, 4, 8, 16];
/// Cells whose bound alone takes longer, in seconds, are left out.
const LONGEST: u64 = 75;
/// The cells that the aims are for, and that the README shows: measured more than once.
const AIMED: Cell = (2_000, 30, 8);
const SHOWN: [Cell; 3] = [AIMED, (10_000, 30, 16), (10_000, 100, 16)];
const ROUNDS: usize = 3;
/// Where the disk is measured, too.
const BESIDE_THE_DISK: Cell = (10_000, 0, 8);
/// The official client brings some 20 notes a second: it gets the fewest, and once more.
const RIVAL_NOTES: u64 = 500;
const RIVAL_MORE: (u64, u64) = (2_000, 30);

/// Notes, round trip in milliseconds, connections.
type Cell = (u64, u64, usize);

pub(super) async fn measure(bed: &mut Bed, table: &mut Table) -> Result<()> {
    let mut rates = HashMap::new();
    let some = TRIPS.map(|trip| (RIVAL_NOTES, trip));
    for (notes, trip) in some.into_iter().chain([RIVAL_MORE]) {
        let line = beside_the_official_client(bed, notes, trip).await?;
        if let (RIVAL_NOTES, Some(rate)) = (notes, line.bound) {
            rates.insert(trip, rate);
        }
        table.add(line)?;
    }
    for cell in grid() {
        let (_, trip, _) = cell;
        for mut line in first_pull(bed, cell).await? {
            if let (Some(measured), Some(rate)) = (line.measured, rates.get(&trip)) {
                let factor = measured / rate;
                line.note += &format!(
                    "; {factor:.1} × the official client's {rate:.1} at {RIVAL_NOTES} notes"
                );
            }
            table.add(line)?;
        }
    }
    Ok(())
}

/// All cells that end in a reasonable time.
fn grid() -> impl Iterator<Item = Cell> {
    let cells = NOTES.into_iter().flat_map(|notes| {
        let trips = TRIPS.into_iter();
        trips.flat_map(move |trip| CONNECTIONS.map(|connections| (notes, trip, connections)))
    });
    cells.filter(|(notes, trip, connections)| notes * trip <= LONGEST * 1000 * *connections as u64)
}

async fn first_pull(bed: &mut Bed, cell: Cell) -> Result<Vec<Line>> {
    let (full, trip, connections) = cell;
    let files = bed.size(full);
    let (home, uids) = bed.notes(files, BYTES)?;
    bed.server.faults().set_latency(Duration::from_millis(trip));
    let rounds = if SHOWN.contains(&cell) { ROUNDS } else { 1 };
    let ran = rounds_of(bed, &home, connections, rounds).await;
    let bare = match trip {
        0 => Some(bed.pull(&home, connections, uids).await),
        _ => None,
    };
    bed.server.faults().set_latency(Duration::ZERO);
    let disk = match cell == BESIDE_THE_DISK {
        true => Some(bed.files(&home, files, BYTES).await),
        false => None,
    };
    bed.drop_vault(&home)?;
    let (ran, bare, disk) = (ran?, bare.transpose()?, disk.transpose()?);
    let Ran {
        result: synced,
        memory,
        ..
    } = ran;
    if synced.downloaded != files {
        return Err(format!("{} of {files} notes came", synced.downloaded).into());
    }

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
        headline: SHOWN.contains(&cell),
        note: note(&synced, steady),
        point: Some(Point {
            round_trip_ms: trip,
            connections,
        }),
        ..Line::default()
    };
    if let Some(seconds) = disk {
        let beside_the_disk = Line {
            what: format!("{what}, the disk's part"),
            measured: whole.measured,
            unit: Unit::Files,
            bound: Some(files as f64 / seconds),
            beside: "the same files: create, write, fsync, rename, 16 threads".to_owned(),
            headline: true,
            memory,
            ..Line::default()
        };
        return Ok(vec![whole, beside_the_disk]);
    }
    if cell != AIMED {
        return Ok(vec![whole]);
    }
    let once_open = Line {
        what: format!("{what}, once all are open"),
        measured: steady,
        unit: Unit::Files,
        bound: Some(bound),
        beside,
        aim: Aim::Share(0.9),
        headline: true,
        memory,
        ..Line::default()
    };
    let whole = Line {
        aim: Aim::Share(0.8),
        ..whole
    };
    Ok(vec![once_open, whole])
}

/// The middle one of some first pulls.
async fn rounds_of(
    bed: &Bed,
    home: &crate::bed::Home,
    connections: usize,
    rounds: usize,
) -> Result<Ran<Synced>> {
    let mut all = vec![bed.sync(home, connections, true).await?];
    for _ in 1..rounds {
        home.clear()?;
        all.push(bed.sync(home, connections, true).await?);
    }
    Ok(median(all, |ran| ran.result.wall))
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
async fn beside_the_official_client(bed: &mut Bed, notes: u64, trip: u64) -> Result<Line> {
    let files = bed.size(notes);
    let line = Line {
        what: format!(
            "{} notes, {trip} ms, {DEFAULT_CONNECTIONS} conn., whole process",
            thousands(files)
        ),
        unit: Unit::Files,
        headline: trip == 30,
        point: Some(Point {
            round_trip_ms: trip,
            connections: DEFAULT_CONNECTIONS,
        }),
        ..Line::default()
    };
    let (home, _) = bed.notes(files, BYTES)?;
    let trip = Duration::from_millis(trip);
    let line = rival::compare(bed, &home, trip, line, files as f64).await;
    bed.drop_vault(&home)?;
    line
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

    #[test]
    fn the_grid_has_every_cell_that_ends_in_time() {
        let cells: Vec<Cell> = grid().collect();
        for wanted in SHOWN.into_iter().chain([BESIDE_THE_DISK, (2_000, 30, 1)]) {
            assert!(cells.contains(&wanted), "{wanted:?}");
        }
        assert!(!cells.contains(&(10_000, 100, 8)));
        assert_eq!(cells.len(), 37);
    }
}
