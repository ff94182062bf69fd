//! The most memory that the largest runs hold at once, beside a run that does nothing: the key
//! derivation alone takes 32 MiB.

use super::attachment::{mib, plain_size};
use super::thousands;
use crate::Result;
use crate::bed::{Bed, DEFAULT_CONNECTIONS};
use crate::child::{Ran, Synced};
use crate::table::{Aim, Line, Table, Unit};

pub(super) async fn measure(bed: &mut Bed, table: &mut Table) -> Result<()> {
    let home = bed.empty()?;
    let nothing = bed.sync(&home, DEFAULT_CONNECTIONS, false).await?;
    let line = |what: String, ran: &Ran<Synced>, most, note| Line {
        what,
        measured: ran.memory.peak,
        unit: Unit::Mebibytes,
        bound: nothing.memory.peak,
        beside: "an empty vault's run".to_owned(),
        aim: Aim::Most(most),
        memory: ran.memory,
        headline: true,
        note,
        ..Line::default()
    };

    let files = bed.size(100_000);
    let small = |ran: &Ran<Synced>| {
        format!(
            "{:.0} files/s, {:.0} s of CPU",
            files as f64 / ran.result.wall,
            ran.result.cpu
        )
    };
    let what = format!("peak of {} small files", thousands(files));
    let (home, first) = bed.synced(files).await?;
    table.add(line(what.clone(), &first, 96.0, small(&first)))?;
    let (_, first) = bed.synced_to_s3(files).await?;
    table.add(line(format!("{what}, to S3"), &first, 96.0, small(&first)))?;
    let bucket = bed.bucket().await?;
    for (target, place) in [(home.target(), ""), (bucket.clone(), ", to S3")] {
        let text = format!("changed for the copy{place}");
        bed.change(&home, &text)?;
        let ran = bed.sync_to(&home, target.clone(), false).await?;
        let what = format!("peak of one change among {}{place}", thousands(files));
        table.add(line(what, &ran, 96.0, took(&ran)))?;
        let ran = bed.sync_to(&home, target, true).await?;
        let what = format!("peak of --full with {}{place}", thousands(files));
        table.add(line(what, &ran, 96.0, took(&ran)))?;
    }

    let size = plain_size(bed);
    let (home, _) = bed.attachments(1, size)?;
    let what = format!("peak of one file of {} MiB", mib(size));
    let ran = bed.sync_to(&home, home.target(), false).await?;
    table.add(line(what.clone(), &ran, 64.0, took(&ran)))?;
    let ran = bed.sync_to(&home, bucket, false).await?;
    table.add(line(format!("{what}, to S3"), &ran, 64.0, took(&ran)))?;
    bed.drop_vault(&home)
}

fn took(ran: &Ran<Synced>) -> String {
    format!("{:.1} s, {:.1} s of CPU", ran.result.wall, ran.result.cpu)
}
