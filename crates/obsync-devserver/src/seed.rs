//! The files of a vault, seen from inside: what a client with the password would push and pull.
//!
//! Names are taken as they are, so that a hostile one is just `put` under that name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use obsidian_sync::crypto::VaultCipher;
use obsidian_sync::{ContentHash, EncodedName, Millis, Uid, VaultId, VaultVersion};
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization as _;

use crate::error::Error;
use crate::log::Found;
use crate::record::{Change, Record};
use crate::service::{Service, to_millis};
use crate::vault::Content;

/// A record made by hand: nothing is checked, nothing has to fit together.
#[derive(Debug, Clone, Default)]
pub struct RawRecord {
    /// The encoded path.
    pub path: EncodedName,
    /// The encoded hash.
    pub hash: EncodedName,
    /// The sealed content of a file.
    pub content: Option<Bytes>,
    /// Whether it is a folder.
    pub folder: bool,
    /// Whether it is a deletion.
    pub deleted: bool,
    /// Fields of the wire form to replace or add, such as `size`, `mtime` or `uid`, with any value.
    pub fields: Map<String, Value>,
}

/// What seeding a vault from a directory put into it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seeded {
    /// Files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Bytes of plaintext.
    pub bytes: u64,
}

impl Service {
    /// The key of a vault, to make encoded names and sealed content of one's own.
    ///
    /// # Errors
    /// Where there is no such vault or its password is not known here.
    pub fn cipher(&self, vault: &VaultId) -> Result<VaultCipher, Error> {
        self.store().cipher(vault)
    }

    /// Puts a file, as another device would push it. Parent folders are not made.
    ///
    /// # Errors
    /// Where there is no such vault, its password is not known here, or saving fails.
    pub fn put(
        &self,
        vault: &VaultId,
        path: &str,
        content: &[u8],
        mtime: Millis,
    ) -> Result<Uid, Error> {
        let cipher = self.cipher(vault)?;
        let hash = cipher.encode_hash(Some(ContentHash::of(content)));
        let kept = self.store().vault(vault)?.log.with_hash(&hash);
        let (content, size) = kept.map_or_else(
            || {
                let sealed = Bytes::from(cipher.seal(content));
                let size = sealed.len() as u64;
                (Content::New(sealed), size)
            },
            |(uid, size)| (Content::Kept(uid), size),
        );
        let change = Change {
            deleted: false,
            hash,
            size,
            ctime: mtime.0.into(),
            mtime: mtime.0.into(),
            ..Change::deletion(cipher.encode_name(path))
        };
        let now = self.now_millis();
        Ok(self.store().commit(vault, change, content, now)?.uid)
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// As [`Service::put`].
    pub fn mkdir(&self, vault: &VaultId, path: &str) -> Result<Uid, Error> {
        let path = self.cipher(vault)?.encode_name(path);
        let now = self.now_millis();
        Ok(self
            .store()
            .commit(vault, Change::folder(path, false), Content::None, now)?
            .uid)
    }

    /// Deletes a file, or a folder with all below it, deepest first. Returns the last record's uid.
    ///
    /// # Errors
    /// As [`Service::put`]; [`Error::NoFile`] where nothing is at the path.
    pub fn delete(&self, vault: &VaultId, path: &str) -> Result<Uid, Error> {
        let cipher = self.cipher(vault)?;
        let mut last = Uid(0);
        for (name, record) in self.below(vault, &cipher, path)?.iter().rev() {
            last = self.end(vault, cipher.encode_name(name), record)?;
        }
        Ok(last)
    }

    /// Renames a file, or a folder with all below it: the old paths are deleted, the new ones
    /// created with the same content. Returns the last record's uid.
    ///
    /// # Errors
    /// As [`Service::delete`].
    pub fn rename(&self, vault: &VaultId, from: &str, to: &str) -> Result<Uid, Error> {
        let cipher = self.cipher(vault)?;
        let moved = self.below(vault, &cipher, from)?;
        for (name, record) in moved.iter().rev() {
            self.end(vault, cipher.encode_name(name), record)?;
        }
        let mut last = Uid(0);
        for (name, record) in &moved {
            let target = format!("{to}{}", &name[from.len()..]);
            let change = Change {
                path: cipher.encode_name(&target),
                related_path: Some(cipher.encode_name(name)),
                ..record.change.clone()
            };
            let content = record.content.map_or(Content::None, Content::Kept);
            let now = self.now_millis();
            last = self.store().commit(vault, change, content, now)?.uid;
        }
        Ok(last)
    }

    /// Adds a record made by hand. Its content never answers another push's hash.
    ///
    /// # Errors
    /// Where there is no such vault, or saving fails.
    pub fn put_raw(&self, vault: &VaultId, raw: RawRecord) -> Result<Uid, Error> {
        let change = Change {
            hash: raw.hash,
            size: raw
                .content
                .as_ref()
                .map_or(0, |content| content.len() as u64),
            folder: raw.folder,
            deleted: raw.deleted,
            ..Change::deletion(raw.path)
        };
        let content = raw.content.map_or(Content::None, Content::New);
        let now = self.now_millis();
        let mut store = self.store();
        let draft = store.vault(vault)?.draft(change, &content, now);
        let record = Record {
            forged: true,
            overrides: raw.fields,
            ..draft
        };
        Ok(store.commit_record(vault, record, content)?.uid)
    }

    /// Puts a directory into a vault as a client would push it: folders too, times from the disk,
    /// names normalised, parents first, in a stable order. Entries whose name starts with a dot are
    /// left out, apart from `.obsidian` at the root; so are symbolic links.
    ///
    /// # Errors
    /// As [`Service::put`]; or where the directory can't be read or holds a name that is not UTF-8.
    pub fn seed(&self, vault: &VaultId, directory: &Path) -> Result<Seeded, Error> {
        let mut seeded = Seeded::default();
        self.seed_below(vault, directory, "", &mut seeded)?;
        Ok(seeded)
    }

    /// The files of the vault as it stands, decrypted. Files whose name or content can't be
    /// decrypted are left out: no client could show them.
    ///
    /// # Errors
    /// Where there is no such vault or its password is not known here.
    pub fn tree(&self, vault: &VaultId) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        let cipher = self.cipher(vault)?;
        let live = self.live(vault, &cipher)?;
        let files = live.into_iter().filter(|(_, record)| !record.change.folder);
        let found = files.filter_map(|(name, record)| {
            let Found::Content(sealed) = self.store().vault(vault).ok()?.log.find(record.uid)
            else {
                return None;
            };
            Some((name, cipher.open(sealed.to_vec()).ok()?))
        });
        Ok(found.collect())
    }

    /// The folders of the vault as it stands.
    ///
    /// # Errors
    /// Where there is no such vault or its password is not known here.
    pub fn folders(&self, vault: &VaultId) -> Result<BTreeSet<String>, Error> {
        let cipher = self.cipher(vault)?;
        let live = self.live(vault, &cipher)?;
        Ok(live
            .into_iter()
            .filter(|(_, record)| record.change.folder)
            .map(|(name, _)| name)
            .collect())
    }

    /// The uid of the last record at a path.
    ///
    /// # Errors
    /// Where there is no such vault, its password is not known here, or nothing ever was at the path.
    pub fn uid_of(&self, vault: &VaultId, path: &str) -> Result<Uid, Error> {
        let name = self.cipher(vault)?.encode_name(path);
        let store = self.store();
        let record = store.vault(vault)?.log.last(&name);
        record
            .map(|record| record.uid)
            .ok_or_else(|| no_file(vault, path))
    }

    fn seed_below(
        &self,
        vault: &VaultId,
        directory: &Path,
        prefix: &str,
        seeded: &mut Seeded,
    ) -> Result<(), Error> {
        let mut entries: Vec<_> = fs::read_dir(directory)
            .and_then(Iterator::collect)
            .map_err(Error::io("list", directory))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let file = entry.path();
            let name = entry.file_name().into_string().map_err(|name| {
                Error::Invalid(format!(
                    "{} holds a name that is not UTF-8: {name:?}",
                    directory.display()
                ))
            })?;
            if name.starts_with('.') && !(prefix.is_empty() && name == ".obsidian") {
                continue;
            }
            let path = format!("{prefix}{}", normalise(&name));
            let kind = entry.file_type().map_err(Error::io("look at", &file))?;
            if kind.is_dir() {
                self.mkdir(vault, &path)?;
                seeded.folders += 1;
                self.seed_below(vault, &file, &format!("{path}/"), seeded)?;
            } else if kind.is_file() {
                let content = fs::read(&file).map_err(Error::io("read", &file))?;
                let modified = entry.metadata().and_then(|metadata| metadata.modified());
                let mtime = to_millis(modified.map_err(Error::io("look at", &file))?);
                self.put(vault, &path, &content, mtime)?;
                seeded.files += 1;
                seeded.bytes += content.len() as u64;
            }
        }
        Ok(())
    }

    /// Everything live, by decrypted name.
    fn live(
        &self,
        vault: &VaultId,
        cipher: &VaultCipher,
    ) -> Result<BTreeMap<String, Arc<Record>>, Error> {
        let records = self.store().vault(vault)?.log.live_since(VaultVersion(0));
        let named = records
            .into_iter()
            .filter_map(|record| Some((cipher.decode_name(&record.change.path).ok()?, record)));
        Ok(named.collect())
    }

    /// What is at a path and below it, parents first.
    fn below(
        &self,
        vault: &VaultId,
        cipher: &VaultCipher,
        path: &str,
    ) -> Result<Vec<(String, Arc<Record>)>, Error> {
        let inside = format!("{path}/");
        let live = self.live(vault, cipher)?.into_iter();
        let found: Vec<_> = live
            .filter(|(name, _)| name == path || name.starts_with(&inside))
            .collect();
        if found.is_empty() {
            Err(no_file(vault, path))
        } else {
            Ok(found)
        }
    }

    fn end(&self, vault: &VaultId, path: EncodedName, record: &Record) -> Result<Uid, Error> {
        let change = if record.change.folder {
            Change::folder(path, true)
        } else {
            Change::deletion(path)
        };
        let now = self.now_millis();
        Ok(self.store().commit(vault, change, Content::None, now)?.uid)
    }
}

fn no_file(vault: &VaultId, path: &str) -> Error {
    Error::NoFile {
        vault: vault.clone(),
        path: path.to_owned(),
    }
}

/// A local name as clients send it: NFC, no-break spaces turned into plain ones.
fn normalise(name: &str) -> String {
    name.nfc()
        .map(|c| {
            if matches!(c, '\u{a0}' | '\u{202f}') {
                ' '
            } else {
                c
            }
        })
        .collect()
}
