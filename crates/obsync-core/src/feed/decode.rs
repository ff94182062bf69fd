//! One wire record, decoded as far as it can be.

use obsidian_sync::ContentHash;
use obsidian_sync::crypto::VaultCipher;
use obsidian_sync::wire::RawRecord;

use super::Item;
use crate::path::VaultPath;
use crate::record::{Change, Record, RemoteFile};
use crate::state::{Unapplied, UnappliedKind};

/// Longer than any file system's path; past it, a name is cut for the report.
const LONGEST_NAME: usize = 4096;

/// The record's name, as far as it can be told, and what is known of it.
pub(super) fn decode(cipher: &VaultCipher, raw: &RawRecord) -> (String, Item) {
    let unusable = |name: String, message: String| {
        let item = match raw.deleted {
            true => Item::Cleared(raw.uid),
            false => Item::Unusable(Box::new(Unapplied {
                name: name.clone(),
                uid: raw.uid,
                kind: UnappliedKind::Skipped,
                message,
                attempts: 0,
                record: None,
            })),
        };
        (name, item)
    };
    let name = match cipher.decode_name(&raw.path) {
        Ok(name) if name.len() <= LONGEST_NAME => name,
        Ok(name) => {
            let cut = name.floor_char_boundary(LONGEST_NAME);
            return unusable(
                format!("{}…", &name[..cut]),
                "the name is too long".to_owned(),
            );
        }
        Err(error) => {
            let cut = raw.path.as_str().floor_char_boundary(LONGEST_NAME);
            let shown = raw.path.as_str()[..cut].to_owned();
            return unusable(shown, format!("the name can't be decrypted: {error}"));
        }
    };
    let path = match VaultPath::parse(&name) {
        Ok(path) => path,
        Err(problem) => return unusable(name, problem.to_string()),
    };
    let change = if raw.deleted {
        Change::Deleted { folder: raw.folder }
    } else if raw.folder {
        Change::Folder
    } else {
        let hash = match cipher.decode_hash(&raw.hash) {
            Ok(Some(hash)) => hash,
            Ok(None) if raw.size == 0 => ContentHash::of(b""),
            Ok(None) => return unusable(name, "the record names no content hash".to_owned()),
            Err(error) => {
                return unusable(
                    name,
                    format!("the content hash can't be decrypted: {error}"),
                );
            }
        };
        Change::File(RemoteFile {
            hash,
            sealed_size: raw.size,
            mtime: raw.mtime,
            ctime: raw.ctime,
        })
    };
    (
        name,
        Item::Usable(Record {
            uid: raw.uid,
            path,
            change,
        }),
    )
}
