//! The most memory that the largest runs hold at once, beside a run that does nothing: the key
//! derivation alone takes 32 MiB.

use super::attachment::{mib, plain_size};
use super::thousands;
use crate::Result;
use crate::bed::{Bed, DEFAULT_CONNECTIONS};
use crate::table::{Aim, Line, Table};

pub(super) async fn measure(bed: &mut Bed, table: &mut Table) -> Result<()> {
    let nothing = bed.sync(&bed.empty()?, DEFAULT_CONNECTIONS, false).await?;
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
    let what = format!("{} small files, peak memory", thousands(files));
    let note = format!(
        "{:.0} files/s, {:.0} s of CPU",
        files as f64 / first.wall,
        first.cpu
    );
    table.add(line(what, first.peak_memory, 96.0, note))?;

    let size = plain_size(bed);
    let (home, _) = bed.attachment(size)?;
    let synced = bed.sync(&home, DEFAULT_CONNECTIONS, false).await?;
    home.clear()?;
    let what = format!("one file of {} MiB, peak memory", mib(size));
    let note = format!("{:.1} s of CPU", synced.cpu);
    table.add(line(what, synced.peak_memory, 64.0, note))
}
