//! Loading a large state and committing to it, beside the time in which memory copies as many bytes.
//! A folder's state is a SQLite file; a bucket's is one JSON document, written whole each time.

use std::path::Path;
use std::time::Instant;

use super::{median, thousands};
use crate::Result;
use crate::bed::Bed;
use crate::bucket::Bucket;
use crate::child::{Memory, Place, StateTimes};
use crate::table::{Line, Table, Unit};

/// What is copied to learn how fast memory is.
const COPIED: usize = 64 << 20;
const ROUNDS: usize = 5;

pub(super) async fn measure(bed: &mut Bed, table: &mut Table) -> Result<()> {
    let files = bed.size(100_000);
    let folder = bed.place("state");
    let home = bed.empty()?;
    let sqlite = Place::Sqlite {
        folder: folder.clone(),
    };
    bed.fill_state(&home, sqlite.clone(), files).await?;
    let ran = bed.state(&home, sqlite, files).await?;
    let size = largest_file(&folder)?;
    let bandwidth = bandwidth();
    let copied = |size| (size, size as f64 / bandwidth);
    for line in lines("SQLite", files, copied(size), &ran.result, ran.memory) {
        table.add(line)?;
    }
    let bucket = Bucket::start().await?;
    let s3 = Place::S3 {
        endpoint: bucket.endpoint.clone(),
    };
    bed.fill_state(&home, s3.clone(), files).await?;
    let ran = bed.state(&home, s3, files).await?;
    let size = bucket.largest_object("state/").await?;
    for line in lines("S3 JSON", files, copied(size), &ran.result, ran.memory) {
        table.add(line)?;
    }
    Ok(())
}

fn lines(
    kind: &str,
    files: u64,
    (size, copied): (u64, f64),
    times: &StateTimes,
    memory: Memory,
) -> [Line; 3] {
    let files = thousands(files);
    let megabytes = size as f64 / 1e6;
    [
        ("load", times.load),
        ("commit 50", times.small),
        ("commit 5,000", times.large),
    ]
    .map(|(deed, seconds)| Line {
        what: format!("state of {files}, {kind}: {deed}"),
        measured: Some(seconds * 1e3),
        unit: Unit::Millis,
        bound: Some(copied * 1e3),
        beside: format!("to copy its {megabytes:.1} MB in memory"),
        memory,
        ..Line::default()
    })
}

/// How many bytes memory copies in a second.
fn bandwidth() -> f64 {
    let from = vec![1_u8; COPIED];
    let mut to = vec![0_u8; COPIED];
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
        start.elapsed().as_secs_f64()
    });
    COPIED as f64 / median(times.collect(), |time| *time)
}

/// The size of the largest file in a folder, at any depth: the database.
fn largest_file(folder: &Path) -> Result<u64> {
    let mut largest = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let size = match entry.file_type()?.is_dir() {
            true => largest_file(&entry.path())?,
            false => entry.metadata()?.len(),
        };
        largest = largest.max(size);
    }
    Ok(largest)
}
