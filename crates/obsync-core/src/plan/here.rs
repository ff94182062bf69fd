//! What is at the destination, as a plan sees it.

use obsidian_sync::ContentHash;

use super::Input;
use crate::path::VaultPath;
use crate::state::Entry;
use crate::store::Stamp;

/// What is at a path, compared with what the state says was written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// Nothing.
    Absent,
    /// A file with the very content that the state lists, under this stamp.
    Ours(Stamp),
    /// A file with other content: an edit, or a file that obsync never wrote.
    Other {
        /// SHA-256 of its content.
        hash: ContentHash,
        /// Its identity when it was looked at.
        stamp: Stamp,
    },
    /// A folder.
    Folder,
    /// Something that must not be touched, such as a symbolic link; the text says what.
    Foreign(String),
    /// A file whose content can't be read, and so not be told from the vault's; the text says why.
    Unreadable(String),
}

/// As [`Local`], of what is told or as the state has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here<'a> {
    Absent,
    Ours(&'a Stamp),
    Other {
        hash: &'a ContentHash,
        stamp: &'a Stamp,
    },
    Folder,
    Foreign(&'a str),
    Unreadable(&'a str),
}

impl<'a> From<&'a Local> for Here<'a> {
    fn from(local: &'a Local) -> Self {
        match local {
            Local::Absent => Self::Absent,
            Local::Ours(stamp) => Self::Ours(stamp),
            Local::Other { hash, stamp } => Self::Other { hash, stamp },
            Local::Folder => Self::Folder,
            Local::Foreign(what) => Self::Foreign(what),
            Local::Unreadable(why) => Self::Unreadable(why),
        }
    }
}

impl<'a> Input<'a> {
    /// What is at a path: as it was told, else as the state has it.
    pub(super) fn at(&self, path: &VaultPath) -> Here<'a> {
        if let Some(local) = self.local.get(path) {
            return local.into();
        }
        match self.entries.get(path) {
            Some(Entry::File(file)) => Here::Ours(&file.stamp),
            Some(Entry::Folder { .. }) => Here::Folder,
            None => Here::Absent,
        }
    }
}
