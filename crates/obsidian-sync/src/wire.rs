//! Frames: what is said on a sync connection, as serde types (protocol section 4).
//!
//! Every type goes both ways, because the client and the dev server share them. Reading is liberal:
//! unknown fields are ignored, and missing, null, fractional or absurd ones never fail a frame, but
//! for a record's uid, without which it means nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::loose::{self, Loose};
use crate::secret::Token;
use crate::types::{EncodedName, Millis, Uid, VaultId, VaultVersion};

/// The largest binary frame: content travels in pieces of this size.
pub const PIECE_SIZE: usize = 2 * 1024 * 1024;

/// The largest encrypted file where the service does not name a limit of its own.
pub const DEFAULT_PER_FILE_MAX: u64 = 199 * 1024 * 1024;

/// What a client asks for. Tagged with `op` on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Request {
    /// Opens the connection for one vault.
    Init(InitRequest),
    /// Asks for the content of a record.
    Pull {
        /// The record.
        #[serde(deserialize_with = "loose::uid")]
        uid: Uid,
    },
    /// Announces a change; content may follow in pieces.
    Push(PushRequest),
    /// Keeps the connection alive.
    Ping,
    /// Asks for the older records of a path.
    History {
        /// The path, encoded.
        #[serde(default, deserialize_with = "loose::name")]
        path: EncodedName,
        /// Where to page on from.
        #[serde(default, deserialize_with = "loose::uid_option")]
        last: Option<Uid>,
    },
    /// Asks for the deleted files.
    Deleted {
        /// Leave out what was renamed.
        #[serde(default, deserialize_with = "loose::flag")]
        suppressrenames: bool,
    },
    /// Makes an old record the current one again.
    Restore {
        /// The record.
        #[serde(deserialize_with = "loose::uid")]
        uid: Uid,
    },
    /// Asks how much room the vault takes and has.
    Size,
    /// Asks for the names of the vault's users.
    Usernames,
    /// Drops the vault's history.
    Purge,
}

/// The first request of a connection. Its secrets do not print.
#[derive(Clone, Serialize, Deserialize)]
pub struct InitRequest {
    /// The account's token.
    #[serde(serialize_with = "loose::expose")]
    pub token: Token,
    /// The vault.
    pub id: VaultId,
    /// The proof that the client has the vault's key.
    #[serde(serialize_with = "loose::expose")]
    pub keyhash: Token,
    /// The last record taken in; 0 for a new client.
    #[serde(default, deserialize_with = "loose::version")]
    pub version: VaultVersion,
    /// Whether the client asks for the vault as it stands.
    #[serde(default, deserialize_with = "loose::flag")]
    pub initial: bool,
    /// The name of the device, which other clients show.
    #[serde(default, deserialize_with = "loose::text")]
    pub device: String,
    /// The vault's encryption scheme.
    #[serde(default, deserialize_with = "loose::count")]
    pub encryption_version: u64,
}

impl fmt::Debug for InitRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InitRequest")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("initial", &self.initial)
            .field("device", &self.device)
            .field("encryption_version", &self.encryption_version)
            .finish_non_exhaustive()
    }
}

/// A change that a client announces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRequest {
    /// The path, encoded.
    #[serde(default, deserialize_with = "loose::name")]
    pub path: EncodedName,
    /// The path that it had before a rename, encoded; null on the wire where there is none.
    #[serde(
        rename = "relatedpath",
        default,
        deserialize_with = "loose::name_option"
    )]
    pub related_path: Option<EncodedName>,
    /// The extension in lower case without the dot; empty for folders.
    #[serde(default, deserialize_with = "loose::text")]
    pub extension: String,
    /// The content hash, encoded; empty for folders and deletions.
    #[serde(default, deserialize_with = "loose::name")]
    pub hash: EncodedName,
    /// Birth time; 0 for folders and deletions.
    #[serde(default, deserialize_with = "loose::millis")]
    pub ctime: Millis,
    /// Modification time; 0 for folders and deletions.
    #[serde(default, deserialize_with = "loose::millis")]
    pub mtime: Millis,
    /// Whether it is a folder.
    #[serde(default, deserialize_with = "loose::flag")]
    pub folder: bool,
    /// Whether it is deleted.
    #[serde(default, deserialize_with = "loose::flag")]
    pub deleted: bool,
    /// The encrypted size; left out for folders and deletions.
    #[serde(
        default,
        deserialize_with = "loose::count_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub size: Option<u64>,
    /// How many binary frames the content takes; left out for folders and deletions.
    #[serde(
        default,
        deserialize_with = "loose::count_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub pieces: Option<u64>,
}

/// One record of a vault: a path's state after one change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawRecord {
    /// Its number.
    #[serde(deserialize_with = "loose::uid")]
    pub uid: Uid,
    /// The path, encoded.
    #[serde(default, deserialize_with = "loose::name")]
    pub path: EncodedName,
    /// The content hash, encoded; empty for folders and deletions.
    #[serde(default, deserialize_with = "loose::name")]
    pub hash: EncodedName,
    /// The **encrypted** size. Every record of a file has one (protocol section 3): of one that leaves it
    /// out, 0 is read, which its content does not match. That costs this file, and no other.
    #[serde(default, deserialize_with = "loose::count")]
    pub size: u64,
    /// Birth time; 0 where the service knows none.
    #[serde(default, deserialize_with = "loose::millis")]
    pub ctime: Millis,
    /// Modification time; 0 where the service knows none.
    #[serde(default, deserialize_with = "loose::millis")]
    pub mtime: Millis,
    /// Whether it is a folder.
    #[serde(default, deserialize_with = "loose::flag")]
    pub folder: bool,
    /// Whether this is a deletion.
    #[serde(default, deserialize_with = "loose::flag")]
    pub deleted: bool,
    /// The device that made the change.
    #[serde(default, deserialize_with = "loose::text")]
    pub device: String,
    /// The user who made the change.
    #[serde(
        default,
        deserialize_with = "loose::count_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub user: Option<u64>,
    /// The path that it had before a rename, encoded.
    #[serde(
        rename = "relatedpath",
        default,
        deserialize_with = "loose::name_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub related_path: Option<EncodedName>,
    /// When the service took it in; in histories only.
    #[serde(
        default,
        deserialize_with = "loose::millis_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ts: Option<Millis>,
}

/// What the server says on its own account, at any time. Tagged with `op` on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum ServerNotice {
    /// A record is there.
    Push(RawRecord),
    /// The backlog is complete.
    Ready {
        /// The vault's version.
        #[serde(default, deserialize_with = "loose::version")]
        version: VaultVersion,
    },
    /// The answer to a ping.
    Pong,
}

/// The answer to `init`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitAnswer {
    /// The largest encrypted file that the service takes.
    #[serde(
        rename = "perFileMax",
        default,
        deserialize_with = "loose::count_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub per_file_max: Option<u64>,
    /// The user's number within the vault.
    #[serde(
        rename = "userId",
        default,
        deserialize_with = "loose::count_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub user_id: Option<u64>,
}

/// The answer to `pull`: what the binary frames after it will be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullAnswer {
    /// The content hash, encoded.
    #[serde(default, deserialize_with = "loose::name")]
    pub hash: EncodedName,
    /// The encrypted size.
    #[serde(default, deserialize_with = "loose::count")]
    pub size: u64,
    /// How many binary frames follow.
    #[serde(default, deserialize_with = "loose::count")]
    pub pieces: u64,
    /// The content is gone; nothing follows.
    #[serde(
        default,
        deserialize_with = "loose::flag",
        skip_serializing_if = "is_false"
    )]
    pub deleted: bool,
}

/// The answer to `history`: records of one path, and whether there are more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryAnswer {
    /// The records.
    #[serde(default, deserialize_with = "loose::list")]
    pub items: Vec<RawRecord>,
    /// Whether a next page exists, from the last record's uid.
    #[serde(default, deserialize_with = "loose::flag")]
    pub more: bool,
}

/// The answer to `deleted`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedAnswer {
    /// The records.
    #[serde(default, deserialize_with = "loose::list")]
    pub items: Vec<RawRecord>,
}

/// The answer to `size`: how much room the vault takes and has, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeInfo {
    /// Taken.
    #[serde(default, deserialize_with = "loose::count")]
    pub size: u64,
    /// Allowed.
    #[serde(default, deserialize_with = "loose::count")]
    pub limit: u64,
}

/// The answer to `usernames`: user number to name.
pub type Usernames = BTreeMap<u64, String>;

/// `{"res":"ok"}`, `{"res":"next"}` and failures, as a server sends them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "res", rename_all = "lowercase")]
pub enum Outcome {
    /// Done.
    Ok,
    /// Go on with the next piece.
    Next,
    /// The request, or the whole connection, is refused.
    Err {
        /// Why.
        #[serde(default, deserialize_with = "loose::text")]
        msg: String,
    },
}

/// The fields by which a text frame is told apart.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Head {
    #[serde(default)]
    op: Loose,
    #[serde(default)]
    res: Loose,
    #[serde(default)]
    status: Loose,
    #[serde(default)]
    msg: Loose,
    #[serde(default)]
    error: Loose,
    #[serde(default)]
    err: Loose,
}

impl Head {
    pub(crate) fn op(&self) -> Option<&str> {
        self.op.as_text()
    }

    pub(crate) fn res(&self) -> Option<&str> {
        self.res.as_text()
    }

    /// Whether it reports how a request went.
    pub(crate) fn is_answer(&self) -> bool {
        self.res != Loose::Nothing || self.error.is_truthy() || self.err.is_truthy()
    }

    /// The words of a failure in any of its forms, or `None` where this is none.
    pub(crate) fn failure(self) -> Option<String> {
        let refused = self.res() == Some("err")
            || self.status.as_text() == Some("err")
            || self.error.is_truthy()
            || self.err.is_truthy();
        refused.then(|| {
            [self.msg, self.error, self.err]
                .into_iter()
                .find_map(|field| field.into_text().filter(|text| !text.is_empty()))
                .unwrap_or_default()
        })
    }
}

/// Reads a `usernames` answer: whatever maps a number to a text.
pub(crate) fn usernames(text: &str) -> serde_json::Result<Usernames> {
    let map: BTreeMap<String, Loose> = serde_json::from_str(text)?;
    Ok(map
        .into_iter()
        .filter_map(|(id, name)| Some((id.parse().ok()?, name.into_text()?)))
        .collect())
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests;
