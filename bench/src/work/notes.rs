//! Many small notes over a slow line. Each pull takes one round trip, so that N connections can
//! fetch N files a round trip and no more: `N / RTT` is the bound.

use std::time::Duration;

use super::thousands;
use crate::Result;
use crate::bed::Bed;
use crate::child::Synced;
use crate::table::{Aim, Line, Table};

const ROUND_TRIP: Duration = Duration::from_millis(30);
/// As many for each connection: every line then takes the same time.
const EACH: u64 = 250;
const BYTES: usize = 2048;
/// The line that the aims are for.
const AIMED: usize = 8;

pub(super) async fn measure(bed: &mut Bed, table: &mut Table) -> Result<()> {
    for connections in [1, 4, AIMED, 16] {
        let files = bed.size(EACH) * connections as u64;
        let (home, uids) = bed.notes(files, BYTES)?;
        bed.server.faults().set_latency(ROUND_TRIP);
        let synced = bed.sync(&home, connections, true).await;
        let pulled = bed.pull(&home, connections, uids).await;
        bed.server.faults().set_latency(Duration::ZERO);
        for line in compare(files, connections, &synced?, pulled?) {
            table.add(line)?;
        }
        home.clear()?;
    }
    Ok(())
}

fn compare(files: u64, connections: usize, synced: &Synced, pulled: f64) -> [Line; 2] {
    let line = |part: &str, measured, aim, note| Line {
        what: format!("{} notes, {connections} conn., {part}", thousands(files)),
        measured,
        unit: "files/s",
        bound: connections as f64 / ROUND_TRIP.as_secs_f64(),
        beside: format!("= {connections} / {} ms round trip", ROUND_TRIP.as_millis()),
        aim: if connections == AIMED { aim } else { Aim::Look },
        note,
    };
    let open = match synced.all_open {
        Some(at) => format!("all open after {at:.2} s"),
        None => "never all open".to_owned(),
    };
    let bare = files as f64 / pulled;
    let steady_note = format!("{open}; bare pulls: {bare:.1}");
    let rest = synced.wall - synced.fetched.last().unwrap_or(&0.0);
    let whole_note = format!("{:.2} s, of it {rest:.2} after the last fetch", synced.wall);
    let (steady, whole) = (steady_rate(connections, synced), files as f64 / synced.wall);
    [
        line("all open", steady, Aim::Share(0.9), steady_note),
        line("whole run", Some(whole), Aim::Share(0.8), whole_note),
    ]
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
