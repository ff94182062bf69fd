//! The most memory that the largest runs hold at once, beside a run that does nothing: the key
//! derivation alone takes 32 MiB.

use super::{attachment, thousands};
use crate::Result;
use crate::bed::Bed;
use crate::table::{Aim, Line};

pub(crate) async fn lines(bed: &mut Bed) -> Result<Vec<Line>> {
    let nothing = bed.sync(&bed.empty()?, 8, false).await?;
    let line = |what: String, measured, most, note| Line {
        what,
        measured,
        unit: "MiB",
        bound: nothing.peak_memory.unwrap_or(f64::NAN),
        beside: "peak of an empty vault's run".to_owned(),
        aim: Aim::Most(most),
        note,
    };

    let files = bed.size(100_000);
    let (_, first) = bed.synced(files).await?;
    let rate = first.downloaded as f64 / first.wall;
    let many = line(
        format!("{} small files, peak memory", thousands(files)),
        first.peak_memory,
        96.0,
        format!("{rate:.0} files/s, {:.0} s of CPU", first.cpu),
    );

    let size = attachment::plain_size(bed);
    let (home, _) = bed.attachment(size)?;
    let synced = bed.sync(&home, 4, false).await?;
    home.clear()?;
    let one = line(
        format!("one file of {} MiB, peak memory", size.div_ceil(1 << 20)),
        synced.peak_memory,
        64.0,
        format!("{:.1} s of CPU", synced.cpu),
    );
    Ok(vec![many, one])
}
