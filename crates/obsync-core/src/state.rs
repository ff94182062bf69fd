//! [`StateStore`]: what obsync knows of one vault at one destination, between runs.
//!
//! The state is one header, one [`Entry`] for each path that obsync wrote, and a short list of
//! records that could not be applied. It is changed by [`Batch`]es, each in one transaction.

use std::collections::HashMap;

use async_trait::async_trait;
use obsidian_sync::{ContentHash, Millis, Uid, VaultVersion};
use serde::{Deserialize, Serialize};

use crate::path::VaultPath;
use crate::store::{FileMeta, Stamp, StoreError};

/// The few facts that every run needs before it knows whether there is work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// All records up to here are applied, or listed (invariant 2). 0 before the first.
    pub cursor: VaultVersion,
    /// The highest uid ever applied: a service below it has been restored or re-created.
    pub highest: Uid,
    /// Which filter the state was made with; another one plans anew.
    pub fingerprint: String,
    /// A full comparison was begun and has not ended.
    pub full_pending: bool,
    /// The destination's mark; `None` before the first run.
    pub destination: Option<String>,
}

/// What obsync last wrote at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A folder that the vault has.
    Folder {
        /// Its record.
        uid: Uid,
    },
    /// A file.
    File(FileEntry),
}

/// What obsync last wrote at a file's path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its record.
    pub uid: Uid,
    /// SHA-256 of the plaintext.
    pub hash: ContentHash,
    /// Plaintext size in bytes.
    pub size: u64,
    /// The record's modification time.
    pub mtime: Millis,
    /// How the store recognises this very write.
    pub stamp: Stamp,
}

impl Entry {
    /// The record it comes from.
    pub fn uid(&self) -> Uid {
        match self {
            Self::Folder { uid } => *uid,
            Self::File(file) => file.uid,
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&FileEntry> {
        match self {
            Self::Folder { .. } => None,
            Self::File(file) => Some(file),
        }
    }
}

/// A record that was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unapplied {
    /// The record's name as decrypted; the encoded one where it could not be.
    pub name: String,
    /// The record.
    pub uid: Uid,
    /// What kind of trouble; see [`UnappliedKind`].
    pub kind: UnappliedKind,
    /// For people: what happened.
    pub message: String,
    /// How many runs have tried it; of [`UnappliedKind::Unfinished`] those that could give it all their
    /// time.
    pub attempts: u32,
    /// The record itself, to try again without the service sending it again; `None` for skipped ones.
    pub record: Option<crate::record::Record>,
}

/// Whether running again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnappliedKind {
    /// Never will: a name that can't be held, that would fold onto another, or that must not be
    /// written. Reported in each summary, no influence on the exit status.
    Skipped,
    /// Tried again next time. The exit status says so.
    Failed,
    /// On its way when the run was told to stop. The cursor has not passed it: it is the next run's
    /// first, and after two whole runs it is listed as failed, so that it never blocks the rest.
    Unfinished,
}

/// Everything in the state but the header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// What was written where.
    pub entries: HashMap<VaultPath, Entry>,
}

/// One change of the state. Applied whole or not at all; what it takes away goes before what it
/// adds, so that a path or name in both is there afterwards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The new header, if it changes.
    pub header: Option<Header>,
    /// Entries to set.
    pub set: Vec<(VaultPath, Entry)>,
    /// Entries to forget.
    pub forget: Vec<VaultPath>,
    /// Notes of intent to add: these files are about to be published.
    pub intend: Vec<(VaultPath, FileMeta)>,
    /// Whether to drop all notes of intent that were there before this batch.
    pub settle: bool,
    /// Records to list as not applied, each replacing what was listed under its name.
    pub list: Vec<Unapplied>,
    /// Names to take off that list.
    pub unlist: Vec<String>,
}

impl Batch {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How runs went: kept beside the state, so that an idle run leaves the state untouched
/// (invariant 4).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunStatus {
    /// Format version of this document; 1.
    pub schema: u32,
    /// The vault's id.
    pub vault_id: String,
    /// The vault's name when it was last seen.
    pub vault_name: String,
    /// The destination, for people.
    pub destination: String,
    /// When a run last began.
    pub last_run: Option<Millis>,
    /// When a run last ended with nothing left to do.
    pub last_success: Option<Millis>,
    /// When a run last changed a file.
    pub last_change: Option<Millis>,
    /// How many files the last run left undone.
    pub pending: u64,
    /// What went wrong last; cleared by a success.
    pub last_error: Option<LastError>,
    /// How far the last run came, if it left something undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Advance>,
}

/// How far a run came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advance {
    /// Files brought, moved or deleted.
    pub done: u64,
    /// Files that its plan had.
    pub planned: u64,
}

/// What went wrong in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When.
    pub at: Millis,
    /// A stable word for the kind.
    pub kind: String,
    /// For people.
    pub message: String,
}

/// Counts that `status` and the guards need without loading all entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files in the state.
    pub files: u64,
    /// Their plaintext bytes.
    pub bytes: u64,
}

/// A home for sync state of one vault at one destination.
///
/// Whoever holds a `StateStore` for writing holds the lock or lease that keeps others out
/// (invariant 5); how it is taken is the implementation's business.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// The header; the default one before the first run.
    ///
    /// # Errors
    /// [`crate::StoreErrorKind::Unusable`] when the state is damaged or from a newer obsync.
    async fn header(&self) -> Result<Header, StoreError>;

    /// Counts over the entries.
    ///
    /// # Errors
    /// As [`StateStore::header`].
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// All entries.
    ///
    /// # Errors
    /// As [`StateStore::header`].
    async fn load(&self) -> Result<Contents, StoreError>;

    /// Notes of intent that no commit has settled: what a crashed run was about to publish.
    ///
    /// # Errors
    /// As [`StateStore::header`].
    async fn intents(&self) -> Result<Vec<(VaultPath, FileMeta)>, StoreError>;

    /// Records listed as not applied.
    ///
    /// # Errors
    /// As [`StateStore::header`].
    async fn unapplied(&self) -> Result<Vec<Unapplied>, StoreError>;

    /// Applies a batch, whole and durably, or not at all. An empty batch writes nothing.
    ///
    /// # Errors
    /// When it could not be applied.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// Makes every commit so far durable. Homes whose files mark themselves
    /// ([`crate::VaultStore::marks_own_files`]) may delay commits until then. It ends a run's
    /// effects: what keeps other runs out may be let go until the next one.
    ///
    /// # Errors
    /// When it could not be done.
    async fn checkpoint(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// How runs went; the default before the first.
    ///
    /// # Errors
    /// When it can't be read.
    async fn status(&self) -> Result<RunStatus, StoreError>;

    /// Notes how a run went.
    ///
    /// # Errors
    /// When it can't be written.
    async fn set_status(&self, status: &RunStatus) -> Result<(), StoreError>;
}
