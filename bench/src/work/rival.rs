//! The program beside the official client, each as a whole process on the same vault.

use std::time::Duration;

use crate::Result;
use crate::bed::{Bed, DEFAULT_CONNECTIONS, Home};
use crate::child::Memory;
use crate::table::{Against, Line, Unit};

/// More than this between the official client's last word and its end is worth a note.
const LINGERING: Duration = Duration::from_secs(1);

/// Runs both, one after the other, over a line with this round trip, and fills in what each took for
/// so much work, which is in the line's unit times seconds.
pub(super) async fn compare(
    bed: &mut Bed,
    home: &Home,
    trip: Duration,
    line: Line,
    work: f64,
) -> Result<Line> {
    let rival = bed.rival().await;
    bed.server.faults().set_latency(trip);
    let ours = bed.program(home, DEFAULT_CONNECTIONS).await;
    let theirs = match &rival {
        Ok(rival) => rival.sync(home).await.map_err(|error| error.to_string()),
        Err(missing) => Err(missing.clone()),
    };
    bed.server.faults().set_latency(Duration::ZERO);
    let ours = ours?;
    let figure = |took: Duration| match line.unit {
        Unit::Seconds => took.as_secs_f64(),
        _ => work / took.as_secs_f64(),
    };
    let line = Line {
        measured: Some(figure(ours.took)),
        memory: Memory {
            peak: ours.peak_memory,
            after_key: None,
        },
        against: Against::Rival,
        ..line.clone()
    };
    Ok(match theirs {
        Ok(theirs) => {
            let done = theirs.said.unwrap_or(theirs.took);
            let idle = theirs.took - done;
            let mut note = line.note;
            if idle > LINGERING {
                note += &format!("; its process ends {:.0} s later", idle.as_secs_f64());
            }
            Line {
                bound: Some(figure(done)),
                beside: match theirs.peak_memory {
                    Some(mib) => format!("official client, peak {mib:.0} MiB"),
                    None => "official client".to_owned(),
                },
                note: note.trim_start_matches("; ").to_owned(),
                ..line
            }
        }
        Err(why) => {
            let why = why.lines().next().unwrap_or_default();
            Line {
                beside: "official client: not measured".to_owned(),
                note: [line.note.as_str(), why].join("; "),
                ..line
            }
        }
    })
}
