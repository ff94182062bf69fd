//! The state as one JSON document: a row of plain values per entry, so that 100,000 files stay
//! small and quick to read. It is read as it comes and never held as text.

use std::collections::BTreeMap;

use obsidian_sync::{ContentHash, Millis, Uid, VaultVersion};
use obsync_core::{Batch, FileMeta, Header, Unapplied, VaultPath};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::entries::Entries;

/// The format that this obsync writes.
pub(crate) const SCHEMA: u32 = 1;

/// Everything in the state. Unknown fields are refused: dropping them would destroy them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) schema: u32,
    /// The vault's id.
    pub(crate) vault: String,
    /// The prefix of its objects: chosen once.
    pub(crate) prefix: String,
    /// The fencing number of the last writer.
    pub(crate) fence: u64,
    #[serde(with = "HeaderForm")]
    pub(crate) header: Header,
    pub(crate) unapplied: BTreeMap<String, Unapplied>,
    #[serde(serialize_with = "write_intents", deserialize_with = "read_intents")]
    pub(crate) intents: BTreeMap<VaultPath, FileMeta>,
    pub(crate) entries: Entries,
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

impl Document {
    /// The state before the first run.
    pub(crate) fn new(vault: &str, prefix: &str) -> Self {
        Self {
            schema: SCHEMA,
            vault: vault.to_owned(),
            prefix: prefix.to_owned(),
            fence: 0,
            header: Header::default(),
            unapplied: BTreeMap::new(),
            intents: BTreeMap::new(),
            entries: Entries::default(),
        }
    }

    /// Applies a batch.
    pub(crate) fn apply(&mut self, batch: Batch) {
        if let Some(header) = batch.header {
            self.header = header;
        }
        for path in &batch.forget {
            self.entries.remove(path);
        }
        for (path, entry) in batch.set {
            self.entries.set(path, entry);
        }
        if batch.settle {
            self.intents.clear();
        }
        self.intents.extend(batch.intend);
        for name in &batch.unlist {
            self.unapplied.remove(name);
        }
        for item in batch.list {
            self.unapplied.insert(item.name.clone(), item);
        }
    }

    /// Applies batches to a document that someone else wrote meanwhile: the cursor does not move
    /// backwards, and an entry of a newer record stays.
    pub(crate) fn merge(&mut self, batches: &[Batch]) {
        let (cursor, highest) = (self.header.cursor, self.header.highest);
        for batch in batches {
            let mut batch = batch.clone();
            batch.set.retain(|(path, entry)| {
                let there = self.entries.uid(path);
                there.is_none_or(|there| there <= entry.uid())
            });
            self.apply(batch);
        }
        self.header.cursor = self.header.cursor.max(cursor);
        self.header.highest = self.header.highest.max(highest);
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
    use obsync_core::{Entry, FileEntry, Stamp};

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
        let mut document = Document::new("id", "vaults/Notes/");
        document.fence = 3;
        document.header.cursor = VaultVersion(7);
        document
            .entries
            .set(path("a"), Entry::Folder { uid: Uid(1) });
        document.entries.set(path("a/ü.md"), file(2));
        let text = serde_json::to_string(&document).unwrap();
        let hash = ContentHash::of(b"x").to_hex();
        assert_eq!(
            text,
            format!(
                r#"{{"schema":1,"vault":"id","prefix":"vaults/Notes/","fence":3,"header":{{"cursor":7,"highest":0,"fingerprint":"","full_pending":false,"destination":null}},"unapplied":{{}},"intents":[],"entries":[["a",1],["a/ü.md",2,"{hash}",1,2,"e:1"]]}}"#
            )
        );
        assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), document);
        let more = text.replacen("\"fence\"", "\"colour\":1,\"fence\"", 1);
        assert!(serde_json::from_str::<Document>(&more).is_err());
    }

    #[test]
    fn a_merge_keeps_the_newer() {
        let mut document = Document::new("id", "p/");
        document.header.cursor = VaultVersion(9);
        document.entries.set(path("a"), file(8));
        let batch = Batch {
            header: Some(Header {
                cursor: VaultVersion(5),
                ..Header::default()
            }),
            set: vec![(path("a"), file(4)), (path("b"), file(5))],
            ..Batch::default()
        };
        document.merge(&[batch]);
        assert_eq!(document.header.cursor, VaultVersion(9));
        assert_eq!(document.entries.get(&path("a")), Some(file(8)));
        assert_eq!(document.entries.get(&path("b")), Some(file(5)));
    }
}
