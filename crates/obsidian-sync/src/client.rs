//! [`Connector`] and [`SyncClient`]: an open vault, and what one can ask of it.

mod connector;
mod pull;
mod reach;

use bytes::Bytes;

pub use self::connector::Connector;
pub use self::pull::Pull;
pub use self::reach::{Reached, reach};
use crate::connection::Connection;
pub use crate::deadlines::Deadlines;
use crate::error::{Error, Kind};
pub use crate::session::Notice;
use crate::session::{Answer, Event, piece_count, piece_range};
use crate::types::{EncodedName, Millis, Uid};
use crate::wire::{HistoryAnswer, PushRequest, RawRecord, Request, SizeInfo, Usernames};

/// An open connection to one vault.
///
/// One request is in flight at a time. Notices that come in during a request are kept for
/// [`next`](Self::next), up to 4 MiB of them: read the backlog to its end before asking for content
/// on the same connection.
///
/// After a transport error, a timeout, or a request that was dropped before its end, the connection is
/// no longer usable: see [`is_usable`](Self::is_usable). The service cuts connections that are silent
/// for a minute or so: while idle, call [`next`](Self::next), which pings by itself, or
/// [`ping`](Self::ping).
pub struct SyncClient {
    connection: Connection,
}

/// A change to announce, with names as the vault's cipher encodes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushParams {
    /// The path, encoded.
    pub path: EncodedName,
    /// The path that it had before a rename, encoded.
    pub related_path: Option<EncodedName>,
    /// The extension in lower case without the dot; empty for folders.
    pub extension: String,
    /// The content hash, encoded.
    pub hash: EncodedName,
    /// Birth time.
    pub ctime: Millis,
    /// Modification time.
    pub mtime: Millis,
    /// Whether it is a folder.
    pub folder: bool,
    /// Whether it is deleted.
    pub deleted: bool,
}

impl SyncClient {
    fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// The largest encrypted file that the service takes.
    pub fn per_file_max(&self) -> u64 {
        self.connection.session.per_file_max()
    }

    /// The user's number within the vault, where the service told it.
    pub fn user_id(&self) -> Option<u64> {
        self.connection.session.user_id()
    }

    /// Whether a request can be sent. `false` after a transport error or a timeout, and after a
    /// request or a [`Pull`] that was dropped before its end: then connect anew.
    pub fn is_usable(&self) -> bool {
        self.connection.session.is_idle()
    }

    /// The next notice, pinging by itself whenever the line is quiet. Cancel-safe.
    ///
    /// # Errors
    /// [`Kind::Network`] when the connection broke, [`Kind::Timeout`] when nothing was heard for
    /// 120 s, [`Kind::Protocol`] when what came makes no sense, or when more came in during a request
    /// than is kept.
    pub async fn next(&mut self) -> Result<Notice, Error> {
        self.connection.notice().await
    }

    /// As [`next`](Self::next), for a notice that is due: a service that says nothing but pongs does
    /// not put off its deadline, that of silence.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn next_due(&mut self) -> Result<Notice, Error> {
        self.connection.due_notice().await
    }

    /// Asks for the content of a record. Read all of its pieces before the next request.
    ///
    /// # Errors
    /// [`Kind::Gone`] when the service no longer has it, [`Kind::Refused`] when it does not give it;
    /// otherwise as [`next`](Self::next).
    pub async fn pull(&mut self, uid: Uid) -> Result<Pull<'_>, Error> {
        match self.connection.request(&Request::Pull { uid }).await? {
            Event::Incoming(header) => Ok(Pull::new(&mut self.connection, uid, header)),
            _ => Err(self.confused()),
        }
    }

    /// Announces a change and sends its content, if the service wants it. For folders and deletions
    /// only the names count.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] when the content is above [`per_file_max`](Self::per_file_max): nothing
    /// was sent then. [`Kind::Refused`] when the service does not take it; otherwise as
    /// [`next`](Self::next).
    pub async fn push(&mut self, params: PushParams, sealed: &[u8]) -> Result<(), Error> {
        let PushParams {
            path,
            related_path,
            extension,
            folder,
            deleted,
            ..
        } = params;
        let mut request = PushRequest {
            path,
            related_path,
            extension,
            folder,
            deleted,
            ..Default::default()
        };
        if !folder && !deleted {
            let size = sealed.len() as u64;
            let limit = self.per_file_max();
            if size > limit {
                return Err(Error::new(
                    Kind::InvalidInput,
                    format!(
                        "the file has {size} bytes encrypted; the service takes {limit} at most"
                    ),
                ));
            }
            request.hash = params.hash;
            request.ctime = params.ctime;
            request.mtime = params.mtime;
            request.size = Some(size);
            request.pieces = Some(piece_count(size));
        }
        let mut event = self.connection.request(&Request::Push(request)).await?;
        while let Event::SendPiece(index) = event {
            let piece = &sealed[piece_range(index, sealed.len())];
            event = self
                .connection
                .send_piece(Bytes::copy_from_slice(piece))
                .await?;
        }
        match event {
            Event::Answered(Answer::Pushed) => Ok(()),
            _ => Err(self.confused()),
        }
    }

    /// The older records of a path, newest first; `last` is where to page on from.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the service does not give them; otherwise as [`next`](Self::next).
    pub async fn history(
        &mut self,
        path: EncodedName,
        last: Option<Uid>,
    ) -> Result<HistoryAnswer, Error> {
        match self
            .connection
            .request(&Request::History { path, last })
            .await?
        {
            Event::Answered(Answer::History(history)) => Ok(history),
            _ => Err(self.confused()),
        }
    }

    /// The deleted files, without those that were renamed.
    ///
    /// # Errors
    /// As [`history`](Self::history).
    pub async fn deleted(&mut self) -> Result<Vec<RawRecord>, Error> {
        let request = Request::Deleted {
            suppressrenames: true,
        };
        match self.connection.request(&request).await? {
            Event::Answered(Answer::Deleted(records)) => Ok(records),
            _ => Err(self.confused()),
        }
    }

    /// Makes an old record the current one again; a notice of the change follows.
    ///
    /// # Errors
    /// As [`history`](Self::history).
    pub async fn restore(&mut self, uid: Uid) -> Result<(), Error> {
        match self.connection.request(&Request::Restore { uid }).await? {
            Event::Answered(Answer::Restored) => Ok(()),
            _ => Err(self.confused()),
        }
    }

    /// How much room the vault takes and has.
    ///
    /// # Errors
    /// As [`history`](Self::history).
    pub async fn size(&mut self) -> Result<SizeInfo, Error> {
        match self.connection.request(&Request::Size).await? {
            Event::Answered(Answer::Size(info)) => Ok(info),
            _ => Err(self.confused()),
        }
    }

    /// The names of the vault's users by their numbers.
    ///
    /// # Errors
    /// As [`history`](Self::history).
    pub async fn usernames(&mut self) -> Result<Usernames, Error> {
        match self.connection.request(&Request::Usernames).await? {
            Event::Answered(Answer::Usernames(names)) => Ok(names),
            _ => Err(self.confused()),
        }
    }

    /// Drops the vault's history, for good.
    ///
    /// # Errors
    /// As [`history`](Self::history).
    pub async fn purge(&mut self) -> Result<(), Error> {
        match self.connection.request(&Request::Purge).await? {
            Event::Answered(Answer::Purged) => Ok(()),
            _ => Err(self.confused()),
        }
    }

    /// Asks for a sign of life and waits for it.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.connection.ping().await
    }

    /// Says goodbye. Dropping the client closes the connection too, just less politely.
    pub async fn close(self) {
        self.connection.close().await;
    }

    /// The session gave an event that does not belong to the request.
    fn confused(&mut self) -> Error {
        self.connection.session.kill();
        Error::new(
            Kind::Protocol,
            "the service answered something else than was asked",
        )
    }
}

impl std::fmt::Debug for SyncClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyncClient")
            .field("usable", &self.is_usable())
            .finish_non_exhaustive()
    }
}
