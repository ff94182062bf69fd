//! What a run tells while it works. The engine emits; front ends draw.

use crate::path::VaultPath;

/// Takes events. Called from several tasks at once; must not block.
pub trait Progress: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

/// Something that happened in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A connection to the vault's host is being opened.
    Connecting,
    /// So many records of the backlog have been read.
    Records(u64),
    /// The plan stands.
    Planned {
        /// Files to fetch.
        downloads: u64,
        /// Plaintext bytes to fetch.
        bytes: u64,
        /// Files to move or copy.
        moves: u64,
        /// Files to delete.
        deletions: u64,
    },
    /// A comparison begins.
    Comparing {
        /// Files to compare.
        files: u64,
        /// Their plaintext bytes.
        bytes: u64,
    },
    /// A file was compared.
    Compared {
        /// Which.
        path: &'a VaultPath,
        /// Its plaintext bytes.
        bytes: u64,
    },
    /// So many connections are open.
    Connections(usize),
    /// So many more plaintext bytes have been fetched and decrypted.
    Bytes(u64),
    /// A fetched file is in place.
    Downloaded(&'a VaultPath),
    /// A file was moved or copied into place.
    Moved(&'a VaultPath),
    /// A file was deleted.
    Deleted(&'a VaultPath),
    /// Local content was kept under another name.
    Kept {
        /// Whose place the vault's content took.
        path: &'a VaultPath,
        /// Where the local content is now.
        kept_as: &'a VaultPath,
    },
    /// A file could not be brought.
    Failed {
        /// Which.
        path: &'a VaultPath,
        /// Why.
        message: &'a str,
    },
    /// Something that a person should know.
    Note(&'a str),
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: Event<'_>) {}
}
