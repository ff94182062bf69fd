//! How long a state takes to load and to commit to, and how large it is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use obsidian_sync::{ContentHash, Millis, Uid, VaultId, VaultVersion};
use obsync_core::{Batch, Entry, FileEntry, Header, Stamp, StateStore, VaultPath};
use obsync_local::{About, SqliteStateStore, StateDir};
use serde::{Deserialize, Serialize};

use super::s3;
use super::sync::NAME;
use crate::Result;

const ROUNDS: usize = 5;
const SMALL: u64 = 50;
const LARGE: u64 = 5_000;

/// Where the state is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Place {
    Sqlite { folder: PathBuf },
    S3 { endpoint: String },
}

/// Medians, in seconds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StateTimes {
    /// Opening and reading all of it.
    pub(crate) load: f64,
    /// Committing 50 changes.
    pub(crate) small: f64,
    /// Committing 5,000 changes.
    pub(crate) large: f64,
}

pub(super) async fn fill(vault: &VaultId, place: &Place, files: u64) -> Result<()> {
    let state = open(vault, place).await?;
    let fill = Batch {
        header: Some(Header {
            cursor: VaultVersion(files),
            highest: Uid(files),
            ..Header::default()
        }),
        ..changes(0, files)
    };
    state.commit(fill).await?;
    Ok(state.checkpoint().await?)
}

pub(super) async fn run(vault: &VaultId, place: &Place, files: u64) -> Result<StateTimes> {
    let (mut load, mut small, mut large) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS as u64 {
        let start = Instant::now();
        let state = open(vault, place).await?;
        let contents = state.load().await?;
        load.push(start.elapsed().as_secs_f64());
        if contents.entries.len() as u64 != files {
            return Err("the state lost entries".into());
        }
        drop(contents);
        for (times, changed) in [(&mut small, SMALL), (&mut large, LARGE)] {
            let batch = changes(round, changed.min(files));
            let start = Instant::now();
            state.commit(batch).await?;
            // On S3 a commit is written by and by: this writes it.
            if matches!(place, Place::S3 { .. }) {
                state.checkpoint().await?;
            }
            times.push(start.elapsed().as_secs_f64());
        }
        state.checkpoint().await?;
    }
    Ok(StateTimes {
        load: middle(load),
        small: middle(small),
        large: middle(large),
    })
}

async fn open(vault: &VaultId, place: &Place) -> Result<Arc<dyn StateStore>> {
    match place {
        Place::S3 { endpoint } => Ok(Arc::new(s3::open(endpoint, vault).await?.state)),
        Place::Sqlite { folder } => {
            let about = About::new(vault, NAME, "a folder".to_owned());
            let paths = StateDir::new(folder).state(&about);
            Ok(Arc::new(SqliteStateStore::open(&paths, &about)?))
        }
    }
}

/// The first so many files, as they are after so many changes of each.
fn changes(round: u64, count: u64) -> Batch {
    let entry = |number| {
        let name = format!(
            "Folder {}/A note with a title of usual length {number}.md",
            number / 100
        );
        let file = FileEntry {
            uid: Uid(round * 1_000_000 + number),
            hash: ContentHash::of(&[number, round].map(u64::to_le_bytes).concat()),
            size: 2048,
            mtime: Millis(1_700_000_000_000),
            stamp: Stamp(format!("{:032x}", round * 1_000_000 + number)),
        };
        let path = VaultPath::parse(&name)?;
        Ok((path, Entry::File(file)))
    };
    let set: std::result::Result<Vec<_>, obsync_core::PathProblem> =
        (0..count).map(entry).collect();
    Batch {
        set: set.expect("plain names"),
        ..Batch::default()
    }
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
