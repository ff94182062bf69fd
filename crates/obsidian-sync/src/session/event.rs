//! What goes in and out of a [`Session`](super::Session).

use bytes::Bytes;

use crate::error::Error;
use crate::types::{EncodedName, VaultVersion};
use crate::wire::{HistoryAnswer, InitAnswer, PIECE_SIZE, RawRecord, SizeInfo, Usernames};

/// What the service says on its own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A record: part of the backlog, or a change that was just made (also one's own). During an
    /// initial sync, ignore those that are deletions.
    Record(RawRecord),
    /// The backlog is complete; where the version is above the highest uid seen, it counts. `None` where
    /// the service tells none.
    Ready(Option<VaultVersion>),
}

/// A frame as it came in.
#[derive(Debug, Clone)]
pub enum Incoming<'a> {
    /// A text frame: JSON.
    Text(&'a str),
    /// A binary frame: content.
    Binary(Bytes),
}

/// What a frame meant.
#[derive(Debug)]
pub enum Event {
    /// The service says something on its own account.
    Notice(Notice),
    /// A ping was answered.
    Pong,
    /// Something this crate does not know and need not know.
    Ignored,
    /// The connection is open.
    Opened(InitAnswer),
    /// The content of a record follows in pieces; with size 0 and no pieces it is complete.
    Incoming(PullHeader),
    /// One piece of it.
    Piece {
        /// The bytes, still encrypted.
        bytes: Bytes,
        /// Whether the content is complete now.
        last: bool,
    },
    /// The service wants the piece with this index (see [`piece_range`]).
    SendPiece(u64),
    /// The request in flight is answered.
    Answered(Answer),
    /// The request in flight failed; the connection goes on.
    Failed(Error),
}

/// What a download will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullHeader {
    /// The content hash, encoded.
    pub hash: EncodedName,
    /// The encrypted size.
    pub size: u64,
    /// How many pieces.
    pub pieces: u64,
}

/// The answer to a request other than `init`, `pull` and `ping`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The service has the change, and its content.
    Pushed,
    /// Older records of a path.
    History(HistoryAnswer),
    /// Deleted files.
    Deleted(Vec<RawRecord>),
    /// The record was restored; a push follows.
    Restored,
    /// How much room there is.
    Size(SizeInfo),
    /// Who the users are.
    Usernames(Usernames),
    /// The history is dropped.
    Purged,
}

/// Where a piece lies in content of a size.
pub fn piece_range(index: u64, size: usize) -> std::ops::Range<usize> {
    let start = usize::try_from(index)
        .unwrap_or(usize::MAX)
        .saturating_mul(PIECE_SIZE)
        .min(size);
    start..start.saturating_add(PIECE_SIZE).min(size)
}

/// How many pieces content of a size takes.
pub fn piece_count(size: u64) -> u64 {
    size.div_ceil(PIECE_SIZE as u64)
}
