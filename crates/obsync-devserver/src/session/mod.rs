//! The requests of a sync connection, one by one (protocol sections 4.2 to 4.5).
//!
//! Where the protocol leaves the service a choice, it takes both in turn, by the parity of the
//! uid: an optional field is there or not, the broadcast of one's own push comes before or after
//! the answer. A client must live with either.

mod push;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use obsidian_sync::{EncodedName, Uid};
use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::error::Error;
use crate::faults::{Action, Point};
use crate::log::Found;
use crate::outbox::{self, Closed, Outbox, Socket};
use crate::record::{Change, Record};
use crate::request::{PIECE, Request};
use crate::service::Service;
use crate::socket::Joined;
use crate::vault::Content;

enum Said {
    Text(String),
    Piece(Bytes),
}

/// A connection that has passed `init`.
pub(crate) struct Session<'a> {
    pub service: Service,
    pub stream: &'a mut SplitStream<Socket>,
    pub outbox: Outbox,
    pub joined: Joined,
}

impl Session<'_> {
    /// Answers one request after the other until the connection ends.
    pub(crate) async fn run(&mut self) -> Result<(), Closed> {
        loop {
            let Said::Text(text) = self.listen().await? else {
                self.outbox.asked();
                return self.fail("Content that nobody asked for.").await;
            };
            let Ok(request) = serde_json::from_str::<Request>(&text) else {
                self.outbox.asked();
                return self.fail("Bad request.").await;
            };
            let op = request.op();
            *self
                .service
                .counters()
                .get()
                .ops
                .entry(op.to_owned())
                .or_default() += 1;
            // A pong is a notice: a ping may go out at any time.
            if let Request::Ping = request {
                self.outbox
                    .notify(Point::Answer, None, &json!({"op": "pong"}))
                    .await?;
                continue;
            }
            self.outbox.asked();
            match request {
                Request::Pull { uid } => self.pull(uid).await?,
                Request::Push(push) => self.push(push).await?,
                Request::Init(_) => return self.fail("init was said already.").await,
                other => {
                    let answer = self.ask(other).unwrap_or_else(|word| outbox::error(&word));
                    self.outbox.answer(Point::Answer, None, answer).await?;
                }
            }
        }
    }

    /// Waits for the client, and passes on what others push meanwhile.
    async fn listen(&mut self) -> Result<Said, Closed> {
        let limit = self.service.settings().idle_timeout;
        loop {
            let idle = async {
                match limit {
                    Some(limit) => tokio::time::sleep(limit).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = self.stream.next() => match message {
                    Some(Ok(Message::Text(text))) => return Ok(Said::Text(text.to_string())),
                    Some(Ok(Message::Binary(piece))) => return Ok(Said::Piece(piece)),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return Err(Closed),
                },
                record = self.joined.notices.recv() => {
                    // The vault is gone, or the service wants this connection to end.
                    let record = record.ok_or(Closed)?;
                    self.tell(&record).await?;
                }
                () = idle => return Err(Closed),
            }
        }
    }

    async fn tell(&self, record: &Record) -> Result<(), Closed> {
        self.outbox
            .notify(Point::Live, Some(record.uid), &record.to_push())
            .await
    }

    /// Passes on what has been pushed, without waiting.
    async fn tell_news(&mut self) -> Result<(), Closed> {
        while let Ok(record) = self.joined.notices.try_recv() {
            self.tell(&record).await?;
        }
        Ok(())
    }

    async fn fail(&self, word: &str) -> Result<(), Closed> {
        self.outbox
            .answer(Point::Answer, None, outbox::error(word))
            .await?;
        Err(Closed)
    }

    async fn pull(&mut self, uid: Uid) -> Result<(), Closed> {
        let action = self.service.strike_at(Point::Pull, Some(uid), None);
        let (hash, content) = match self.find(uid, action.as_ref()) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let gone = json!({"hash": "", "size": 0, "pieces": 0, "deleted": true});
                return self.outbox.send(outbox::text(&gone), action, true).await;
            }
            Err(word) => {
                return self
                    .outbox
                    .send(outbox::text(&outbox::error(&word)), action, true)
                    .await;
            }
        };
        let mut size = content.len() as u64;
        let mut pieces = size.div_ceil(PIECE);
        let mut frames = pieces;
        let mut content = content;
        match action {
            Some(Action::FlipBit) => content = flip(&content),
            Some(Action::Short(by)) => content.truncate(content.len().saturating_sub(by)),
            Some(Action::Long(by)) => {
                let mut longer = BytesMut::from(content);
                longer.resize(longer.len() + by, 0);
                content = longer.freeze();
                pieces = (content.len() as u64).div_ceil(PIECE);
                frames = pieces;
            }
            Some(Action::ClaimSize(claim)) => size = claim,
            Some(Action::ClaimPieces(claim)) => pieces = claim,
            _ => {}
        }
        let mut header = json!({"hash": hash, "size": size, "pieces": pieces});
        if uid.0.is_multiple_of(2) {
            header["res"] = "ok".into();
            header["deleted"] = false.into();
        }
        self.service
            .counters()
            .count_pull(&self.joined.vault, uid, content.len() as u64);
        self.outbox
            .send(outbox::text(&header), action, frames == 0)
            .await?;
        for index in 0..frames {
            self.tell_news().await?;
            let start = content.len().min((index * PIECE) as usize);
            let end = content.len().min(start + PIECE as usize);
            let action = self.service.strike_at(Point::Piece, Some(uid), None);
            let piece = Message::Binary(content.slice(start..end));
            self.outbox.send(piece, action, index + 1 == frames).await?;
        }
        Ok(())
    }

    /// The content for a pull; `None` where it is gone.
    fn find(
        &self,
        uid: Uid,
        action: Option<&Action>,
    ) -> Result<Option<(EncodedName, Bytes)>, String> {
        let from = match action {
            Some(Action::Error(word)) => return Err(word.clone()),
            Some(Action::Gone) => return Ok(None),
            Some(Action::Swap(other)) => *other,
            _ => uid,
        };
        let store = self.service.store();
        let log = &store
            .vault(&self.joined.vault)
            .map_err(|error| error.to_string())?
            .log;
        match log.find(from) {
            Found::Content(content) => {
                let hash = log.record(uid).map(|record| record.change.hash.clone());
                Ok(Some((hash.unwrap_or_default(), content)))
            }
            Found::Gone => Ok(None),
            Found::Folder => Err("Not a file.".to_owned()),
            Found::Unknown => Err("No such record.".to_owned()),
        }
    }

    /// Requests whose answer is one JSON text.
    fn ask(&self, request: Request) -> Result<Value, String> {
        let mut store = self.service.store();
        let answer = match request {
            Request::History { path, last } => {
                let (items, more) = store
                    .vault(&self.joined.vault)
                    .map_err(word)?
                    .log
                    .history(&path, last);
                json!({"items": to_items(&items), "more": more})
            }
            Request::Deleted { suppressrenames } => {
                let items = store
                    .vault(&self.joined.vault)
                    .map_err(word)?
                    .log
                    .deleted(suppressrenames);
                json!({"items": to_items(&items)})
            }
            Request::Restore { uid } => {
                let log = &store.vault(&self.joined.vault).map_err(word)?.log;
                let (change, content) = log.restorable(uid).ok_or("Nothing to restore.")?;
                let change = Change {
                    device: self.joined.device.clone(),
                    user: self.joined.user,
                    ..change
                };
                let now = self.service.now_millis();
                store
                    .commit(&self.joined.vault, change, Content::Kept(content), now)
                    .map_err(word)?;
                json!({"res": "ok"})
            }
            Request::Size => {
                let size = store.vault(&self.joined.vault).map_err(word)?.log.size();
                json!({"size": size, "limit": self.service.settings().size_limit})
            }
            Request::Usernames => {
                let info = &store.vault(&self.joined.vault).map_err(word)?.info;
                let members = info.guests.iter().chain([&info.owner]);
                let named = members.filter_map(|user| store.accounts.by_user(*user));
                let names =
                    named.map(|account| (account.user.to_string(), account.name.clone().into()));
                Value::Object(names.collect::<Map<_, _>>())
            }
            Request::Purge => {
                store.purge(&self.joined.vault).map_err(word)?;
                json!({"res": "ok"})
            }
            _ => return Err("Bad request.".to_owned()),
        };
        Ok(answer)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn word(error: Error) -> String {
    error.to_string()
}

fn to_items(records: &[Arc<Record>]) -> Vec<Value> {
    records.iter().map(|record| record.to_item()).collect()
}

/// The content with one bit in its middle changed.
fn flip(content: &Bytes) -> Bytes {
    let mut changed = BytesMut::from(&content[..]);
    let middle = changed.len() / 2;
    if let Some(byte) = changed.get_mut(middle) {
        *byte ^= 1;
    }
    changed.freeze()
}
