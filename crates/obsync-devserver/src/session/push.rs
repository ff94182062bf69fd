//! A push: what of it is here already, and the pieces of the rest (protocol section 4.4).

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Said, Session};
use crate::faults::{Action, Point};
use crate::outbox::{self, Closed};
use crate::record::Change;
use crate::request::{PIECE, Push};
use crate::vault::Content;

/// Content that need not be sent.
struct Known {
    content: Content,
    size: u64,
}

impl Session<'_> {
    pub(super) async fn push(&mut self, push: Push) -> Result<(), Closed> {
        match self.service.strike(Point::Push) {
            None => {}
            Some(Action::Error(word)) => return self.answer_push(outbox::error(&word)).await,
            action => return self.outbox.send(Message::text(""), action, true).await,
        }
        let (mut change, pieces) = match push.check(&self.joined.device, self.joined.user) {
            Ok(checked) => checked,
            Err(word) => return self.answer_push(outbox::error(&word)).await,
        };
        let content = match self.weigh(&change, pieces) {
            Err(word) => return self.answer_push(outbox::error(&word)).await,
            Ok(Some(Known { content, size })) => {
                change.size = size;
                content
            }
            Ok(None) => {
                let next = json!({"res": "next"});
                self.answer_push(next).await?;
                match self.receive(change.size, pieces).await? {
                    Some(content) => Content::New(content),
                    None => return Ok(()),
                }
            }
        };
        let (is_file, is_new) = (change.is_file(), matches!(content, Content::New(_)));
        let committed = {
            let now = self.service.now_millis();
            self.service
                .store()
                .commit(&self.joined.vault, change, content, now)
        };
        let answer = match committed {
            Err(error) => outbox::error(&error.to_string()),
            Ok(record) => {
                self.service.counters().count_push(is_file && !is_new);
                if record.uid.0.is_multiple_of(2) {
                    self.tell_news().await?;
                }
                json!({"res": "ok"})
            }
        };
        self.answer_push(answer).await
    }

    /// What of a push is here already; `None` where its content has to come.
    fn weigh(&self, change: &Change, pieces: u64) -> Result<Option<Known>, String> {
        if !change.is_file() {
            return Ok(Some(Known {
                content: Content::None,
                size: 0,
            }));
        }
        let settings = self.service.settings();
        if change.size > settings.per_file_max {
            return Err("File too large.".to_owned());
        }
        let store = self.service.store();
        let log = &store
            .vault(&self.joined.vault)
            .map_err(|error| error.to_string())?
            .log;
        if let Some((uid, size)) = log.with_hash(&change.hash) {
            return Ok(Some(Known {
                content: Content::Kept(uid),
                size,
            }));
        }
        if log.size() + change.size > settings.size_limit {
            return Err("The vault is full.".to_owned());
        }
        Ok((pieces == 0).then(|| Known {
            content: Content::New(Bytes::new()),
            size: 0,
        }))
    }

    /// Takes the pieces of a push, with an answer after each but the last. `None` where they are not as announced.
    async fn receive(&mut self, size: u64, pieces: u64) -> Result<Option<Bytes>, Closed> {
        let mut content = BytesMut::new();
        for index in 0..pieces {
            let Said::Piece(piece) = self.listen().await? else {
                self.outbox.asked();
                self.fail("A piece was due.").await?;
                return Err(Closed);
            };
            self.outbox.asked();
            let due = PIECE.min(size - index * PIECE);
            if piece.len() as u64 != due {
                let word = format!("A piece of {due} bytes was due, {} came.", piece.len());
                self.answer_push(outbox::error(&word)).await?;
                return Ok(None);
            }
            content.extend_from_slice(&piece);
            if index + 1 < pieces {
                let next = json!({"res": "next"});
                self.answer_push(next).await?;
            }
        }
        Ok(Some(content.freeze()))
    }

    async fn answer_push(&self, answer: Value) -> Result<(), Closed> {
        self.outbox.answer(Point::PushAnswer, None, answer).await
    }
}
