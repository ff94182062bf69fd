//! [`Pull`]: content on its way down.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::connection::{Connection, Until};
use crate::deadlines::Step;
use crate::error::{Error, Kind};
use crate::session::{Event, PullHeader, piece_count};
use crate::types::{EncodedName, Uid};

/// The content of one record, still encrypted, arriving piece by piece.
///
/// Dropped before its end it leaves a connection that is no longer usable, since the rest of the pieces
/// is on its way.
#[must_use = "a download that is not read to its end makes the connection unusable"]
pub struct Pull<'a> {
    connection: &'a mut Connection,
    uid: Uid,
    header: PullHeader,
    /// How much longer we wait in all: a service that sends tiny pieces, each just in time, would
    /// otherwise take for ever.
    patience: Duration,
}

impl<'a> Pull<'a> {
    pub(super) fn new(connection: &'a mut Connection, uid: Uid, header: PullHeader) -> Self {
        let pieces = u32::try_from(piece_count(header.size)).unwrap_or(u32::MAX);
        let patience = connection.deadlines().piece.saturating_mul(pieces.max(1));
        Self {
            connection,
            uid,
            header,
            patience,
        }
    }

    /// The encrypted size.
    pub fn size(&self) -> u64 {
        self.header.size
    }

    /// How many pieces the service announced.
    pub fn pieces(&self) -> u64 {
        self.header.pieces
    }

    /// The content hash that the service has for it, encoded.
    pub fn hash(&self) -> &EncodedName {
        &self.header.hash
    }

    /// The next piece, at most 2 MiB; `None` when the content is complete. All pieces together have
    /// [`size`](Self::size) bytes: that is checked. Cancel-safe.
    ///
    /// # Errors
    /// [`Kind::Timeout`] when a piece takes too long, [`Kind::Protocol`] when the pieces don't add up,
    /// [`Kind::Network`] when the connection broke. The content must be thrown away.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        if self.connection.session.is_idle() {
            return Ok(None);
        }
        let limit = self.connection.deadlines().piece.min(self.patience);
        let until = Until::from_now(limit, Step::Piece);
        let began = Instant::now();
        let answer = self.connection.answer(until).await;
        self.patience = self.patience.saturating_sub(began.elapsed());
        match answer? {
            // The one piece of an empty file.
            Event::Piece { bytes, .. } if bytes.is_empty() => Ok(None),
            Event::Piece { bytes, .. } => Ok(Some(bytes)),
            _ => {
                self.connection.session.kill();
                Err(Error::new(
                    Kind::Protocol,
                    "the service sent something else than content",
                ))
            }
        }
    }

    /// All of the content, for what fits in memory.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] when the content is above `limit`; nothing was read then, and the
    /// connection is no longer usable. Otherwise as [`piece`](Self::piece).
    pub async fn collect(mut self, limit: u64) -> Result<Vec<u8>, Error> {
        let size = usize::try_from(self.size())
            .ok()
            .filter(|_| self.size() <= limit);
        let size = size.ok_or_else(|| {
            Error::new(
                Kind::InvalidInput,
                format!(
                    "record {} has {} bytes, above the limit of {limit}",
                    self.uid,
                    self.size()
                ),
            )
        })?;
        let mut content = Vec::with_capacity(size);
        while let Some(piece) = self.piece().await? {
            content.extend_from_slice(&piece);
        }
        Ok(content)
    }
}

impl std::fmt::Debug for Pull<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pull")
            .field("uid", &self.uid)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}
