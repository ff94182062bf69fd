//! A vault as people have them: notes of all sizes and some attachments. A real one is taken from the
//! folder in `OBSYNC_BENCH_VAULT`.

use std::path::PathBuf;
use std::time::Duration;

use obsidian_sync::Millis;

use super::rival;
use crate::Result;
use crate::bed::{Bed, DEFAULT_CONNECTIONS, Home};
use crate::table::{Line, Table, Unit};

const FOLDER: &str = "OBSYNC_BENCH_VAULT";
const ROUND_TRIP: Duration = Duration::from_millis(30);
const MTIME: Millis = Millis(1_700_000_000_000);
const NOTES: u64 = 400;
const ATTACHMENTS: u64 = 40;

pub(super) async fn measure(bed: &mut Bed, table: &mut Table) -> Result<()> {
    let home = bed.empty()?;
    let folder = std::env::var_os(FOLDER)
        .map(PathBuf::from)
        .filter(|folder| !folder.as_os_str().is_empty());
    let (what, files, bytes) = match folder {
        Some(folder) => {
            let seeded = bed.server.seed(&home.vault, &folder)?;
            ("a real vault", seeded.files, seeded.bytes)
        }
        None => made_up(bed, &home)?,
    };
    let line = Line {
        what: format!("{what}, 30 ms, {DEFAULT_CONNECTIONS} conn., whole process"),
        unit: Unit::Seconds,
        headline: true,
        note: format!("{files} files, {:.1} MB", bytes as f64 / 1e6),
        ..Line::default()
    };
    let line = rival::compare(bed, &home, ROUND_TRIP, line, files as f64).await;
    bed.drop_vault(&home)?;
    table.add(line?)
}

/// Some notes from 100 bytes to 25 KB and attachments from 20 KB to 1 MB, no two alike.
fn made_up(bed: &Bed, home: &Home) -> Result<(&'static str, u64, u64)> {
    let (notes, attachments) = (bed.size(NOTES), bed.size(ATTACHMENTS));
    let mut bytes = 0;
    let mut put = |path: String, size: usize, number: u64| {
        let mut text = format!("{number}: some words of a note. ").repeat(1 + size / 20);
        text.truncate(size);
        bytes += size as u64;
        bed.server.put(&home.vault, &path, text.as_bytes(), MTIME)
    };
    for number in 0..notes {
        // From one power of two to the next, and back again.
        let size = 100 << (number % 9);
        put(
            format!("Notes {}/Note {number}.md", number % 12),
            size,
            number,
        )?;
    }
    for number in 0..attachments {
        let size = (20 * 1024) << (number % 6);
        put(
            format!("Attachments/Image {number}.png"),
            size,
            number + notes,
        )?;
    }
    Ok(("a vault made up", notes + attachments, bytes))
}
