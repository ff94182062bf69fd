//! The most memory that the largest runs hold at once, beside a run that does nothing: the key
//! derivation alone takes 32 MiB.

use super::attachment::{mib, plain_size};
use super::thousands;
use crate::Result;
use crate::bed::{Bed, DEFAULT_CONNECTIONS};
use crate::bucket::Bucket;
use crate::child::{Ran, Synced};
use crate::table::{Aim, Line, Table, Unit};

pub(super) async fn measure(bed: &mut Bed, table: &mut Table) -> Result<()> {
    let home = bed.empty()?;
    let nothing = bed.sync(&home, DEFAULT_CONNECTIONS, false).await?;
    let line = |what: String, ran: &Ran<Synced>, most, note| Line {
        what,
        measured: ran.memory,
        unit: Unit::Mebibytes,
        bound: nothing.memory,
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
    let bucket = Bucket::start().await?;
    let (home, first) = bed.synced(files).await?;
    let what = format!("peak of {} small files", thousands(files));
    table.add(line(what.clone(), &first, 96.0, small(&first)))?;
    let endpoint = bucket.endpoint.clone();
    let first = bed.sync_to_s3(&home, DEFAULT_CONNECTIONS, endpoint).await?;
    table.add(line(format!("{what}, to S3"), &first, 96.0, small(&first)))?;

    let size = plain_size(bed);
    let (home, _) = bed.attachments(1, size)?;
    let what = format!("peak of one file of {} MiB", mib(size));
    let large = |ran: &Ran<Synced>| format!("{:.1} s of CPU", ran.result.cpu);
    let ran = bed.sync(&home, DEFAULT_CONNECTIONS, false).await?;
    table.add(line(what.clone(), &ran, 64.0, large(&ran)))?;
    let endpoint = bucket.endpoint.clone();
    let ran = bed.sync_to_s3(&home, DEFAULT_CONNECTIONS, endpoint).await?;
    table.add(line(format!("{what}, to S3"), &ran, 64.0, large(&ran)))?;
    bed.drop_vault(&home)
}
