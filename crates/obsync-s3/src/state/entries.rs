//! [`Entries`]: what was written where, packed: a large vault's must fit a small function's memory
//! beside the run. An entry takes about 80 bytes beside its path, whose text is shared with the run.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use obsidian_sync::{ContentHash, Millis, Uid};
use obsync_core::{Counts, Entry, FileEntry, Stamp, VaultPath};
use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Entries by path. As JSON: `[path, uid]` for a folder; `[path, uid, hash, size, mtime, stamp]` for a
/// file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Entries {
    rows: BTreeMap<VaultPath, Packed>,
    files: u64,
    /// What all files have together; wide enough for any sizes that a service may name.
    bytes: u128,
}

#[derive(Debug, Clone, PartialEq)]
enum Packed {
    Folder(Uid),
    File(File),
}

#[derive(Debug, Clone, PartialEq)]
struct File {
    uid: Uid,
    hash: ContentHash,
    size: u64,
    mtime: Millis,
    tag: Tag,
}

/// A stamp. Most are an ETag of 16 bytes and the file's own size.
#[derive(Debug, Clone, PartialEq)]
enum Tag {
    Usual([u8; 16]),
    Other(Box<str>),
}

impl Tag {
    fn new(stamp: &str, size: u64) -> Self {
        let usual = || {
            let (tag, told) = stamp.split_once(':')?;
            let mut bytes = [0; 16];
            hex::decode_to_slice(tag, &mut bytes).ok()?;
            let tag = Self::Usual(bytes);
            // Only what comes out again as it came in.
            (told.parse() == Ok(size) && tag.stamp(size) == stamp).then_some(tag)
        };
        usual().unwrap_or_else(|| Self::Other(stamp.into()))
    }

    fn stamp(&self, size: u64) -> String {
        match self {
            Self::Usual(bytes) => {
                let digits = size.checked_ilog10().unwrap_or_default() as usize + 1;
                let mut text = String::with_capacity(2 * bytes.len() + 1 + digits);
                text.push_str(hex_of(bytes, &mut [0; 32]));
                // Nothing that a string takes fails.
                let _ = write!(text, ":{size}");
                text
            }
            Self::Other(text) => String::from(&**text),
        }
    }
}

impl From<&Entry> for Packed {
    fn from(entry: &Entry) -> Self {
        match entry {
            Entry::Folder { uid } => Self::Folder(*uid),
            Entry::File(file) => Self::File(File {
                uid: file.uid,
                hash: file.hash,
                size: file.size,
                mtime: file.mtime,
                tag: Tag::new(&file.stamp.0, file.size),
            }),
        }
    }
}

impl From<&Packed> for Entry {
    fn from(packed: &Packed) -> Self {
        match packed {
            Packed::Folder(uid) => Self::Folder { uid: *uid },
            Packed::File(file) => Self::File(FileEntry {
                uid: file.uid,
                hash: file.hash,
                size: file.size,
                mtime: file.mtime,
                stamp: Stamp(file.tag.stamp(file.size)),
            }),
        }
    }
}

impl Packed {
    fn size(&self) -> Option<u64> {
        match self {
            Self::Folder(_) => None,
            Self::File(file) => Some(file.size),
        }
    }
}

impl Entries {
    pub(crate) fn set(&mut self, path: VaultPath, entry: &Entry) {
        let packed = Packed::from(entry);
        self.count(&packed);
        if let Some(before) = self.rows.insert(path, packed) {
            self.discount(&before);
        }
    }

    pub(crate) fn remove(&mut self, path: &VaultPath) {
        if let Some(before) = self.rows.remove(path) {
            self.discount(&before);
        }
    }

    fn count(&mut self, packed: &Packed) {
        if let Some(size) = packed.size() {
            self.files += 1;
            self.bytes += u128::from(size);
        }
    }

    fn discount(&mut self, packed: &Packed) {
        if let Some(size) = packed.size() {
            self.files -= 1;
            self.bytes -= u128::from(size);
        }
    }

    pub(crate) fn get(&self, path: &VaultPath) -> Option<Entry> {
        self.rows.get(path).map(Entry::from)
    }

    /// The record that an entry comes from.
    pub(crate) fn uid(&self, path: &VaultPath) -> Option<Uid> {
        self.rows.get(path).map(|packed| match packed {
            Packed::Folder(uid) => *uid,
            Packed::File(file) => file.uid,
        })
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (VaultPath, Entry)> {
        let entries = self.rows.iter();
        entries.map(|(path, packed)| (path.clone(), packed.into()))
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            files: self.files,
            bytes: u64::try_from(self.bytes).unwrap_or(u64::MAX),
        }
    }
}

/// At once: filled one by one in their order, the tree's nodes would stay half empty.
impl FromIterator<(VaultPath, Packed)> for Entries {
    fn from_iter<I: IntoIterator<Item = (VaultPath, Packed)>>(rows: I) -> Self {
        let mut entries = Self {
            rows: rows.into_iter().collect(),
            ..Self::default()
        };
        let sizes = || entries.rows.values().filter_map(Packed::size);
        let (files, bytes) = (sizes().count() as u64, sizes().map(u128::from).sum());
        (entries.files, entries.bytes) = (files, bytes);
        entries
    }
}

impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.iter().map(|(path, packed)| Row(path, packed)))
    }
}

struct Row<'a>(&'a VaultPath, &'a Packed);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            Packed::Folder(uid) => (self.0, uid).serialize(serializer),
            Packed::File(file) => {
                let mut digits = [0; 64];
                let mut row = serializer.serialize_tuple(6)?;
                row.serialize_element(self.0)?;
                row.serialize_element(&file.uid)?;
                row.serialize_element(hex_of(&file.hash.0, &mut digits))?;
                row.serialize_element(&file.size)?;
                row.serialize_element(&file.mtime)?;
                match &file.tag {
                    Tag::Usual(tag) => {
                        let tag = hex_of(tag, &mut digits[..32]);
                        row.serialize_element(&format_args!("{tag}:{}", file.size))?;
                    }
                    Tag::Other(text) => row.serialize_element(text)?,
                }
                row.end()
            }
        }
    }
}

fn hex_of<'a>(bytes: &[u8], digits: &'a mut [u8]) -> &'a str {
    hex::encode_to_slice(bytes, digits).expect("two digits for each byte");
    std::str::from_utf8(digits).expect("hex digits are ASCII")
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> Visitor<'de> for Rows {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("rows of entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Entries, A::Error> {
                let mut read = Vec::new();
                while let Some(Read(path, packed)) = rows.next_element()? {
                    read.push((path, packed));
                }
                Ok(read.into_iter().collect())
            }
        }
        deserializer.deserialize_seq(Rows)
    }
}

/// One row, read without keeping it in between: `untagged` would.
struct Read(VaultPath, Packed);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Read;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[path, uid] or [path, uid, hash, size, mtime, stamp]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Read, A::Error> {
                let short = |n| serde::de::Error::invalid_length(n, &"2 or 6 values");
                let path = values.next_element()?.ok_or_else(|| short(0))?;
                let uid = values.next_element()?.ok_or_else(|| short(1))?;
                let Some(hash) = values.next_element()? else {
                    return Ok(Read(path, Packed::Folder(uid)));
                };
                let size = values.next_element()?.ok_or_else(|| short(3))?;
                let mtime = values.next_element()?.ok_or_else(|| short(4))?;
                let stamp: String = values.next_element()?.ok_or_else(|| short(5))?;
                let file = File {
                    uid,
                    hash,
                    size,
                    mtime,
                    tag: Tag::new(&stamp, size),
                };
                Ok(Read(path, Packed::File(file)))
            }
        }
        deserializer.deserialize_seq(Values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Packed>() <= 88, "{}", size_of::<Packed>());
    }

    proptest! {
        #[test]
        fn entries_come_back_as_they_were(
            stamp in "[0-9a-f]{32}:[0-9]{1,3}|[0-9A-Fa-f]{30,34}(-[0-9]+)?:0?[0-9]{1,3}|\\PC{0,20}",
            size in 0..1000u64,
            folder: bool,
        ) {
            let path = VaultPath::parse("a/\u{fc}\".md").unwrap();
            let entry = if folder {
                Entry::Folder { uid: Uid(3) }
            } else {
                Entry::File(FileEntry {
                    uid: Uid(7),
                    hash: ContentHash::of(stamp.as_bytes()),
                    size,
                    mtime: Millis(-5),
                    stamp: Stamp(stamp),
                })
            };
            let mut entries = Entries::default();
            entries.set(path.clone(), &entry);
            let text = serde_json::to_string(&entries).unwrap();
            let read: Entries = serde_json::from_reader(text.as_bytes()).unwrap();
            prop_assert_eq!(&read, &entries);
            if let Some(Entry::File(file)) = read.get(&path) {
                prop_assert!(file.stamp.0.capacity() == file.stamp.0.len());
            }
            prop_assert_eq!(read.get(&path), Some(entry));
        }
    }
}
