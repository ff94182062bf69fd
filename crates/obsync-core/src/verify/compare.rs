//! The comparison: what the vault has, what is here, and what the state says of it.

use std::collections::{HashMap, HashSet};

use futures_util::stream::{self, StreamExt as _};
use obsidian_sync::crypto::SEAL_OVERHEAD;
use obsidian_sync::{ContentHash, Uid, VaultVersion};

use super::{Difference, DifferenceKind, Verification, VerifyOptions};
use crate::error::SyncError;
use crate::feed::Feed;
use crate::filter::{Filter, Verdict};
use crate::path::VaultPath;
use crate::plan::{Basis, Input, Mode, Names};
use crate::progress::Event;
use crate::record::Change;
use crate::state::{Entry, FileEntry, UnappliedKind};
use crate::store::{Found, Stamp, StoreError, StoreErrorKind, Trust};
use crate::sync::SyncRun;

/// How many files are looked at or read at once.
const READS: usize = 8;

/// A file of the vault.
struct Wanted {
    path: VaultPath,
    uid: Uid,
    hash: ContentHash,
    /// In bytes.
    size: u64,
}

/// What the state says. Without one, everything is as if it had never been synced.
#[derive(Default)]
struct Known {
    cursor: VaultVersion,
    entries: HashMap<VaultPath, Entry>,
    /// Why earlier runs did not bring a file, by name.
    unapplied: HashMap<String, String>,
}

type Checked = (Wanted, Result<Option<(ContentHash, Stamp)>, StoreError>);

pub(super) async fn compare(
    run: &SyncRun,
    options: VerifyOptions,
) -> Result<Verification, SyncError> {
    let filter = run.filter().await?;
    let (client, feed) = run.feed(VaultVersion(0)).await?;
    client.close().await;
    let mut result = Verification {
        version: feed.version,
        skipped: feed.unusable.len() as u64,
        ..Verification::default()
    };
    let known = known(run, &mut result).await?;
    let (wanted, live) = wanted(run, &filter, &feed, &known, &mut result);
    drop(feed);
    run.progress.event(Event::Comparing {
        files: wanted.len() as u64,
        // Sizes are the service's word.
        bytes: wanted
            .iter()
            .fold(0, |sum: u64, file| sum.saturating_add(file.size)),
    });
    let entries = &known.entries;
    let mut checks = stream::iter(wanted)
        .map(|file| async move {
            let entry = entries.get(&file.path).and_then(Entry::file);
            let trust = match options.read_data {
                true => Trust::Nothing,
                false => Trust::Records {
                    size: file.size,
                    known: entry.map(|entry| &entry.stamp),
                },
            };
            let hash = run.store.check_hash(&file.path, trust).await;
            (file, hash)
        })
        .buffer_unordered(READS);
    loop {
        let checked = tokio::select! {
            biased;
            () = run.stop.cancelled() => return Err(SyncError::Stopped),
            next = checks.next() => match next {
                Some(checked) => checked,
                None => break,
            },
        };
        run.progress.event(Event::Compared {
            path: &checked.0.path,
            bytes: checked.0.size,
        });
        judge(run, &known, checked, &mut result).await?;
    }
    extras(run, &filter, &known, &live, &mut result).await?;
    result
        .differences
        .sort_by(|a, b| (a.kind, &a.path).cmp(&(b.kind, &b.path)));
    result.stale.sort();
    Ok(result)
}

/// What the state says, as far as it can be read: to compare, it is not needed.
async fn known(run: &SyncRun, result: &mut Verification) -> Result<Known, StoreError> {
    let read = async {
        let header = run.state.header().await?;
        let unapplied = run.state.unapplied().await?.into_iter();
        let unapplied = unapplied.filter(|item| item.kind != UnappliedKind::Unfinished);
        Ok::<_, StoreError>(Known {
            cursor: header.cursor,
            entries: run.state.load().await?.entries,
            unapplied: unapplied.map(|item| (item.name, item.message)).collect(),
        })
    };
    match read.await {
        Err(error) if error.kind == StoreErrorKind::Unusable => {
            result.notes.push(error.to_string());
            Ok(Known::default())
        }
        read => read,
    }
}

/// The vault's files as this destination is to hold them, and the folded names of all of them.
fn wanted(
    run: &SyncRun,
    filter: &Filter,
    feed: &Feed,
    known: &Known,
    result: &mut Verification,
) -> (Vec<Wanted>, HashSet<String>) {
    let folding = run.store.folding();
    // What the vault has there can't be told: whatever is here is not extra.
    let unusable = feed.unusable.iter();
    let unusable = unusable.filter_map(|item| VaultPath::parse(&item.name).ok());
    let mut live: HashSet<String> = unusable.map(|path| folding.key(&path)).collect();
    // Of names that are one here, the one can be right that a run would write.
    let input = Input {
        records: &feed.records,
        basis: Basis::Whole,
        unusable: &feed.unusable,
        cleared: &[],
        entries: &known.entries,
        unapplied: &[],
        local: &HashMap::new(),
        doubted: &HashSet::new(),
        filter,
        mode: run.options.mode,
        folding,
        check_path: &|path| run.store.check_path(path),
    };
    let names = Names::of(&input);
    let mut files = Vec::new();
    for record in &feed.records {
        let Change::File(file) = &record.change else {
            continue;
        };
        match filter.verdict(&record.path, false) {
            Verdict::Hidden => {}
            Verdict::Sync
                if run.store.check_path(&record.path).is_ok()
                    && names.taken_by(&record.path, true).is_none() =>
            {
                live.insert(folding.key(&record.path));
                files.push(Wanted {
                    path: record.path.clone(),
                    uid: record.uid,
                    hash: file.hash,
                    size: file.sealed_size.saturating_sub(SEAL_OVERHEAD),
                });
            }
            Verdict::Sync | Verdict::Refused(_) => result.skipped += 1,
        }
    }
    (files, live)
}

async fn judge(
    run: &SyncRun,
    known: &Known,
    (file, checked): Checked,
    result: &mut Verification,
) -> Result<(), StoreError> {
    let entry = known.entries.get(&file.path).and_then(Entry::file);
    let newer = VaultVersion::from(file.uid) > known.cursor;
    let (kind, message) = match checked {
        Ok(Some((hash, stamp))) if hash == file.hash => {
            result.correct += 1;
            if entry.is_none_or(|entry| entry.hash != hash || entry.stamp != stamp) {
                result.stale.push(file.path);
            }
            return Ok(());
        }
        Ok(Some((hash, stamp))) => (
            DifferenceKind::Different,
            why_different(entry, &hash, &stamp).to_owned(),
        ),
        Ok(None) => {
            let told = known.unapplied.get(file.path.as_str());
            let message = match run.store.inspect(&file.path, None).await? {
                Found::Folder => "a folder is in its place".to_owned(),
                Found::Foreign(what) => format!("{what} is in the way"),
                _ => match (entry, told) {
                    (Some(_), _) => "it was written here and is gone".to_owned(),
                    (None, Some(why)) => format!("an earlier run could not bring it: {why}"),
                    (None, None) if newer => "new in the vault since the last sync".to_owned(),
                    (None, None) => "it was never brought here".to_owned(),
                },
            };
            (DifferenceKind::Missing, message)
        }
        Err(error) => (DifferenceKind::Unreadable, error.to_string()),
    };
    result.differences.push(Difference {
        path: file.path.as_str().to_owned(),
        uid: Some(file.uid),
        kind,
        harmless: false,
        message,
    });
    Ok(())
}

fn why_different(entry: Option<&FileEntry>, hash: &ContentHash, stamp: &Stamp) -> &'static str {
    match entry {
        None => "a file that obsync did not write is in its place",
        Some(entry) if entry.hash == *hash => "changed in the vault since the last sync",
        Some(entry) if entry.stamp == *stamp => {
            "its bytes are not those that were written, though nothing seems to have changed it"
        }
        Some(_) => "changed here since it was written",
    }
}

/// What is here and not in the vault. A file that obsync wrote is the vault's to delete; any other is
/// kept by `pull`.
async fn extras(
    run: &SyncRun,
    filter: &Filter,
    known: &Known,
    live: &HashSet<String>,
    result: &mut Verification,
) -> Result<(), StoreError> {
    let folding = run.store.folding();
    for item in run.store.list(filter.config_dir()).await? {
        let is_file = matches!(item.found, Found::File { .. });
        if !is_file
            || live.contains(&folding.key(&item.path))
            || filter.verdict(&item.path, false) != Verdict::Sync
        {
            continue;
        }
        let entry = known.entries.get(&item.path).and_then(Entry::file);
        let message = match entry {
            Some(_) => "the vault has deleted it since the last sync",
            None => "the vault does not have it",
        };
        result.differences.push(Difference {
            path: item.path.as_str().to_owned(),
            uid: entry.map(|entry| entry.uid),
            kind: DifferenceKind::Extra,
            harmless: entry.is_none() && run.options.mode == Mode::Pull,
            message: message.to_owned(),
        });
    }
    Ok(())
}
