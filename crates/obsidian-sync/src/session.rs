//! The sync connection as a state machine without I/O (protocol section 4).
//!
//! A transport hands frames in and gets one [`Event`] for each; requests go in and come out as the text
//! frame to send. One request is in flight at a time, since answers carry no number; pings don't count.
//! Notices (`push`, `ready`, `pong`) may come at any moment, between the pieces of a download too.
//!
//! An `Err` from [`Session::receive`] is final: what was said no longer makes sense, and the connection
//! must be dropped. A failure of one request is [`Event::Failed`], and the connection goes on.

mod event;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use self::event::{Answer, Event, Incoming, Notice, PullHeader, piece_count, piece_range};
use crate::error::{Error, Kind, kind_of_words};
use crate::loose::{self, Loose};
use crate::secret::Token;
use crate::text::{Unreadable, quote_without};
use crate::types::{Uid, VaultVersion};
use crate::wire::{
    self, DEFAULT_PER_FILE_MAX, DeletedAnswer, Head, InitAnswer, PIECE_SIZE, PullAnswer, Request,
};

/// One connection, from `init` to its end.
#[derive(Debug)]
pub struct Session {
    state: State,
    per_file_max: u64,
    user_id: Option<u64>,
    /// What must not appear in messages, should the service echo it.
    secrets: Vec<Token>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing was said yet.
    New,
    /// `init` is in flight.
    Opening,
    /// Open, nothing in flight.
    Idle,
    /// A request with one answer is in flight.
    Waiting(Waiting),
    /// Pieces of a download are due.
    Pulling {
        uid: Uid,
        size: u64,
        bytes_left: u64,
        pieces_left: u64,
    },
    /// A push is in flight; `sent` of its pieces are on their way.
    Pushing { pieces: u64, sent: u64 },
    /// Nothing more can be said.
    Dead,
}

#[derive(Debug, Clone, Copy)]
enum Waiting {
    Pull(Uid),
    History,
    Deleted,
    Restore,
    Size,
    Usernames,
    Purge,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// A connection on which nothing was said yet.
    pub fn new() -> Self {
        Self {
            state: State::New,
            per_file_max: DEFAULT_PER_FILE_MAX,
            user_id: None,
            secrets: Vec::new(),
        }
    }

    /// The largest encrypted file that the service takes.
    pub fn per_file_max(&self) -> u64 {
        self.per_file_max
    }

    /// The user's number within the vault, where the service told it.
    pub fn user_id(&self) -> Option<u64> {
        self.user_id
    }

    /// Whether a request may be sent now.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Whether `init` was answered and nothing has failed since.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::New | State::Opening | State::Dead)
    }

    /// Whether nothing more can be said.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, State::Dead)
    }

    /// Notes that the transport failed: no more requests.
    pub fn kill(&mut self) {
        self.state = State::Dead;
    }

    /// Starts a request and returns the text frame to send.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] when another request is in flight or the connection is not open yet,
    /// [`Kind::Network`] when it is closed.
    pub fn send(&mut self, request: &Request) -> Result<String, Error> {
        let next = match (&self.state, request) {
            (State::New, Request::Init(init)) => {
                self.secrets = vec![init.token.clone(), init.keyhash.clone()];
                State::Opening
            }
            (State::Dead, _) => {
                return Err(Error::new(Kind::Network, "the sync connection is closed"));
            }
            (State::New, _) => {
                return Err(Error::new(
                    Kind::InvalidInput,
                    "the sync connection is not open yet",
                ));
            }
            (_, Request::Init(_)) => {
                return Err(Error::new(
                    Kind::InvalidInput,
                    "the sync connection is already open",
                ));
            }
            // A ping may go out at any time: its answer can't be taken for another.
            (_, Request::Ping) => return encode(request),
            (State::Idle, Request::Pull { uid }) => State::Waiting(Waiting::Pull(*uid)),
            (State::Idle, Request::Push(push)) => State::Pushing {
                pieces: push.pieces.unwrap_or(0),
                sent: 0,
            },
            (State::Idle, Request::History { .. }) => State::Waiting(Waiting::History),
            (State::Idle, Request::Deleted { .. }) => State::Waiting(Waiting::Deleted),
            (State::Idle, Request::Restore { .. }) => State::Waiting(Waiting::Restore),
            (State::Idle, Request::Size) => State::Waiting(Waiting::Size),
            (State::Idle, Request::Usernames) => State::Waiting(Waiting::Usernames),
            (State::Idle, Request::Purge) => State::Waiting(Waiting::Purge),
            _ => {
                return Err(Error::new(
                    Kind::InvalidInput,
                    "another request is still in flight on this sync connection",
                ));
            }
        };
        let frame = encode(request)?;
        self.state = next;
        Ok(frame)
    }

    /// Takes a frame in and says what it meant.
    ///
    /// # Errors
    /// Final ones: the connection must be dropped. [`Kind::Protocol`] when the frame makes no sense at
    /// this point; when `init` is refused, [`Kind::SubscriptionExpired`], [`Kind::VaultNotFound`],
    /// [`Kind::Unauthorized`], [`Kind::Overloaded`] or [`Kind::Refused`].
    pub fn receive(&mut self, frame: Incoming<'_>) -> Result<Event, Error> {
        let event = match frame {
            Incoming::Text(text) => self.receive_text(text),
            Incoming::Binary(bytes) => self.receive_piece(bytes),
        };
        if event.is_err() {
            self.state = State::Dead;
        }
        event
    }

    fn receive_text(&mut self, text: &str) -> Result<Event, Error> {
        // A list would pass for an object whose fields are all left out.
        if text.trim_start().starts_with('[') {
            return Err(protocol("the service sent a list where an object was due"));
        }
        let head: Head = parse(text)?;
        match head.op() {
            Some("push") => Ok(Event::Notice(Notice::Record(parse(text)?))),
            Some("ready") => {
                let Ready { version } = parse(text)?;
                Ok(Event::Notice(Notice::Ready(version.map(VaultVersion))))
            }
            Some("pong") => Ok(Event::Pong),
            // A notice of a kind that came up after this was written.
            Some(op) if !self.state.is_answered_by(op) && !head.is_answer() => Ok(Event::Ignored),
            _ => self.receive_answer(head, text),
        }
    }

    fn receive_answer(&mut self, head: Head, text: &str) -> Result<Event, Error> {
        let is_ok = head.res() == Some("ok");
        let is_done = is_ok || head.op() == Some("ok");
        match (self.state, head.failure()) {
            (State::Opening, Some(words)) => Err(self.init_refused(&words)),
            (State::Opening, None) if is_ok => self.opened(&parse(text)?),
            (State::Waiting(_) | State::Pushing { .. }, Some(words)) => {
                self.state = State::Idle;
                Ok(Event::Failed(self.request_refused(&words)))
            }
            (State::Waiting(Waiting::Pull(uid)), None) => self.pull_answered(uid, text),
            (State::Waiting(waiting), None) => {
                let answer = match waiting {
                    Waiting::Pull(_) => unreachable!("matched above"),
                    Waiting::History => Answer::History(parse(text)?),
                    Waiting::Deleted => Answer::Deleted(parse::<DeletedAnswer>(text)?.items),
                    Waiting::Restore => Answer::Restored,
                    Waiting::Size => Answer::Size(parse(text)?),
                    Waiting::Usernames => {
                        Answer::Usernames(wire::usernames(text).map_err(unreadable)?)
                    }
                    Waiting::Purge => Answer::Purged,
                };
                self.state = State::Idle;
                Ok(Event::Answered(answer))
            }
            (State::Pushing { pieces, sent }, None) => {
                let not_needed = sent == 0 && is_done;
                if not_needed || sent == pieces {
                    self.state = State::Idle;
                    return Ok(Event::Answered(Answer::Pushed));
                }
                self.state = State::Pushing {
                    pieces,
                    sent: sent + 1,
                };
                Ok(Event::SendPiece(sent))
            }
            (State::Pulling { uid, .. }, Some(words)) => Err(protocol(format!(
                "the service broke off the download of record {uid}: {}",
                self.quote(&words)
            ))),
            (State::Pulling { uid, .. }, None) => Err(protocol(format!(
                "the service sent an answer where content of record {uid} was due"
            ))),
            (State::New | State::Idle | State::Dead, Some(words)) => Err(protocol(format!(
                "the service reports a failure that belongs to no request: {}",
                self.quote(&words)
            ))),
            (State::Opening | State::New | State::Idle | State::Dead, None) => Err(protocol(
                "the service sent an answer that belongs to no request",
            )),
        }
    }

    fn opened(&mut self, answer: &InitAnswer) -> Result<Event, Error> {
        // A limit of nothing at all is no limit that anybody meant.
        let limit = answer.per_file_max.filter(|limit| *limit > 0);
        self.per_file_max = limit.unwrap_or(DEFAULT_PER_FILE_MAX);
        self.user_id = answer.user_id;
        self.state = State::Idle;
        Ok(Event::Opened(answer.clone()))
    }

    fn pull_answered(&mut self, uid: Uid, text: &str) -> Result<Event, Error> {
        let answer: PullAnswer = parse(text)?;
        if answer.deleted {
            self.state = State::Idle;
            return Ok(Event::Failed(Error::new(
                Kind::Gone,
                format!("the service no longer has the content of record {uid}"),
            )));
        }
        // Else an `ok` to something else would pass for an empty file.
        if parse::<Announced>(text)?.size.count().is_none() {
            return Err(protocol(format!(
                "the service did not say how large record {uid} is"
            )));
        }
        let (hash, size, pieces) = (answer.hash, answer.size, answer.pieces);
        let is_empty = size == 0 && pieces <= 1;
        if !is_empty && !can_hold(pieces, size) {
            return Err(protocol(format!(
                "the service announced {size} bytes in {pieces} pieces for record {uid}, which can't be"
            )));
        }
        self.state = match pieces {
            0 => State::Idle,
            _ => State::Pulling {
                uid,
                size,
                bytes_left: size,
                pieces_left: pieces,
            },
        };
        Ok(Event::Incoming(PullHeader { hash, size, pieces }))
    }

    fn receive_piece(&mut self, bytes: Bytes) -> Result<Event, Error> {
        let State::Pulling {
            uid,
            size,
            bytes_left,
            pieces_left,
        } = self.state
        else {
            return Err(protocol("the service sent content that was not asked for"));
        };
        let length = bytes.len() as u64;
        let sane = bytes.len() <= PIECE_SIZE && (length > 0 || size == 0);
        let rest = bytes_left.checked_sub(length);
        let rest = rest.filter(|rest| sane && can_hold(pieces_left - 1, *rest));
        let Some(bytes_left) = rest else {
            return Err(protocol(format!(
                "the service sent a piece of {length} bytes where {bytes_left} of the {size} bytes of \
                 record {uid} were due in {pieces_left} pieces"
            )));
        };
        let pieces_left = pieces_left - 1;
        let last = pieces_left == 0;
        self.state = match last {
            true => State::Idle,
            false => State::Pulling {
                uid,
                size,
                bytes_left,
                pieces_left,
            },
        };
        Ok(Event::Piece { bytes, last })
    }

    fn init_refused(&self, words: &str) -> Error {
        let kind = kind_of_words(words).unwrap_or(Kind::Refused);
        let message = match kind {
            Kind::SubscriptionExpired => {
                "the account's Obsidian Sync subscription has expired".into()
            }
            Kind::VaultNotFound => "the service has no such vault, or not for this account".into(),
            _ => format!(
                "the service refused the sync connection: {}",
                self.quote(words)
            ),
        };
        Error::new(kind, message)
    }

    fn request_refused(&self, words: &str) -> Error {
        let kind = match kind_of_words(words) {
            Some(Kind::Overloaded) => Kind::Overloaded,
            _ => Kind::Refused,
        };
        Error::new(
            kind,
            format!("the service refused the request: {}", self.quote(words)),
        )
    }

    fn quote(&self, words: &str) -> String {
        let secrets: Vec<_> = self.secrets.iter().map(Token::expose).collect();
        quote_without(words, &secrets)
    }
}

impl State {
    /// Whether a frame with this `op` may be the answer in question: some servers name it.
    fn is_answered_by(&self, op: &str) -> bool {
        match self {
            Self::Opening => op == "init",
            Self::Pushing { .. } => op == "ok" || op == "next",
            Self::Waiting(waiting) => op == waiting.op(),
            Self::New | Self::Idle | Self::Pulling { .. } | Self::Dead => false,
        }
    }
}

impl Waiting {
    fn op(self) -> &'static str {
        match self {
            Self::Pull(_) => "pull",
            Self::History => "history",
            Self::Deleted => "deleted",
            Self::Restore => "restore",
            Self::Size => "size",
            Self::Usernames => "usernames",
            Self::Purge => "purge",
        }
    }
}

#[derive(Deserialize)]
struct Ready {
    #[serde(default, deserialize_with = "loose::count_option")]
    version: Option<u64>,
}

#[derive(Deserialize)]
struct Announced {
    #[serde(default)]
    size: Loose,
}

/// Whether so many pieces, none of them empty or too large, can hold so many bytes.
fn can_hold(pieces: u64, bytes: u64) -> bool {
    pieces <= bytes && bytes <= pieces.saturating_mul(PIECE_SIZE as u64)
}

fn encode(request: &Request) -> Result<String, Error> {
    serde_json::to_string(request).map_err(|error| {
        Error::new(Kind::InvalidInput, "the request can't be written as JSON").with_source(error)
    })
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(unreadable)
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn unreadable(error: serde_json::Error) -> Error {
    protocol("the service sent a frame that can't be read").with_source(Unreadable::of(&error))
}

fn protocol(message: impl Into<String>) -> Error {
    Error::new(Kind::Protocol, message)
}

#[cfg(test)]
mod tests;
