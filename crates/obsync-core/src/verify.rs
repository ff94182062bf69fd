//! Is the copy right? Compares the destination with the service, by hash, and changes nothing.

use std::collections::{BTreeMap, HashSet};

use futures_util::stream::{self, StreamExt as _};
use obsidian_sync::{ContentHash, VaultVersion};
use serde::Serialize;

use crate::error::SyncError;
use crate::filter::Verdict;
use crate::path::VaultPath;
use crate::record::Change;
use crate::store::Found;
use crate::sync::SyncRun;

/// How many files are read at once.
const READS: usize = 8;

/// What a comparison found. Paths are as the service has them: escape before a terminal sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The vault's version that was compared with.
    pub version: VaultVersion,
    /// Files that are right.
    pub correct: u64,
    /// In the vault, not at the destination.
    pub missing: Vec<String>,
    /// At both, with different content.
    pub different: Vec<String>,
    /// At the destination, not in the vault. No harm in a `pull` copy.
    pub extra: Vec<String>,
    /// At the destination, but it can't be read; with the reason.
    pub unreadable: BTreeMap<String, String>,
    /// Records that the destination can't or must not hold.
    pub skipped: u64,
}

impl Verification {
    /// Whether the destination holds every file of the vault, as it is there.
    pub fn is_right(&self) -> bool {
        self.missing.is_empty() && self.different.is_empty() && self.unreadable.is_empty()
    }
}

enum Checked {
    Correct,
    Missing,
    Different,
    Unreadable(String),
}

impl SyncRun {
    /// Compares the destination with the vault as it stands now.
    ///
    /// # Errors
    /// When the vault can't be read, or the destination can't be listed.
    pub async fn verify(&self) -> Result<Verification, SyncError> {
        let filter = self.filter().await?;
        let (client, feed) = self.feed(VaultVersion(0)).await?;
        client.close().await;
        let mut result = Verification {
            version: feed.version,
            ..Verification::default()
        };
        result.skipped = feed.unusable.len() as u64;

        let folding = self.store.folding();
        let mut files: Vec<(VaultPath, ContentHash)> = Vec::new();
        // By folded name: of two that are one here, only the older can be right.
        let mut live: HashSet<String> = HashSet::new();
        for record in feed.records {
            let Change::File(file) = record.change else {
                continue;
            };
            match filter.verdict(&record.path, false) {
                Verdict::Hidden => {}
                Verdict::Sync
                    if self.store.check_path(&record.path).is_ok()
                        && live.insert(folding.key(&record.path)) =>
                {
                    files.push((record.path, file.hash));
                }
                Verdict::Sync | Verdict::Refused(_) => result.skipped += 1,
            }
        }
        let mut checks = stream::iter(files)
            .map(|(path, hash)| async move {
                let checked = self.check_file(&path, hash).await;
                (path.as_str().to_owned(), checked)
            })
            .buffer_unordered(READS);
        while let Some((name, checked)) = checks.next().await {
            if self.stop.is_cancelled() {
                return Err(SyncError::Stopped);
            }
            match checked {
                Checked::Correct => result.correct += 1,
                Checked::Missing => result.missing.push(name),
                Checked::Different => result.different.push(name),
                Checked::Unreadable(why) => {
                    result.unreadable.insert(name, why);
                }
            }
        }
        for item in self.store.list(filter.config_dir()).await? {
            let is_file = matches!(item.found, Found::File { .. });
            if is_file
                && !live.contains(&folding.key(&item.path))
                && filter.verdict(&item.path, false) == Verdict::Sync
            {
                result.extra.push(item.path.as_str().to_owned());
            }
        }
        result.missing.sort();
        result.different.sort();
        result.extra.sort();
        Ok(result)
    }

    async fn check_file(&self, path: &VaultPath, expected: ContentHash) -> Checked {
        match self.store.hash(path).await {
            Ok(Some((hash, _))) if hash == expected => Checked::Correct,
            Ok(Some(_)) => Checked::Different,
            Ok(None) => Checked::Missing,
            Err(error) => Checked::Unreadable(error.to_string()),
        }
    }
}
