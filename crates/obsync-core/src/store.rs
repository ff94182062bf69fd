//! [`VaultStore`]: a home for a vault's files. Implementations sit around this crate.
//!
//! # The contract
//! - A file appears at its path whole, or not at all: content is staged where no reader looks, and
//!   [`VaultStore::publish`] makes it visible in one step (invariant 1).
//! - Nothing outside the store's root is read or written, whatever stands in the way (invariant 6).
//! - Every change of a path is conditional on an [`Expect`]: what the caller believes is there. When
//!   it is not, the call fails with [`StoreErrorKind::Changed`] and nothing happened (invariant 3).
//! - Every call may be repeated after a crash: deleting what is absent succeeds.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use obsidian_sync::{ContentHash, Millis, Uid};
use serde::{Deserialize, Serialize};

use crate::path::{PathProblem, VaultPath};

/// How a store recognises its own last write without reading content: folder stores use size,
/// time and file number, S3 uses the ETag. Opaque to the engine; equal means untouched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(pub String);

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// A regular file.
    File {
        /// Its identity now.
        stamp: Stamp,
        /// Its size in bytes.
        size: u64,
    },
    /// A folder.
    Folder,
    /// Something the store will not touch: a symbolic link, a device, or a link among its parents.
    Foreign(String),
}

/// What must be at a path for a change to go ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Nothing may be there.
    Absent,
    /// The file with this stamp must be there.
    Is(Stamp),
}

/// What a file is to be, besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMeta {
    /// The record it comes from.
    pub uid: Uid,
    /// SHA-256 of the plaintext.
    pub hash: ContentHash,
    /// Plaintext size in bytes.
    pub size: u64,
    /// Modification time; 0 when the service knows none.
    pub mtime: Millis,
    /// Birth time; 0 when the service knows none. Set where the store can.
    pub ctime: Millis,
}

/// What may stand for a file's bytes when its content is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust<'a> {
    /// Nothing: every byte is read.
    Nothing,
    /// What the store's service computed when it took the bytes. What we wrote beside them counts
    /// only if the file has this size and is still `known`, our last write.
    Records {
        /// The size in bytes that the content must have.
        size: u64,
        /// The stamp of our last write there.
        known: Option<&'a Stamp>,
    },
}

/// One entry of [`VaultStore::list`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Where it is.
    pub path: VaultPath,
    /// What it is.
    pub found: Found,
}

/// A listing in pages; an error ends it.
pub type Pages<'a> = BoxStream<'a, Result<Vec<Listed>, StoreError>>;

/// Which names a store takes for the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Folding {
    /// `Note.md` and `note.md` are one file.
    pub case: bool,
    /// A composed and a decomposed `é` are one file.
    pub unicode: bool,
}

impl Folding {
    /// The key under which two names are the same file on such a store.
    pub fn key(self, path: &VaultPath) -> String {
        use unicode_normalization::UnicodeNormalization as _;
        let text = path.as_str();
        match (self.unicode, self.case) {
            (false, false) => text.to_owned(),
            (true, false) => text.nfd().collect(),
            (false, true) => text.chars().flat_map(char::to_lowercase).collect(),
            (true, true) => text.nfd().flat_map(char::to_lowercase).nfd().collect(),
        }
    }

    /// Whether any names fold at all.
    pub fn any(self) -> bool {
        self.case || self.unicode
    }
}

/// Content that lies staged, checked and not yet visible. Dropping it discards it.
pub struct Staged {
    /// Where it will appear.
    pub path: VaultPath,
    /// What it will be.
    pub meta: FileMeta,
    /// The store's own handle; only the store that made it understands it.
    pub handle: Box<dyn std::any::Any + Send>,
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged")
            .field("path", &self.path)
            .field("meta", &self.meta)
            .finish()
    }
}

/// A file that is being staged piece by piece. Dropping it discards it.
#[async_trait]
pub trait StagedWriter: Send {
    /// Adds bytes.
    ///
    /// # Errors
    /// When the store can't take them; the writer is then of no more use.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError>;

    /// Ends the content and makes it durable. `meta` is what the bytes were checked against.
    ///
    /// # Errors
    /// When the store can't make it durable.
    async fn finish(self: Box<Self>, meta: FileMeta) -> Result<Staged, StoreError>;
}

/// A home for a vault's files. See the module for the contract.
#[async_trait]
pub trait VaultStore: Send + Sync {
    /// Where it is, for people: a folder's path, an S3 URL.
    fn location(&self) -> String;

    /// Which names fold together here. Before [`VaultStore::set_identity`] it may be an estimate: a
    /// folder tells only when something is written to it.
    fn folding(&self) -> Folding;

    /// Whether folders exist by themselves. Where they don't (S3), every folder counts as there.
    fn has_folders(&self) -> bool {
        true
    }

    /// Whether files carry a mark of whose they are (S3 metadata), so that state needs no note of
    /// intent before a publish (invariant 2).
    fn marks_own_files(&self) -> bool {
        false
    }

    /// Whether the store could hold this name. Pure.
    ///
    /// # Errors
    /// [`PathProblem::Unholdable`] with the reason.
    fn check_path(&self, path: &VaultPath) -> Result<(), PathProblem>;

    /// The id that marks this destination; `None` when it bears no mark.
    ///
    /// # Errors
    /// When it can't be read.
    async fn identity(&self) -> Result<Option<String>, StoreError>;

    /// Marks this destination, outside the vault's own namespace. Creates the root where missing.
    ///
    /// # Errors
    /// When it can't be written.
    async fn set_identity(&self, id: &str) -> Result<(), StoreError>;

    /// Whether nothing but the mark is there; also when the root does not exist.
    ///
    /// # Errors
    /// When it can't be listed.
    async fn is_empty(&self) -> Result<bool, StoreError>;

    /// The text of the user's ignore file (`.obsyncignore` at the root), if any.
    ///
    /// # Errors
    /// When it is there and can't be read.
    async fn ignore_file(&self) -> Result<Option<String>, StoreError>;

    /// What is at a path. `known` is the stamp of our last write there: a store that can't look
    /// without a request (S3) may answer from it, since every change is conditional anyway.
    ///
    /// # Errors
    /// When it can't be told.
    async fn inspect(&self, path: &VaultPath, known: Option<&Stamp>) -> Result<Found, StoreError>;

    /// The SHA-256 of the file at a path, with the stamp that it was read under; `None` if no
    /// regular file is there.
    ///
    /// # Errors
    /// When it can't be read, or changes while it is read.
    async fn hash(&self, path: &VaultPath) -> Result<Option<(ContentHash, Stamp)>, StoreError>;

    /// As [`VaultStore::hash`], for a check of what lies there: `trust` says what may stand for the
    /// bytes. Stores that always read them need not care.
    ///
    /// # Errors
    /// As [`VaultStore::hash`].
    async fn check_hash(
        &self,
        path: &VaultPath,
        trust: Trust<'_>,
    ) -> Result<Option<(ContentHash, Stamp)>, StoreError> {
        let _ = trust;
        self.hash(path).await
    }

    /// Everything under the root but the mark, the ignore file, staging places, and whatever is
    /// below a dot-folder that is not `config_dir`. Folders come before what is in them. A folder that
    /// can't be listed comes as [`Found::Foreign`], without what is in it.
    ///
    /// # Errors
    /// When it can't be listed as a whole.
    async fn list(&self, config_dir: &str) -> Result<Vec<Listed>, StoreError>;

    /// The same a page at a time, in any order, for comparisons of many paths: of stores that would
    /// list everything for that anyway, and where everything at once takes much memory (S3). `None` of
    /// stores that can as well look at each path.
    fn pages<'a>(&'a self, config_dir: &'a str) -> Option<Pages<'a>> {
        let _ = config_dir;
        None
    }

    /// Stages content that lies in memory.
    ///
    /// # Errors
    /// When the store can't take it.
    async fn stage(
        &self,
        path: &VaultPath,
        content: Bytes,
        meta: FileMeta,
    ) -> Result<Staged, StoreError>;

    /// Stages content that is still coming. `size` is the plaintext size to expect, in bytes.
    ///
    /// # Errors
    /// When the store can't take it.
    async fn stage_stream(
        &self,
        path: &VaultPath,
        size: u64,
    ) -> Result<Box<dyn StagedWriter>, StoreError>;

    /// As [`VaultStore::stage_stream`], for content whose meta is known before its bytes: a store
    /// whose files carry a mark (S3) must know it when large content begins.
    ///
    /// # Errors
    /// When the store can't take it.
    async fn stage_stream_of(
        &self,
        path: &VaultPath,
        meta: &FileMeta,
    ) -> Result<Box<dyn StagedWriter>, StoreError> {
        self.stage_stream(path, meta.size).await
    }

    /// The most bytes of content that a writer of [`VaultStore::stage_stream_of`] holds in memory.
    fn stream_memory(&self) -> u64 {
        0
    }

    /// Stages a copy of a file that is already here. Fails with [`StoreErrorKind::Changed`] when
    /// the source is no longer `source_stamp` or its bytes are not `meta.hash`.
    ///
    /// # Errors
    /// When the source is gone or changed, or the store can't take the copy.
    async fn stage_copy(
        &self,
        source: &VaultPath,
        source_stamp: &Stamp,
        path: &VaultPath,
        meta: FileMeta,
    ) -> Result<Staged, StoreError>;

    /// Makes staged content visible at its path in one step, creating the folders above it.
    /// Replaced content goes where `retire` says.
    ///
    /// # Errors
    /// [`StoreErrorKind::Changed`] when `expect` does not hold: nothing happened, and the staged
    /// content is handed back to try again. [`StoreErrorKind::InTheWay`], likewise, when a folder
    /// or a link is at the path, or something that is no folder above it.
    async fn publish(
        &self,
        staged: Staged,
        expect: &Expect,
        retire: Retire,
    ) -> Result<Stamp, PublishError>;

    /// Moves one of our files to another path in one step, setting `meta`.
    ///
    /// # Errors
    /// [`StoreErrorKind::Changed`] when the source is not `source_stamp` or something is at `to`.
    async fn rename(
        &self,
        from: &VaultPath,
        source_stamp: &Stamp,
        to: &VaultPath,
        meta: &FileMeta,
    ) -> Result<Stamp, StoreError>;

    /// Moves whatever is at `from`, a file or a folder, to `to`, where nothing may be: how local
    /// content is kept out of the way of the vault's.
    ///
    /// # Errors
    /// [`StoreErrorKind::Changed`] when something is at `to`, or nothing at `from`.
    async fn set_aside(&self, from: &VaultPath, to: &VaultPath) -> Result<(), StoreError>;

    /// Removes a file that is still `stamp`. Absent is success.
    ///
    /// # Errors
    /// [`StoreErrorKind::Changed`] when it is not `stamp`, or no file.
    async fn remove_file(
        &self,
        path: &VaultPath,
        stamp: &Stamp,
        retire: Retire,
    ) -> Result<(), StoreError>;

    /// Removes several files, each as [`VaultStore::remove_file`] would, in no order; gives one result
    /// for each. Stores that can do it with fewer or overlapping requests (S3) have their own.
    async fn remove_files(
        &self,
        removals: &[(&VaultPath, &Stamp, Retire)],
    ) -> Vec<Result<(), StoreError>> {
        let mut results = Vec::with_capacity(removals.len());
        for (path, stamp, retire) in removals {
            results.push(self.remove_file(path, stamp, *retire).await);
        }
        results
    }

    /// Creates a folder, and those above it. Present is success.
    ///
    /// # Errors
    /// [`StoreErrorKind::InTheWay`] when something else is there.
    async fn create_folder(&self, path: &VaultPath) -> Result<(), StoreError>;

    /// Removes a folder if it is empty. `Ok(false)`: it is not, and stays. Absent is success.
    ///
    /// # Errors
    /// When it is no folder, or can't be removed.
    async fn remove_folder(&self, path: &VaultPath) -> Result<bool, StoreError>;

    /// Makes all that was published, renamed and removed so far durable. The engine calls it once
    /// a batch, before it records the batch in state.
    ///
    /// # Errors
    /// When durability can't be had.
    async fn flush(&self) -> Result<(), StoreError>;

    /// Clears what a crashed run left staged. Called once a run, under the lock.
    ///
    /// # Errors
    /// When it can't be cleared.
    async fn sweep(&self) -> Result<(), StoreError>;

    /// Where content of others is that lost its place in the very instant of a change here, and
    /// could not be given it back; for as long as it lies there, for people to act on. Called at
    /// the end of each run, under the lock; what a crashed run left of the kind is taken care of
    /// first. Cheap: most runs find nothing. Stores whose changes are conditional in one step (S3)
    /// have none.
    ///
    /// # Errors
    /// When it can't be told.
    async fn rescued(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

/// Where replaced or removed content goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retire {
    /// It is the vault's own, unchanged: discard it.
    Discard,
    /// Somebody may miss it (`mirror`): keep it in the trash.
    Trash,
}

/// A failure of a [`VaultStore`] or [`crate::StateStore`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What the caller does next.
    pub kind: StoreErrorKind,
    /// For people: what happened, to what.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A store's failure, named by what the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// What is there is not what was expected: look again, keep what is there.
    Changed,
    /// A file stands where a folder is needed, or the reverse, or a link is in the way.
    InTheWay,
    /// The name can't be held here; trying again can't help.
    Unholdable,
    /// No space, or no quota, is left: end the run, nothing more will fit.
    Full,
    /// Not permitted, for this file.
    Denied,
    /// The state is damaged, or written by a newer obsync: refuse to work on it.
    Unusable,
    /// Another run holds the lock or lease.
    Busy,
    /// Something else that may pass next time.
    Other,
}

impl StoreErrorKind {
    /// Whether every other file would meet it too.
    pub fn ends_all(self) -> bool {
        matches!(self, Self::Full | Self::Unusable | Self::Busy)
    }
}

impl StoreError {
    /// Makes an error.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// A publish that did not happen.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct PublishError {
    /// The content, to try again with; `None` where it was lost with the failure.
    pub staged: Option<Staged>,
    /// Why.
    #[source]
    pub error: StoreError,
}
