//! Is the copy right? Compares the destination with the service, by hash, and changes nothing.
//!
//! A folder's files are read. In S3 the checksum that the service keeps is taken for an object's bytes;
//! the hash that we wrote beside it only where size and ETag say that it is still our write. Every
//! other object is read, and with [`VerifyOptions::read_data`] all are.
//!
//! [`SyncRun::repair`] mends what was found by an ordinary run over the whole vault, which is merely
//! told where the state's word is in doubt: plan, guards and conflicted copies are those of any run.

mod compare;

use std::collections::HashSet;
use std::sync::Arc;

use obsidian_sync::{Uid, VaultVersion};
use serde::Serialize;

use crate::error::SyncError;
use crate::path::VaultPath;
use crate::report::Report;
use crate::sync::SyncRun;

/// How a comparison goes about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Read every byte, whatever the store knows of its files.
    pub read_data: bool,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// The vault's version that was compared with.
    pub version: VaultVersion,
    /// Files that are right.
    pub correct: u64,
    /// Those of them that the sync state lists otherwise, or not at all. A full run notes them.
    pub stale: Vec<VaultPath>,
    /// What is not as in the vault, by kind and path.
    pub differences: Vec<Difference>,
    /// Records that the destination can't or must not hold.
    pub skipped: u64,
    /// Things that a person should know.
    pub notes: Vec<String>,
}

/// One file that is not as in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The path, as the service or the destination has it. Escape it before a terminal sees it.
    pub path: String,
    /// The record; `None` for a file that obsync did not write.
    pub uid: Option<Uid>,
    /// What is wrong.
    pub kind: DifferenceKind,
    /// Whether that is as it should be: `pull` keeps files that obsync did not write.
    pub harmless: bool,
    /// For people: what is known of how it came about.
    pub message: String,
}

/// Kinds of [`Difference`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// In the vault, not at the destination.
    Missing,
    /// At both, with different content.
    Different,
    /// At the destination, but it can't be read.
    Unreadable,
    /// At the destination, not in the vault.
    Extra,
}

impl DifferenceKind {
    /// The word for it, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Different => "different",
            Self::Unreadable => "unreadable",
            Self::Extra => "extra",
        }
    }
}

impl Verification {
    /// Whether the destination is what a run in its mode makes it.
    pub fn is_right(&self) -> bool {
        self.differences
            .iter()
            .all(|difference| difference.harmless)
    }

    /// Whether a repair has anything to do.
    pub fn needs_repair(&self) -> bool {
        !self.is_right() || !self.stale.is_empty()
    }

    /// How many files differ in a way.
    pub fn count(&self, kind: DifferenceKind) -> u64 {
        let those = self.differences.iter().filter(|found| found.kind == kind);
        those.count() as u64
    }

    /// What of this is no longer so in a later comparison.
    pub fn mended<'a>(&'a self, later: &Self) -> Vec<&'a Difference> {
        let left: HashSet<&str> = later
            .differences
            .iter()
            .map(|difference| difference.path.as_str())
            .collect();
        self.differences
            .iter()
            .filter(|found| !found.harmless && !left.contains(found.path.as_str()))
            .collect()
    }

    /// Paths where the state can't be believed.
    fn doubted(&self) -> HashSet<VaultPath> {
        self.differences
            .iter()
            .filter_map(|found| VaultPath::parse(&found.path).ok())
            .chain(self.stale.iter().cloned())
            .collect()
    }
}

impl SyncRun {
    /// Compares the destination with the vault as it stands now, and writes nothing.
    ///
    /// # Errors
    /// When the vault can't be read, the destination can't be listed, or the run is told to stop.
    pub async fn verify(&self, options: VerifyOptions) -> Result<Verification, SyncError> {
        compare::compare(self, options).await
    }

    /// Brings what a comparison found missing or different: one run over the whole vault that reads
    /// those files anew.
    ///
    /// # Errors
    /// As [`SyncRun::run`].
    pub async fn repair(&mut self, found: &Verification) -> Result<Report, SyncError> {
        self.options.full = true;
        self.options.doubted = Arc::new(found.doubted());
        self.run().await
    }
}
