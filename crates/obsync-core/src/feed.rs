//! The feed: a backlog of wire records becomes the last decoded record of each path.

use std::collections::{HashMap, HashSet};

use obsidian_sync::client::{Notice, SyncClient};
use obsidian_sync::crypto::VaultCipher;
use obsidian_sync::wire::RawRecord;
use obsidian_sync::{ContentHash, Error, Kind, Uid, VaultVersion};

use crate::path::VaultPath;
use crate::progress::{Event, Progress};
use crate::record::{Change, Record, RemoteFile};
use crate::state::{Unapplied, UnappliedKind};

/// What the service had to say, in one piece.
#[derive(Debug, Default)]
pub struct Feed {
    /// The last record of each path, ascending by uid.
    pub records: Vec<Record>,
    /// Records whose names or hashes can't be used; the last of each name.
    pub unusable: Vec<Unapplied>,
    /// Unusable names whose last record is a deletion: nothing to report any more.
    pub cleared: Vec<String>,
    /// The vault's version after these records.
    pub version: VaultVersion,
    /// The highest uid among them; 0 if there is none.
    pub highest: Uid,
    /// How many records were read.
    pub count: u64,
}

/// More records than any vault has; past it, somebody is filling our memory.
const MOST_RECORDS: u64 = 20_000_000;
/// Longer than any file system's path; past it, a name is cut for the report.
const LONGEST_NAME: usize = 4096;

/// Reads a backlog up to `ready`. `initial` says that it was asked for as an initial one, whose
/// deleted records are to be ignored (protocol section 4.1).
///
/// # Errors
/// The connection's; [`Kind::Protocol`] for a backlog without end.
pub async fn read(
    client: &mut SyncClient,
    cipher: &VaultCipher,
    initial: bool,
    progress: &dyn Progress,
) -> Result<Feed, Error> {
    let mut collector = Collector::new(cipher, initial);
    loop {
        match client.next_due().await? {
            Notice::Record(raw) => {
                collector.take(&raw);
                if collector.count > MOST_RECORDS {
                    return Err(Error::new(
                        Kind::Protocol,
                        "the service's backlog has no end",
                    ));
                }
                if collector.count.is_multiple_of(1000) {
                    progress.event(Event::Records(collector.count));
                }
            }
            Notice::Ready(version) => {
                progress.event(Event::Records(collector.count));
                return Ok(collector.finish(version));
            }
        }
    }
}

/// Keeps the last record of each path.
pub struct Collector<'a> {
    cipher: &'a VaultCipher,
    initial: bool,
    count: u64,
    highest: Uid,
    latest: HashMap<String, Item>,
}

enum Item {
    Usable(Record),
    // Boxed: rare, and larger than all others.
    Unusable(Box<Unapplied>),
    Cleared(Uid),
}

impl Item {
    fn uid(&self) -> Uid {
        match self {
            Self::Usable(record) => record.uid,
            Self::Unusable(item) => item.uid,
            Self::Cleared(uid) => *uid,
        }
    }
}

impl<'a> Collector<'a> {
    /// Starts with nothing.
    pub fn new(cipher: &'a VaultCipher, initial: bool) -> Self {
        Self {
            cipher,
            initial,
            count: 0,
            highest: Uid(0),
            latest: HashMap::new(),
        }
    }

    /// Takes one record in. Its order in the backlog does not matter, only its uid.
    pub fn take(&mut self, raw: &RawRecord) {
        self.count += 1;
        self.highest = self.highest.max(raw.uid);
        if self.initial && raw.deleted {
            return;
        }
        let (name, item) = decode(self.cipher, raw);
        if self
            .latest
            .get(&name)
            .is_none_or(|old| old.uid() <= raw.uid)
        {
            self.latest.insert(name, item);
        }
    }

    /// Ends with the version that `ready` announced.
    pub fn finish(self, version: VaultVersion) -> Feed {
        let mut feed = Feed {
            // A version above the highest uid counts; one below it would be a contradiction.
            version: version.max(self.highest.into()),
            highest: self.highest,
            count: self.count,
            records: Vec::with_capacity(self.latest.len()),
            ..Feed::default()
        };
        for (name, item) in self.latest {
            match item {
                Item::Usable(record) => feed.records.push(record),
                Item::Unusable(item) => feed.unusable.push(*item),
                Item::Cleared(_) => feed.cleared.push(name),
            }
        }
        feed.records.sort_by_key(|record| record.uid);
        feed.unusable.sort_by_key(|item| item.uid);
        feed.cleared.sort();
        feed
    }
}

fn decode(cipher: &VaultCipher, raw: &RawRecord) -> (String, Item) {
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

impl Feed {
    /// Adds records that earlier runs could not apply, where the service said nothing newer.
    pub fn retry(&mut self, unapplied: &[Unapplied]) {
        let spoken: HashSet<&str> = self.records.iter().map(|r| r.path.as_str()).collect();
        let again: Vec<Record> = unapplied
            .iter()
            .filter(|item| !spoken.contains(item.name.as_str()))
            .filter_map(|item| item.record.clone())
            .collect();
        self.records.extend(again);
        self.records.sort_by_key(|record| record.uid);
    }
}
