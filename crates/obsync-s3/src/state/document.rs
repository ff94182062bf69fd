//! The state as one JSON document: a row of plain values per entry, so that 100,000 files stay
//! small and quick to read. It is read as it comes and never held as text.

use std::collections::BTreeMap;

use obsidian_sync::{ContentHash, Millis, Uid, VaultVersion};
use obsync_core::{Batch, Counts, Entry, FileMeta, Header, Unapplied, VaultPath};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::entries::Entries;

/// The format that this obsync writes.
pub(crate) const SCHEMA: u32 = 1;

/// Everything in the state. What each run needs comes first, the entries last: a run that finds nothing
/// to do reads no further. Unknown fields are refused: dropping them would destroy them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document<E> {
    pub(crate) schema: u32,
    /// The vault's id.
    pub(crate) vault: String,
    /// The prefix of its objects: chosen once.
    pub(crate) prefix: String,
    /// The fencing number of the last writer.
    pub(crate) fence: u64,
    #[serde(with = "HeaderForm")]
    pub(crate) header: Header,
    /// Over the entries.
    #[serde(with = "CountsForm")]
    pub(crate) counts: Counts,
    pub(crate) unapplied: BTreeMap<String, Unapplied>,
    #[serde(serialize_with = "write_intents", deserialize_with = "read_intents")]
    pub(crate) intents: BTreeMap<VaultPath, FileMeta>,
    pub(crate) entries: E,
}

/// All but the entries.
pub(crate) type Head = Document<()>;

#[derive(Serialize, Deserialize)]
#[serde(remote = "Counts", deny_unknown_fields)]
struct CountsForm {
    files: u64,
    bytes: u64,
}

/// The header's form here; a new field of it is a new schema.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Header", deny_unknown_fields)]
struct HeaderForm {
    cursor: VaultVersion,
    highest: Uid,
    fingerprint: String,
    full_pending: bool,
    destination: Option<String>,
}

impl<E> Document<E> {
    /// The head, and the entries.
    pub(crate) fn split(self) -> (Head, E) {
        self.exchange(())
    }

    fn exchange<F>(self, new: F) -> (Document<F>, E) {
        let Self {
            schema,
            vault,
            prefix,
            fence,
            header,
            counts,
            unapplied,
            intents,
            entries,
        } = self;
        let document = Document {
            schema,
            vault,
            prefix,
            fence,
            header,
            counts,
            unapplied,
            intents,
            entries: new,
        };
        (document, entries)
    }
}

impl Head {
    /// The state before the first run.
    pub(crate) fn new(vault: &str, prefix: &str) -> Self {
        Self {
            schema: SCHEMA,
            vault: vault.to_owned(),
            prefix: prefix.to_owned(),
            fence: 0,
            header: Header::default(),
            counts: Counts::default(),
            unapplied: BTreeMap::new(),
            intents: BTreeMap::new(),
            entries: (),
        }
    }

    /// The head of a document of which the beginning was read; `None` if it goes on beyond that, or
    /// can't be understood without the rest.
    pub(crate) fn read(beginning: &[u8]) -> Option<Self> {
        // In a string a quote has a backslash before it, so this is where the entries begin.
        const ENTRIES: &[u8] = b",\"entries\":[";
        let end = beginning
            .windows(ENTRIES.len())
            .position(|window| window == ENTRIES)?;
        let text = [&beginning[..end], b",\"entries\":null}"].concat();
        serde_json::from_slice(&text)
            .ok()
            .filter(|head: &Self| head.schema == SCHEMA)
    }

    /// The document, with its entries.
    pub(crate) fn with<E>(self, entries: E) -> Document<E> {
        self.exchange(entries).0
    }

    /// Applies a batch.
    pub(crate) fn apply(&mut self, entries: &mut Entries, batch: &Batch) {
        self.apply_if(entries, batch, |_, _| true);
    }

    fn apply_if(
        &mut self,
        entries: &mut Entries,
        batch: &Batch,
        wanted: impl Fn(&Entries, &(VaultPath, Entry)) -> bool,
    ) {
        if let Some(header) = &batch.header {
            self.header = header.clone();
        }
        for path in &batch.forget {
            entries.remove(path);
        }
        for row in &batch.set {
            if wanted(entries, row) {
                entries.set(row.0.clone(), &row.1);
            }
        }
        if batch.settle {
            self.intents.clear();
        }
        self.intents.extend(batch.intend.iter().cloned());
        for name in &batch.unlist {
            self.unapplied.remove(name);
        }
        for item in &batch.list {
            self.unapplied.insert(item.name.clone(), item.clone());
        }
        self.counts = entries.counts();
    }

    /// Applies batches to a document that someone else wrote meanwhile: the cursor does not move
    /// backwards, and an entry of a newer record stays.
    pub(crate) fn merge(&mut self, entries: &mut Entries, batches: &[Batch]) {
        let floor = self.header.clone();
        for batch in batches {
            self.apply_if(entries, batch, |entries, (path, entry)| {
                let there = entries.uid(path);
                there.is_none_or(|there| there <= entry.uid())
            });
        }
        self.raise(&floor);
    }

    /// Moves the cursor to where another run had it, if it is below.
    pub(crate) fn raise(&mut self, floor: &Header) {
        self.header.cursor = self.header.cursor.max(floor.cursor);
        self.header.highest = self.header.highest.max(floor.highest);
    }
}

/// `[path, uid, hash, size, mtime, ctime]`.
type IntentRow = (VaultPath, Uid, String, u64, Millis, Millis);

fn write_intents<S: Serializer>(
    intents: &BTreeMap<VaultPath, FileMeta>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(intents.iter().map(|(path, meta)| {
        let hash = meta.hash.to_hex();
        (path, meta.uid, hash, meta.size, meta.mtime, meta.ctime)
    }))
}

fn read_intents<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<VaultPath, FileMeta>, D::Error> {
    let rows = Vec::<IntentRow>::deserialize(deserializer)?;
    rows.into_iter()
        .map(|(path, uid, hash, size, mtime, ctime)| {
            let hash = ContentHash::from_hex(&hash)
                .ok_or_else(|| serde::de::Error::custom("a hash is not one"))?;
            let meta = FileMeta {
                uid,
                hash,
                size,
                mtime,
                ctime,
            };
            Ok((path, meta))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use obsync_core::{FileEntry, Stamp};

    use super::*;

    fn path(text: &str) -> VaultPath {
        VaultPath::parse(text).unwrap()
    }

    fn file(uid: u64) -> Entry {
        Entry::File(FileEntry {
            uid: Uid(uid),
            hash: ContentHash::of(b"x"),
            size: 1,
            mtime: Millis(2),
            stamp: Stamp("e:1".into()),
        })
    }

    #[test]
    fn the_format_is_pinned() {
        let (mut head, mut entries) = (Head::new("id", "vaults/Notes/"), Entries::default());
        head.fence = 3;
        let batch = Batch {
            header: Some(Header {
                cursor: VaultVersion(7),
                ..Header::default()
            }),
            set: vec![
                (path("a"), Entry::Folder { uid: Uid(1) }),
                (path("a/ü.md"), file(2)),
            ],
            ..Batch::default()
        };
        head.apply(&mut entries, &batch);
        let document = head.clone().with(entries);
        let text = serde_json::to_string(&document).unwrap();
        let hash = ContentHash::of(b"x").to_hex();
        assert_eq!(
            text,
            format!(
                r#"{{"schema":1,"vault":"id","prefix":"vaults/Notes/","fence":3,"header":{{"cursor":7,"highest":0,"fingerprint":"","full_pending":false,"destination":null}},"counts":{{"files":1,"bytes":1}},"unapplied":{{}},"intents":[],"entries":[["a",1],["a/ü.md",2,"{hash}",1,2,"e:1"]]}}"#
            )
        );
        let read = serde_json::from_str::<Document<Entries>>(&text).unwrap();
        assert_eq!(read, document);
        let more = text.replacen("\"fence\"", "\"colour\":1,\"fence\"", 1);
        assert!(serde_json::from_str::<Document<Entries>>(&more).is_err());
        // The head alone: without the last entry, or in the middle of one.
        assert_eq!(Head::read(text.as_bytes()), Some(head.clone()));
        assert_eq!(Head::read(&text.as_bytes()[..text.len() - 20]), Some(head));
        assert_eq!(Head::read(more.as_bytes()), None);
        assert_eq!(Head::read(&text.as_bytes()[..150]), None);
    }

    #[test]
    fn no_name_is_taken_for_the_end_of_the_head() {
        let mut head = Head::new("id", "p/,\"entries\":[/");
        let name = "a,\"entries\":[]\\".to_owned();
        head.unapplied.insert(
            name.clone(),
            Unapplied {
                name,
                uid: Uid(1),
                kind: obsync_core::UnappliedKind::Skipped,
                message: ",\"entries\":[".to_owned(),
                attempts: 1,
                record: None,
            },
        );
        let text = serde_json::to_string(&head.clone().with(Entries::default())).unwrap();
        assert_eq!(Head::read(text.as_bytes()), Some(head));
    }

    #[test]
    fn a_merge_keeps_the_newer() {
        let (mut head, mut entries) = (Head::new("id", "p/"), Entries::default());
        head.header.cursor = VaultVersion(9);
        entries.set(path("a"), &file(8));
        let batch = Batch {
            header: Some(Header {
                cursor: VaultVersion(5),
                ..Header::default()
            }),
            set: vec![(path("a"), file(4)), (path("b"), file(5))],
            ..Batch::default()
        };
        head.merge(&mut entries, &[batch]);
        assert_eq!(head.header.cursor, VaultVersion(9));
        assert_eq!(entries.get(&path("a")), Some(file(8)));
        assert_eq!(entries.get(&path("b")), Some(file(5)));
        assert_eq!(head.counts.files, 2);
    }
}
