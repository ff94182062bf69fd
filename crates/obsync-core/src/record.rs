//! A server record, decoded.

use obsidian_sync::{ContentHash, Millis, Uid};
use serde::{Deserialize, Serialize};

use crate::path::VaultPath;

/// The last word of the service on one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The record's number.
    pub uid: Uid,
    /// The path, decrypted and validated.
    pub path: VaultPath,
    /// What the path is now.
    pub change: Change,
}

impl Record {
    /// Whether it speaks of a folder, be it a deleted one.
    pub fn is_folder(&self) -> bool {
        match self.change {
            Change::File(_) => false,
            Change::Folder => true,
            Change::Deleted { folder } => folder,
        }
    }
}

/// What a record says that a path is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A file with this content.
    File(RemoteFile),
    /// A folder.
    Folder,
    /// Nothing any more.
    Deleted {
        /// Whether it was a folder.
        folder: bool,
    },
}

/// A file as the service has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteFile {
    /// SHA-256 of the plaintext, as its writer promised it.
    pub hash: ContentHash,
    /// Encrypted size in bytes; 0 for an empty file.
    pub sealed_size: u64,
    /// Modification time; 0 when unknown.
    pub mtime: Millis,
    /// Birth time; 0 when unknown.
    pub ctime: Millis,
}
