//! The WebSocket transport: moves the frames of a [`Session`], with deadlines and a heartbeat.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::deadlines::{Deadlines, Step, too_slow};
use crate::dial::BoxedIo;
use crate::error::{Error, Kind};
use crate::session::{Event, Incoming, Notice, Session};
use crate::text::quote;
use crate::wire::Request;

/// How long a close may take before the connection is simply dropped.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// How much memory notices may take that come in during a request.
const NOTICES_LIMIT: usize = 4 * 1024 * 1024;

/// One open WebSocket and what was said on it.
pub(crate) struct Connection {
    socket: WebSocketStream<BoxedIo>,
    pub(crate) session: Session,
    deadlines: Deadlines,
    host: String,
    last_heard: Instant,
    last_pinged: Instant,
    notices: Notices,
}

/// When a wait ends, and what it was for.
#[derive(Clone, Copy)]
pub(crate) struct Until {
    at: Instant,
    limit: Duration,
    step: Step,
}

impl Until {
    pub(crate) fn from_now(limit: Duration, step: Step) -> Self {
        Self {
            at: Instant::now() + limit,
            limit,
            step,
        }
    }
}

impl Connection {
    pub(crate) fn new(
        socket: WebSocketStream<BoxedIo>,
        deadlines: Deadlines,
        host: String,
    ) -> Self {
        let now = Instant::now();
        Self {
            socket,
            session: Session::new(),
            deadlines,
            host,
            last_heard: now,
            last_pinged: now,
            notices: Notices::default(),
        }
    }

    pub(crate) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    /// The next notice: one that was kept, or the next to come.
    ///
    /// Cancel-safe: what it awaits is a read that loses nothing, and a ping that may be lost.
    pub(crate) async fn notice(&mut self) -> Result<Notice, Error> {
        self.notice_until(None).await
    }

    /// The next notice, where one has to come.
    pub(crate) async fn due_notice(&mut self) -> Result<Notice, Error> {
        let until = Until::from_now(self.deadlines.silence, Step::Notice);
        self.notice_until(Some(until)).await
    }

    async fn notice_until(&mut self, until: Option<Until>) -> Result<Notice, Error> {
        loop {
            if let Some(notice) = self.notices.take()? {
                return Ok(notice);
            }
            if let Event::Notice(notice) = self.read(until).await? {
                return Ok(notice);
            }
        }
    }

    /// Sends a request and returns what answers it.
    pub(crate) async fn request(&mut self, request: &Request) -> Result<Event, Error> {
        self.request_until(
            request,
            Until::from_now(self.deadlines.answer, Step::Answer),
        )
        .await
    }

    pub(crate) async fn request_until(
        &mut self,
        request: &Request,
        until: Until,
    ) -> Result<Event, Error> {
        let frame = self.session.send(request)?;
        self.send(Message::text(frame), until).await?;
        self.answer(until).await
    }

    /// Sends a piece of content and returns what answers it.
    pub(crate) async fn send_piece(&mut self, piece: Bytes) -> Result<Event, Error> {
        let until = Until::from_now(self.deadlines.piece, Step::Piece);
        self.send(Message::binary(piece), until).await?;
        self.answer(until).await
    }

    /// Sends a ping and waits for a pong, whatever else is said meanwhile.
    pub(crate) async fn ping(&mut self) -> Result<(), Error> {
        let until = Until::from_now(self.deadlines.answer, Step::Answer);
        let frame = self.session.send(&Request::Ping)?;
        self.send(Message::text(frame), until).await?;
        loop {
            match self.read(Some(until)).await? {
                Event::Pong => return Ok(()),
                Event::Notice(notice) => self.notices.keep(notice),
                _ => {}
            }
        }
    }

    /// The next event that belongs to the request in flight; notices are kept.
    pub(crate) async fn answer(&mut self, until: Until) -> Result<Event, Error> {
        loop {
            match self.read(Some(until)).await? {
                Event::Notice(notice) => self.notices.keep(notice),
                Event::Pong | Event::Ignored => {}
                Event::Failed(error) => return Err(error),
                event => return Ok(event),
            }
        }
    }

    /// Says goodbye; never waits long.
    pub(crate) async fn close(mut self) {
        // The other side may be gone already: then there is nobody to tell.
        let _ = timeout(CLOSE_LIMIT, self.socket.close(None)).await;
    }

    /// Reads one frame. Pings whenever nothing was heard for a while. After an `Err` the connection is
    /// dead.
    async fn read(&mut self, until: Option<Until>) -> Result<Event, Error> {
        if self.session.is_dead() {
            return Err(self.closed(None));
        }
        let event = self.read_frame(until).await;
        if event.is_err() {
            self.session.kill();
        }
        event
    }

    async fn read_frame(&mut self, until: Option<Until>) -> Result<Event, Error> {
        let started = Instant::now();
        loop {
            // A connection that nobody has read for long is not dead: what was said lies in buffers.
            let silent = Until {
                at: self.last_heard.max(started) + self.deadlines.silence,
                limit: self.deadlines.silence,
                step: Step::Silence,
            };
            let end = until.filter(|until| until.at < silent.at).unwrap_or(silent);
            // Checked here too: a server that never stops talking must not put off a deadline.
            if Instant::now() >= end.at {
                return Err(too_slow(&self.host, end.step, end.limit));
            }
            let ping_at = match self.session.is_open() {
                true => self.last_heard.max(self.last_pinged) + self.deadlines.heartbeat,
                false => end.at,
            };
            match timeout_at(end.at.min(ping_at), self.socket.next()).await {
                Ok(Some(Ok(message))) => {
                    if let Some(event) = self.take(message)? {
                        return Ok(event);
                    }
                }
                Ok(Some(Err(error))) => return Err(self.broken(error)),
                Ok(None) => return Err(self.closed(None)),
                Err(_) if Instant::now() >= end.at => {}
                Err(_) => {
                    self.last_pinged = Instant::now();
                    let frame = self.session.send(&Request::Ping)?;
                    self.send(Message::text(frame), end).await?;
                }
            }
        }
    }

    fn take(&mut self, message: Message) -> Result<Option<Event>, Error> {
        let event = match message {
            Message::Text(text) => self.session.receive(Incoming::Text(&text))?,
            Message::Binary(bytes) => self.session.receive(Incoming::Binary(bytes))?,
            Message::Close(frame) => return Err(self.closed(frame.as_ref())),
            // Not counted as signs of life: a proxy on the way may send them.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(None),
        };
        self.last_heard = Instant::now();
        Ok(Some(event))
    }

    async fn send(&mut self, message: Message, until: Until) -> Result<(), Error> {
        let sent = match timeout_at(until.at, self.socket.send(message)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => Err(self.broken(error)),
            Err(_) => Err(too_slow(&self.host, until.step, until.limit)),
        };
        self.session.kill();
        sent
    }

    fn broken(&self, error: WsError) -> Error {
        let host = &self.host;
        match error {
            WsError::ConnectionClosed | WsError::AlreadyClosed => self.closed(None),
            WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => self.closed(None),
            WsError::Io(error) => {
                Error::new(Kind::Network, format!("the connection to {host} broke"))
                    .with_source(error)
            }
            WsError::Capacity(error) => Error::new(
                Kind::Protocol,
                format!("{host} sent a frame that is far too large"),
            )
            .with_source(error),
            error => Error::new(Kind::Protocol, format!("{host} does not keep to WebSocket"))
                .with_source(error),
        }
    }

    fn closed(&self, frame: Option<&CloseFrame>) -> Error {
        let why = match frame {
            Some(frame) if !frame.reason.is_empty() => {
                format!(": {} (code {})", quote(&frame.reason), frame.code)
            }
            Some(frame) => format!(" (code {})", frame.code),
            None => String::new(),
        };
        Error::new(
            Kind::Network,
            format!("{} closed the connection{why}", self.host),
        )
    }
}

/// Notices that came in while something else was awaited.
#[derive(Default)]
struct Notices {
    queue: VecDeque<Notice>,
    bytes: usize,
    lost: bool,
}

impl Notices {
    fn keep(&mut self, notice: Notice) {
        let size = footprint(&notice);
        // Once one is lost, a later one would look as if nothing were missing.
        if self.lost || self.bytes + size > NOTICES_LIMIT {
            self.lost = true;
            return;
        }
        self.bytes += size;
        self.queue.push_back(notice);
    }

    fn take(&mut self) -> Result<Option<Notice>, Error> {
        match self.queue.pop_front() {
            Some(notice) => {
                self.bytes -= footprint(&notice);
                Ok(Some(notice))
            }
            None if self.lost => Err(Error::new(
                Kind::Protocol,
                "more changes came in during a request than are kept; connect again from the last \
                 version",
            )),
            None => Ok(None),
        }
    }
}

/// Roughly what a notice takes in memory.
fn footprint(notice: &Notice) -> usize {
    let texts = match notice {
        Notice::Record(record) => {
            record.path.as_str().len()
                + record.hash.as_str().len()
                + record.device.len()
                + record
                    .related_path
                    .as_ref()
                    .map_or(0, |path| path.as_str().len())
        }
        Notice::Ready(_) => 0,
    };
    texts + size_of::<Notice>()
}
