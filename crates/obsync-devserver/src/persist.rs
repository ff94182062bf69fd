//! The data folder: what survives a restart of the service.
//!
//! `service.json` holds accounts and vaults and is replaced as a whole. Each vault has a folder of
//! its own with `records.jsonl`, one record a line, and `content/UID`. Content is written before
//! the record that names it, so that a process killed at any moment leaves a log that can be read;
//! a torn last line is dropped. Nothing is synced to the disk: a power cut is not a test case here.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use obsidian_sync::{Uid, VaultId};
use serde::{Deserialize, Serialize};

use crate::accounts::Accounts;
use crate::error::Error;
use crate::record::Record;
use crate::vault::VaultInfo;

const FORMAT: u32 = 1;

/// What `service.json` holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Saved {
    format: u32,
    pub accounts: Accounts,
    pub vaults: BTreeMap<VaultId, VaultInfo>,
}

impl Saved {
    pub(crate) fn new(accounts: Accounts, vaults: BTreeMap<VaultId, VaultInfo>) -> Self {
        Self {
            format: FORMAT,
            accounts,
            vaults,
        }
    }
}

/// A data folder.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Opens a folder, makes it where it is not there.
    pub(crate) fn open(root: PathBuf) -> Result<Self, Error> {
        make_private(&root)?;
        Ok(Self { root })
    }

    /// What was saved; `None` in a new folder.
    pub(crate) fn load(&self) -> Result<Option<Saved>, Error> {
        let path = self.service_file();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let saved: Saved = serde_json::from_slice(&text).map_err(|error| Error::Data {
            path: path.clone(),
            message: error.to_string(),
        })?;
        if saved.format != FORMAT {
            let message = format!(
                "its format is {}, this program knows {FORMAT}",
                saved.format
            );
            return Err(Error::Data { path, message });
        }
        Ok(Some(saved))
    }

    /// Replaces `service.json`.
    pub(crate) fn save(&self, saved: &Saved) -> Result<(), Error> {
        let path = self.service_file();
        let text = serde_json::to_vec_pretty(saved).map_err(|error| Error::Data {
            path: path.clone(),
            message: error.to_string(),
        })?;
        replace(&path, &text)
    }

    /// The records and the content of a vault.
    pub(crate) fn load_vault(
        &self,
        id: &VaultId,
    ) -> Result<(Vec<Record>, HashMap<Uid, Bytes>), Error> {
        let path = self.records_file(id);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let end = text.rfind('\n').map_or(0, |end| end + 1);
        if end < text.len() {
            replace(&path, &text.as_bytes()[..end])?;
        }
        let records: Vec<Record> = text[..end]
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::Data {
                path,
                message: error.to_string(),
            })?;
        let mut content = HashMap::new();
        for uid in records.iter().filter_map(|record| record.content) {
            if let Entry::Vacant(place) = content.entry(uid) {
                let path = self.content_file(id, uid);
                place.insert(fs::read(&path).map_err(Error::io("read", &path))?.into());
            }
        }
        Ok((records, content))
    }

    /// Adds content under the uid of the record that brings it.
    pub(crate) fn keep(&self, id: &VaultId, uid: Uid, content: &[u8]) -> Result<(), Error> {
        make_private(&self.content_folder(id))?;
        replace(&self.content_file(id, uid), content)
    }

    /// Adds one record.
    pub(crate) fn append(&self, id: &VaultId, record: &Record) -> Result<(), Error> {
        make_private(&self.vault_folder(id))?;
        let path = self.records_file(id);
        let line = line(record, &path)?;
        let mut file = private()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        file.write_all(&line).map_err(Error::io("write", &path))
    }

    /// Replaces a vault's records, after a purge or a rollback, and drops content without a record.
    pub(crate) fn rewrite(&self, id: &VaultId, records: &[Arc<Record>]) -> Result<(), Error> {
        make_private(&self.content_folder(id))?;
        let path = self.records_file(id);
        let mut text = Vec::new();
        for record in records {
            text.extend(line(record, &path)?);
        }
        replace(&path, &text)?;
        let used: HashSet<_> = records
            .iter()
            .filter_map(|record| record.content)
            .map(|uid| uid.to_string())
            .collect();
        let folder = self.content_folder(id);
        for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
            let entry = entry.map_err(Error::io("list", &folder))?;
            if !entry
                .file_name()
                .to_str()
                .is_some_and(|name| used.contains(name))
            {
                fs::remove_file(entry.path()).map_err(Error::io("remove", entry.path()))?;
            }
        }
        Ok(())
    }

    /// Drops all of a vault.
    pub(crate) fn remove_vault(&self, id: &VaultId) -> Result<(), Error> {
        let folder = self.vault_folder(id);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", &folder)(error))
            }
            _ => Ok(()),
        }
    }

    fn service_file(&self) -> PathBuf {
        self.root.join("service.json")
    }

    // Ids are checked to be plain words before a vault is made: see `vault::check_id`.
    fn vault_folder(&self, id: &VaultId) -> PathBuf {
        self.root.join("vaults").join(id.as_str())
    }

    fn records_file(&self, id: &VaultId) -> PathBuf {
        self.vault_folder(id).join("records.jsonl")
    }

    fn content_folder(&self, id: &VaultId) -> PathBuf {
        self.vault_folder(id).join("content")
    }

    fn content_file(&self, id: &VaultId, uid: Uid) -> PathBuf {
        self.content_folder(id).join(uid.to_string())
    }
}

fn line(record: &Record, path: &Path) -> Result<Vec<u8>, Error> {
    let mut line = serde_json::to_vec(record).map_err(|error| Error::Data {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    line.push(b'\n');
    Ok(line)
}

fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    // What a program that was killed left may be open to all.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(Error::io("remove", &temporary)(error));
        }
        _ => {}
    }
    private()
        .write(true)
        .create_new(true)
        .open(&temporary)
        .and_then(|mut file| file.write_all(content))
        .map_err(Error::io("write", &temporary))?;
    fs::rename(&temporary, path).map_err(Error::io("replace", path))
}

/// Opens files that only their owner can read: `service.json` holds passwords and tokens.
fn private() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// Makes a folder that only its owner can read.
fn make_private(path: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder
        .recursive(true)
        .create(path)
        .map_err(Error::io("create", path))
}
