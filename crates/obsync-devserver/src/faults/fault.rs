//! One fault: an action at a point, with limits.

use std::time::Duration;

use obsidian_sync::Uid;

use super::Place;

/// Where a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A TCP connection was accepted; nothing has been read.
    Accept,
    /// A REST request was read. [`Fault::path`] picks one.
    Rest,
    /// The WebSocket upgrade was asked for.
    Upgrade,
    /// The answer to `init`.
    Init,
    /// One record of the backlog.
    Backlog,
    /// The `ready` after the backlog.
    Ready,
    /// The answer to a pull, before its pieces.
    Pull,
    /// One piece of a pull.
    Piece,
    /// A push was asked for; nothing is stored yet.
    Push,
    /// The answer to a push, or to one of its pieces; after the last one it is stored.
    PushAnswer,
    /// A record that is broadcast live.
    Live,
    /// The answer to any other request: ping, history, size …
    Answer,
    /// Any frame that the service sends, counted over all sync connections.
    Frame,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The TCP connection ends here, without a close frame.
    Drop,
    /// The TCP connection ends in the middle of this frame or answer.
    Cut,
    /// Nothing is sent from here on; the connection stays open.
    Hang,
    /// This answer comes so much later.
    Delay(Duration),
    /// From this answer on, so many bytes are sent at a time, with a pause after each.
    Trickle(usize, Duration),
    /// Something that is not JSON.
    Garbage,
    /// This text, whatever it is.
    Say(String),
    /// A binary frame of so many bytes.
    Huge(usize),
    /// So many records that nobody pushed come before it.
    Flood(u64),
    /// It is left out; what follows is sent.
    Skip,
    /// The service's own error answer, with this text.
    Error(String),
    /// An HTTP status with an empty body.
    Status(u16),
    /// Status 429 with `Retry-After` in seconds.
    TooMany(u64),
    /// The edge answers with an HTML page under this status.
    Html(u16),
    /// A redirect to this address.
    Redirect(String),
    /// One bit of the content is flipped.
    FlipBit,
    /// The last so many bytes of the content are missing, in spite of the announced size.
    Short(usize),
    /// So many bytes too many follow.
    Long(usize),
    /// The content is that of another record, sizes and all; the hash is the record's own.
    Swap(Uid),
    /// The content is gone (`deleted: true`).
    Gone,
    /// The answer claims this size.
    ClaimSize(u64),
    /// The answer claims so many pieces.
    ClaimPieces(u64),
}

impl Action {
    /// The service sheds load: HTTP 200 with the words that clients know.
    pub fn overloaded() -> Self {
        Self::Error("Server overloaded, please try again later.".to_owned())
    }

    pub(super) fn fits(&self, point: Point) -> bool {
        use Point::{Accept, Answer, Init, Pull, Push, PushAnswer, Rest, Upgrade};
        match self {
            Self::Drop | Self::Hang => true,
            Self::Cut | Self::Delay(_) | Self::Trickle(..) | Self::Garbage => {
                !matches!(point, Accept | Push)
            }
            Self::Say(_) | Self::Huge(_) | Self::Flood(_) | Self::Skip => {
                !matches!(point, Accept | Rest | Upgrade | Push)
            }
            Self::Error(_) => {
                matches!(
                    point,
                    Rest | Upgrade | Init | Pull | Push | PushAnswer | Answer
                )
            }
            Self::Status(_) | Self::TooMany(_) | Self::Html(_) | Self::Redirect(_) => {
                matches!(point, Rest | Upgrade)
            }
            Self::FlipBit
            | Self::Short(_)
            | Self::Long(_)
            | Self::Swap(_)
            | Self::Gone
            | Self::ClaimSize(_)
            | Self::ClaimPieces(_) => point == Pull,
        }
    }
}

/// An action at a point, with limits. Without limits it strikes every time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub(super) point: Point,
    pub(super) action: Action,
    pub(super) after: u64,
    pub(super) every: u64,
    pub(super) times: Option<u64>,
    uid: Option<Uid>,
    path: Option<String>,
    above: Option<usize>,
}

impl Fault {
    /// An action that strikes whenever its point is reached.
    pub fn new(point: Point, action: Action) -> Self {
        Self {
            point,
            action,
            after: 0,
            every: 1,
            times: None,
            uid: None,
            path: None,
            above: None,
        }
    }

    /// Strikes at most so often.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// Strikes only once.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Lets the first so many pass.
    #[must_use]
    pub fn after(self, count: u64) -> Self {
        Self {
            after: count,
            ..self
        }
    }

    /// Strikes at every k-th only: the k-th, the 2k-th …
    #[must_use]
    pub fn every(self, k: u64) -> Self {
        Self {
            every: k.max(1),
            ..self
        }
    }

    /// Strikes only where it is about this record.
    #[must_use]
    pub fn uid(self, uid: Uid) -> Self {
        Self {
            uid: Some(uid),
            ..self
        }
    }

    /// Strikes only at REST requests to this path, such as `/vault/list`.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        Self {
            path: Some(path.into()),
            ..self
        }
    }

    /// Strikes only while more than so many sync connections are open, the one at hand included.
    #[must_use]
    pub fn above(self, sockets: usize) -> Self {
        Self {
            above: Some(sockets),
            ..self
        }
    }

    pub(super) fn is_about(&self, at: &Place<'_>) -> bool {
        self.point == at.point
            && self.uid.is_none_or(|uid| at.uid == Some(uid))
            && self
                .path
                .as_deref()
                .is_none_or(|path| at.path == Some(path))
            && self.above.is_none_or(|limit| at.sockets > limit)
    }
}
