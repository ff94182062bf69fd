//! What a client may say on a sync connection, read strictly: our own reading of the protocol.

use obsidian_sync::{EncodedName, Uid, VaultId, VaultVersion};
use serde::Deserialize;
use serde_json::Number;

use crate::record::Change;

/// The largest piece of content in one binary frame.
pub(crate) const PIECE: u64 = 2 * 1024 * 1024;

/// One request.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Request {
    Init(Init),
    Pull {
        uid: Uid,
    },
    Push(Push),
    Ping,
    History {
        path: EncodedName,
        last: Option<Uid>,
    },
    Deleted {
        #[serde(default)]
        suppressrenames: bool,
    },
    Restore {
        uid: Uid,
    },
    Size,
    Usernames,
    Purge,
}

impl Request {
    /// Its name, for counting.
    pub(crate) fn op(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Pull { .. } => "pull",
            Self::Push(_) => "push",
            Self::Ping => "ping",
            Self::History { .. } => "history",
            Self::Deleted { .. } => "deleted",
            Self::Restore { .. } => "restore",
            Self::Size => "size",
            Self::Usernames => "usernames",
            Self::Purge => "purge",
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Init {
    pub token: String,
    pub id: VaultId,
    pub keyhash: String,
    pub version: VaultVersion,
    pub initial: bool,
    pub device: String,
    pub encryption_version: u64,
}

#[derive(Deserialize)]
pub(crate) struct Push {
    path: EncodedName,
    relatedpath: Option<EncodedName>,
    extension: String,
    hash: EncodedName,
    ctime: Number,
    mtime: Number,
    folder: bool,
    deleted: bool,
    size: Option<u64>,
    pieces: Option<u64>,
}

impl Push {
    /// The change, and for a file how many pieces are to come.
    pub(crate) fn check(self, device: &str, user: u64) -> Result<(Change, u64), String> {
        let Self {
            path,
            relatedpath,
            extension,
            hash,
            ctime,
            mtime,
            folder,
            deleted,
            ..
        } = self;
        if path.is_empty() {
            return Err("A push needs a path.".to_owned());
        }
        let clean = |c: char| c != '.' && c != '/' && !c.is_uppercase();
        if !extension.chars().all(clean) || (folder && !extension.is_empty()) {
            return Err(
                "The extension is lower case, without a dot; none for a folder.".to_owned(),
            );
        }
        let (size, pieces) = if folder || deleted {
            let nothing = hash.is_empty() && self.size.is_none() && self.pieces.is_none();
            if !nothing || ctime.as_f64() != Some(0.0) || mtime.as_f64() != Some(0.0) {
                return Err("A folder or deletion has no hash, times, size or pieces.".to_owned());
            }
            (0, 0)
        } else {
            let (Some(size), Some(pieces)) = (self.size, self.pieces) else {
                return Err("A file has a size and pieces.".to_owned());
            };
            if hash.is_empty() || pieces != size.div_ceil(PIECE) {
                return Err("A file has a hash, and pieces of 2 MiB.".to_owned());
            }
            (size, pieces)
        };
        let device = device.to_owned();
        let related_path = relatedpath;
        let change = Change {
            path,
            hash,
            size,
            ctime,
            mtime,
            folder,
            deleted,
            device,
            user,
            related_path,
        };
        Ok((change, pieces))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(changes: &Value) -> Result<(Change, u64), String> {
        let mut push = json!({
            "path": "ab", "relatedpath": null, "extension": "md", "hash": "cd", "ctime": 1,
            "mtime": 2.5, "folder": false, "deleted": false, "size": PIECE + 1, "pieces": 2,
        });
        for (name, value) in changes.as_object().unwrap() {
            push[name] = value.clone();
        }
        serde_json::from_value::<Push>(push)
            .unwrap()
            .check("device", 1)
    }

    #[test]
    fn a_push_is_held_to_the_protocol() {
        let (change, pieces) = check(&json!({})).unwrap();
        assert_eq!((change.size, pieces), (PIECE + 1, 2));
        assert_eq!(change.mtime.as_f64(), Some(2.5));
        let end = json!({"deleted": true, "hash": "", "ctime": 0, "mtime": 0, "size": null, "pieces": null});
        assert_eq!(check(&end).unwrap().1, 0);
        for bad in [
            json!({"path": ""}),
            json!({"extension": ".md"}),
            json!({"extension": "MD"}),
            json!({"pieces": 1}),
            json!({"hash": ""}),
            json!({"size": null}),
            json!({"deleted": true}),
            json!({"folder": true, "hash": "", "ctime": 0, "mtime": 0, "size": null, "pieces": null}),
        ] {
            assert!(check(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn requests_are_told_by_op() {
        let read =
            |json: Value| serde_json::from_value::<Request>(json).map(|request| request.op());
        assert_eq!(read(json!({"op": "ping"})).unwrap(), "ping");
        assert_eq!(
            read(json!({"op": "history", "path": "ab", "last": null})).unwrap(),
            "history"
        );
        assert!(read(json!({"op": "dance"})).is_err());
        assert!(read(json!({"op": "init", "token": "t"})).is_err());
    }
}
