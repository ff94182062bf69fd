//! What leaves a sync connection: in order, each frame when its time has come, faults included.
//!
//! The session puts frames into the queue and goes on; the writer lets each wait out the simulated
//! round trip, so that latency delays answers without slowing the ones behind them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use obsidian_sync::Uid;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::faults::{Action, Point};
use crate::service::Service;
use crate::wire::Valve;

/// Frames under way at most. With 30 ms of latency that is still 100,000 frames a second.
const QUEUE: usize = 4096;

pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The connection is gone.
#[derive(Debug)]
pub(crate) struct Closed;

/// How one frame is delivered.
#[derive(Debug, Clone, Copy)]
enum Delivery {
    Whole,
    Drop,
    Cut,
    Hang,
    Trickle(usize, Duration),
}

struct Frame {
    at: Instant,
    message: Message,
    delivery: Delivery,
    ends_answer: bool,
}

/// The session's end of the queue.
pub(crate) struct Outbox {
    service: Service,
    queue: mpsc::Sender<Frame>,
    asked: u64,
    answered: Arc<AtomicU64>,
}

/// The writer's end.
pub(crate) struct Writer {
    service: Service,
    queue: mpsc::Receiver<Frame>,
    answered: Arc<AtomicU64>,
    valve: Valve,
}

pub(crate) fn queue(service: &Service, valve: Valve) -> (Outbox, Writer) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let answered = Arc::new(AtomicU64::new(0));
    let outbox = Outbox {
        service: service.clone(),
        queue: sender,
        asked: 0,
        answered: Arc::clone(&answered),
    };
    (
        outbox,
        Writer {
            service: service.clone(),
            queue: receiver,
            answered,
            valve,
        },
    )
}

impl Outbox {
    /// Notes that the client asked for something, and whether it did not wait for its turn.
    pub(crate) fn asked(&mut self) {
        if self.answered.load(Ordering::SeqCst) < self.asked {
            self.service.counters().get().overlapping += 1;
        }
        self.asked += 1;
    }

    /// Sends a notification.
    pub(crate) async fn notify(
        &self,
        point: Point,
        uid: Option<Uid>,
        json: &Value,
    ) -> Result<(), Closed> {
        let action = self.service.strike_at(point, uid, None);
        self.send(text(json), action, false).await
    }

    /// Sends the whole answer to a request.
    pub(crate) async fn answer(
        &self,
        point: Point,
        uid: Option<Uid>,
        json: Value,
    ) -> Result<(), Closed> {
        match self.service.strike_at(point, uid, None) {
            Some(Action::Error(word)) => self.send(text(&error(&word)), None, true).await,
            action => self.send(text(&json), action, true).await,
        }
    }

    /// Sends a frame, or what an action makes of it. An answer's last frame `ends_answer`.
    pub(crate) async fn send(
        &self,
        message: Message,
        action: Option<Action>,
        ends_answer: bool,
    ) -> Result<(), Closed> {
        let action = action.or_else(|| self.service.strike(Point::Frame));
        let at = Instant::now() + self.service.faults().latency();
        let mut frame = Frame {
            at,
            message,
            delivery: Delivery::Whole,
            ends_answer,
        };
        match action {
            Some(Action::Drop) => frame.delivery = Delivery::Drop,
            Some(Action::Cut) => frame.delivery = Delivery::Cut,
            Some(Action::Hang) => frame.delivery = Delivery::Hang,
            Some(Action::Trickle(bytes, pause)) => frame.delivery = Delivery::Trickle(bytes, pause),
            Some(Action::Delay(more)) => frame.at += more,
            Some(Action::Garbage) => frame.message = Message::text("{\"op\": nonsense"),
            Some(Action::Say(words)) => frame.message = Message::text(words),
            Some(Action::Huge(bytes)) => frame.message = Message::binary(vec![0; bytes]),
            Some(Action::Flood(records)) => self.flood(records, at).await?,
            Some(Action::Skip) => {
                if ends_answer {
                    self.answered.fetch_add(1, Ordering::SeqCst);
                }
                return Ok(());
            }
            // The others change what is said, which the session has done.
            _ => {}
        }
        self.queue.send(frame).await.map_err(|_| Closed)
    }

    /// Sends records that are in no log.
    async fn flood(&self, records: u64, at: Instant) -> Result<(), Closed> {
        for number in 0..records {
            // As large as numbers in JSON are exact.
            let uid = (1_u64 << 53) - 1 - number;
            let push = serde_json::json!({
                "op": "push", "uid": uid, "path": format!("{uid:032x}"), "hash": "", "size": 0,
                "ctime": 0, "mtime": 0, "folder": false, "deleted": false, "device": "flood",
            });
            let frame = Frame {
                at,
                message: text(&push),
                delivery: Delivery::Whole,
                ends_answer: false,
            };
            self.queue.send(frame).await.map_err(|_| Closed)?;
        }
        Ok(())
    }
}

impl Writer {
    /// Delivers until the session ends; returns whether the connection is to be closed in good order.
    pub(crate) async fn run(&mut self, sink: &mut SplitSink<Socket, Message>) -> bool {
        let delivered = self.deliver(sink).await;
        matches!(delivered, Ok(true)) && sink.close().await.is_ok()
    }

    async fn deliver(&mut self, sink: &mut SplitSink<Socket, Message>) -> Result<bool, WriteError> {
        let mut hangs = false;
        while let Some(frame) = self.queue.recv().await {
            if hangs {
                continue;
            }
            if frame.at > Instant::now() {
                sink.flush().await?;
                self.service.pace().until(frame.at).await;
            }
            match frame.delivery {
                Delivery::Whole => {}
                Delivery::Drop => {
                    sink.flush().await?;
                    return Ok(false);
                }
                Delivery::Cut => {
                    sink.flush().await?;
                    self.valve.cut_after(1 + frame.message.len() / 2);
                }
                Delivery::Hang => {
                    sink.flush().await?;
                    hangs = true;
                    continue;
                }
                Delivery::Trickle(bytes, pause) => {
                    sink.flush().await?;
                    self.valve.trickle(bytes, pause);
                }
            }
            // Before it is sent: the client's next request may be here before the call returns.
            if frame.ends_answer {
                self.answered.fetch_add(1, Ordering::SeqCst);
            }
            sink.feed(frame.message).await?;
            if self.queue.is_empty() {
                sink.flush().await?;
            }
        }
        sink.flush().await?;
        Ok(!hangs)
    }
}

type WriteError = tokio_tungstenite::tungstenite::Error;

/// A JSON text frame.
pub(crate) fn text(json: &Value) -> Message {
    Message::text(json.to_string())
}

/// The failure of one request.
pub(crate) fn error(word: &str) -> Value {
    serde_json::json!({"err": word})
}
