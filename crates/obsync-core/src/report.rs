//! What a run did: the numbers and problems that every front end shows.

use obsidian_sync::{Uid, VaultVersion};
use serde::Serialize;

use crate::error::SyncError;
use crate::state::{Unapplied, UnappliedKind};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing is left to do.
    Complete,
    /// Progress is saved, something is left: run again.
    Partial,
    /// It ended in an error that running again alone won't mend.
    Failed,
}

/// What a run did.
#[derive(Debug)]
pub struct Report {
    /// How it ended.
    pub status: Status,
    /// Files fetched from the service.
    pub files_downloaded: u64,
    /// Files moved or copied at the destination instead of being fetched.
    pub files_moved: u64,
    /// Files deleted.
    pub files_deleted: u64,
    /// Files that could not be brought, and are tried again next time.
    pub files_failed: u64,
    /// Records that can't be brought at all.
    pub files_skipped: u64,
    /// Records that the user's filter left out of this run.
    pub files_hidden: u64,
    /// Files that the run had to fetch, move, copy or delete.
    pub files_planned: u64,
    /// Plaintext bytes fetched.
    pub bytes: u64,
    /// Everything up to here is applied or listed.
    pub cursor: VaultVersion,
    /// How many records or files still wait, when the run was cut short.
    pub remaining: u64,
    /// Whether the run got further than the one before it. Running again while something remains and
    /// this is so comes to an end.
    pub advanced: bool,
    /// What could not be brought, failed ones first, and what local content was kept.
    pub problems: Vec<Problem>,
    /// Things that a person should know.
    pub notes: Vec<String>,
    /// What ended the run early, if anything did.
    pub error: Option<SyncError>,
}

/// One thing that is not as the user would expect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The path or name, as the service has it. Escape it before a terminal sees it.
    pub path: String,
    /// The record.
    pub uid: Uid,
    /// Which kind.
    pub kind: ProblemKind,
    /// For people.
    pub message: String,
}

/// Kinds of [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// Not brought; tried again next time.
    Failed,
    /// Local content was kept as a conflicted copy, or instead of a deletion.
    Kept,
    /// Never brought: see the message.
    Skipped,
}

impl Problem {
    /// What a listed record means to a person; nothing if the next run merely goes on with it.
    pub(crate) fn of(item: &Unapplied) -> Option<Self> {
        let kind = match item.kind {
            UnappliedKind::Failed => ProblemKind::Failed,
            UnappliedKind::Skipped => ProblemKind::Skipped,
            UnappliedKind::Unfinished => return None,
        };
        Some(Self {
            path: item.name.clone(),
            uid: item.uid,
            kind,
            message: item.message.clone(),
        })
    }
}
