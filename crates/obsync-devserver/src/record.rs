//! One record of a vault, and how it looks on the wire.

use obsidian_sync::{EncodedName, Millis, Uid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};

/// What a client pushed: everything of a record that the service does not add itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Change {
    pub path: EncodedName,
    pub hash: EncodedName,
    pub size: u64,
    // Kept as they came: a client knows its own push again by its exact mtime, fraction included.
    pub ctime: Number,
    pub mtime: Number,
    pub folder: bool,
    pub deleted: bool,
    pub device: String,
    pub user: u64,
    pub related_path: Option<EncodedName>,
}

impl Change {
    /// A folder, or with `deleted` the end of one.
    pub(crate) fn folder(path: EncodedName, deleted: bool) -> Self {
        Self {
            folder: true,
            deleted,
            ..Self::empty(path)
        }
    }

    /// The end of a file.
    pub(crate) fn deletion(path: EncodedName) -> Self {
        Self {
            deleted: true,
            ..Self::empty(path)
        }
    }

    fn empty(path: EncodedName) -> Self {
        Self {
            path,
            hash: EncodedName::default(),
            size: 0,
            ctime: 0.into(),
            mtime: 0.into(),
            folder: false,
            deleted: false,
            device: String::new(),
            user: 0,
            related_path: None,
        }
    }

    /// Whether this is a file with content.
    pub(crate) fn is_file(&self) -> bool {
        !self.folder && !self.deleted
    }
}

/// A change with its number. It never changes once it is made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub uid: Uid,
    /// When the service took it in.
    pub ts: Millis,
    /// Under which uid the content lies: its own, or that of an earlier record with the same hash.
    pub content: Option<Uid>,
    #[serde(flatten)]
    pub change: Change,
    /// Made by hand for a test: its hash says nothing about its content, so it never serves dedupe.
    #[serde(default)]
    pub forged: bool,
    /// Fields of the wire form that a test replaced.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub overrides: Map<String, Value>,
}

impl Record {
    /// The notification that every connection of the vault gets.
    pub(crate) fn to_push(&self) -> Value {
        let mut json = self.to_json();
        json.insert("op".into(), "push".into());
        json.extend(self.overrides.clone());
        Value::Object(json)
    }

    /// An item of a `history` or `deleted` answer.
    pub(crate) fn to_item(&self) -> Value {
        let mut json = self.to_json();
        json.insert("ts".into(), self.ts.0.into());
        json.extend(self.overrides.clone());
        Value::Object(json)
    }

    fn to_json(&self) -> Map<String, Value> {
        let change = &self.change;
        let mut json = Map::new();
        json.insert("uid".into(), self.uid.0.into());
        json.insert("path".into(), change.path.as_str().into());
        json.insert("hash".into(), change.hash.as_str().into());
        json.insert("size".into(), change.size.into());
        json.insert("ctime".into(), json!(change.ctime));
        json.insert("mtime".into(), json!(change.mtime));
        json.insert("folder".into(), change.folder.into());
        json.insert("deleted".into(), change.deleted.into());
        json.insert("device".into(), change.device.as_str().into());
        json.insert("user".into(), change.user.into());
        if let Some(related) = &change.related_path {
            json.insert("relatedpath".into(), related.as_str().into());
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_win_on_the_wire_only() {
        let record = Record {
            uid: Uid(7),
            ts: Millis(99),
            content: None,
            change: Change::folder(EncodedName::new("ab"), false),
            forged: true,
            overrides: Map::from_iter([("size".to_owned(), json!(-1))]),
        };
        let push = record.to_push();
        assert_eq!(push["op"], "push");
        assert_eq!(push["uid"], 7);
        assert_eq!(push["size"], -1);
        assert_eq!(push["folder"], true);
        assert!(push.get("relatedpath").is_none());
        assert!(push.get("ts").is_none());
        assert_eq!(record.to_item()["ts"], 99);
    }

    #[test]
    fn a_record_survives_its_saved_form() {
        let change = Change {
            mtime: Number::from_f64(1.5).unwrap(),
            ..Change::deletion(EncodedName::new("ab"))
        };
        let record = Record {
            uid: Uid(1),
            ts: Millis(2),
            content: Some(Uid(1)),
            change,
            forged: false,
            overrides: Map::new(),
        };
        let text = serde_json::to_string(&record).unwrap();
        let again: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
        assert_eq!(again.to_push()["mtime"], 1.5);
    }
}
