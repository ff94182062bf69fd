//! The feed: a backlog of wire records becomes the last decoded record of each path.

mod decode;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, hash_map};
use std::time::Duration;

use obsidian_sync::client::{Notice, SyncClient};
use obsidian_sync::crypto::VaultCipher;
use obsidian_sync::wire::RawRecord;
use obsidian_sync::{Error, Kind, Uid, VaultVersion};
use tokio::time::{Instant, timeout_at};

use crate::progress::{Event, Progress};
use crate::record::Record;
use crate::state::Unapplied;
use decode::decode;

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
    /// Whether the service told that version. Where it did not, it may be higher.
    pub told: bool,
    /// The highest uid among them; 0 if there is none.
    pub highest: Uid,
    /// How many records were read.
    pub count: u64,
}

/// More records than any vault has; past it, the same names come again and again.
const MOST_RECORDS: u64 = 20_000_000;
/// How long a backlog may take in any case, and for each of its records: a service that sends one just
/// before each deadline would otherwise never be done.
const PATIENCE: Duration = Duration::from_secs(300);
const PATIENCE_EACH: Duration = Duration::from_millis(50);

/// Reads a backlog up to `ready`. What is kept of it may take `most_bytes` of memory.
///
/// # Errors
/// The connection's; [`Kind::Protocol`] for a backlog that is too large or has no end;
/// [`Kind::Timeout`] for one that comes too slowly.
pub async fn read(
    client: &mut SyncClient,
    cipher: &VaultCipher,
    most_bytes: u64,
    progress: &dyn Progress,
) -> Result<Feed, Error> {
    let began = Instant::now();
    let mut collector = Collector::new(cipher);
    loop {
        let records = u32::try_from(collector.count).unwrap_or(u32::MAX);
        let due = began + PATIENCE + PATIENCE_EACH.saturating_mul(records);
        let Ok(notice) = timeout_at(due, client.next_due()).await else {
            let message = format!(
                "the service is too slow: {records} records of its list in {:?}",
                began.elapsed()
            );
            return Err(Error::new(Kind::Timeout, message));
        };
        match notice? {
            Notice::Record(raw) => {
                collector.take(&raw);
                if collector.count > MOST_RECORDS {
                    let message = "the service's list of records has no end";
                    return Err(Error::new(Kind::Protocol, message));
                }
                if collector.bytes > most_bytes {
                    let message = format!(
                        "the service's list of records takes more than {} MiB of memory: give the run \
                         more",
                        most_bytes / (1024 * 1024)
                    );
                    return Err(Error::new(Kind::Protocol, message));
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
///
/// Deletions count among them, of an initial backlog too. There the protocol wants them ignored (section
/// 4.1), and in effect they are: they bring no file, and what obsync has not written they don't touch.
/// But their uids move the cursor, so that a file which was deleted while its own record was on the way
/// would stay for ever.
pub struct Collector<'a> {
    cipher: &'a VaultCipher,
    count: u64,
    bytes: u64,
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
    pub fn new(cipher: &'a VaultCipher) -> Self {
        Self {
            cipher,
            count: 0,
            bytes: 0,
            highest: Uid(0),
            latest: HashMap::new(),
        }
    }

    /// Takes one record in. Its order in the backlog does not matter, only its uid.
    pub fn take(&mut self, raw: &RawRecord) {
        self.count += 1;
        self.highest = self.highest.max(raw.uid);
        let (name, item) = decode(self.cipher, raw);
        match self.latest.entry(name) {
            hash_map::Entry::Vacant(slot) => {
                self.bytes += footprint(slot.key(), &item);
                slot.insert(item);
            }
            hash_map::Entry::Occupied(mut slot) if slot.get().uid() <= raw.uid => {
                let before = footprint(slot.key(), slot.get());
                self.bytes += footprint(slot.key(), &item);
                self.bytes -= before;
                slot.insert(item);
            }
            hash_map::Entry::Occupied(_) => {}
        }
    }

    /// Roughly the bytes of memory that all that is kept takes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends with the version that `ready` announced, if it did.
    pub fn finish(self, version: impl Into<Option<VaultVersion>>) -> Feed {
        let version = version.into();
        let mut feed = Feed {
            told: version.is_some(),
            // A version above the highest uid counts; one below it would be a contradiction.
            version: version.unwrap_or_default().max(self.highest.into()),
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

/// Roughly the bytes of memory that an item takes in the table.
fn footprint(name: &str, item: &Item) -> u64 {
    let texts = match item {
        // The path has the name once more.
        Item::Usable(_) => name.len(),
        Item::Unusable(item) => size_of::<Unapplied>() + item.name.len() + item.message.len(),
        Item::Cleared(_) => 0,
    };
    (size_of::<(String, Item)>() + name.len() + texts) as u64
}

impl Feed {
    /// Takes the version to be at least this one, unless the service told it.
    pub fn assume(&mut self, known: VaultVersion) {
        if !self.told {
            self.version = self.version.max(known);
        }
    }

    /// Adds records that earlier runs could not apply, where the service said nothing newer.
    pub fn retry(&mut self, unapplied: &[Unapplied]) {
        let usable = self.records.iter().map(|record| record.path.as_str());
        let unusable = self.unusable.iter().map(|item| item.name.as_str());
        let cleared = self.cleared.iter().map(String::as_str);
        let spoken: HashSet<&str> = usable.chain(unusable).chain(cleared).collect();
        let again: Vec<Record> = unapplied
            .iter()
            .filter(|item| !spoken.contains(item.name.as_str()))
            .filter_map(|item| item.record.clone())
            .collect();
        self.records.extend(again);
        self.records.sort_by_key(|record| record.uid);
    }
}
