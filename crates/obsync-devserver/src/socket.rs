//! A sync connection from its upgrade to its end: `init`, the backlog, then a [`Session`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use obsidian_sync::{VaultId, VaultVersion};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::faults::{Action, Point};
use crate::outbox::{self, Closed, Outbox, Socket};
use crate::record::Record;
use crate::request::{Init, PIECE, Request};
use crate::service::Service;
use crate::session::Session;
use crate::stats::InitSeen;
use crate::wire::Valve;

/// Twice a piece: what is larger is no sane client's.
const FRAME_MAX: usize = 2 * PIECE as usize;
/// How long a connection that the service closes waits for the client to close too.
const LINGER: Duration = Duration::from_secs(1);

/// Counts a connection as open while it lives.
pub(crate) struct Open(Service);

impl Open {
    pub(crate) fn new(service: &Service) -> Self {
        let mut stats = service.counters().get();
        stats.sockets_open += 1;
        stats.sockets_max = stats.sockets_max.max(stats.sockets_open);
        Self(service.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counters().get().sockets_open -= 1;
    }
}

/// Serves a connection to its end.
pub(crate) async fn run(service: Service, io: TokioIo<Upgraded>, valve: Valve, open: Open) {
    service.counters().get().sockets += 1;
    let config = WebSocketConfig::default()
        .max_message_size(Some(FRAME_MAX))
        .max_frame_size(Some(FRAME_MAX));
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let (mut sink, mut stream) = socket.split();
    let (outbox, mut writer) = outbox::queue(&service, valve);
    {
        let session = converse(service, &mut stream, outbox);
        let writing = writer.run(&mut sink);
        tokio::pin!(session, writing);
        let closes = tokio::select! {
            () = &mut session => writing.await,
            // Nothing more can be said: the connection ends here.
            _ = &mut writing => false,
        };
        if !closes {
            return;
        }
    }
    // Closing at once, with something of the client's unread, would reset the connection and might
    // take the last frame with it.
    let leave = async { while let Some(Ok(_)) = stream.next().await {} };
    let _ = tokio::time::timeout(LINGER, leave).await;
    drop(open);
}

async fn converse(service: Service, stream: &mut SplitStream<Socket>, mut outbox: Outbox) {
    if let Ok(Some(joined)) = join(&service, stream, &mut outbox).await {
        let mut session = Session {
            service,
            stream,
            outbox,
            joined,
        };
        // Closed is how every session ends.
        let _ = session.run().await;
    }
}

/// A connection that has passed `init`.
pub(crate) struct Joined {
    pub vault: VaultId,
    pub user: u64,
    pub device: String,
    pub notices: UnboundedReceiver<Arc<Record>>,
}

/// Answers `init` and sends the backlog. `None` where the client was refused.
async fn join(
    service: &Service,
    stream: &mut SplitStream<Socket>,
    outbox: &mut Outbox,
) -> Result<Option<Joined>, Closed> {
    let first = loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => break text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return Err(Closed),
        }
    };
    outbox.asked();
    let Ok(Request::Init(init)) = serde_json::from_str(&first) else {
        let refusal = json!({"res": "err", "msg": "Say init first."});
        return outbox
            .answer(Point::Init, None, refusal)
            .await
            .map(|()| None);
    };
    *service
        .counters()
        .get()
        .ops
        .entry("init".to_owned())
        .or_default() += 1;
    let action = match service.strike(Point::Init) {
        Some(Action::Error(word)) => {
            let refusal = json!({"res": "err", "msg": word});
            return outbox
                .send(outbox::text(&refusal), None, true)
                .await
                .map(|()| None);
        }
        action => action,
    };
    let (joined, backlog, version) = match admit(service, &init) {
        Ok(admitted) => admitted,
        Err(refusal) => {
            return outbox
                .send(outbox::text(&refusal), action, true)
                .await
                .map(|()| None);
        }
    };
    let ok = json!({
        "res": "ok",
        "perFileMax": service.settings().per_file_max,
        "userId": joined.user,
    });
    outbox.send(outbox::text(&ok), action, true).await?;
    for record in backlog {
        outbox
            .notify(Point::Backlog, Some(record.uid), &record.to_push())
            .await?;
    }
    let ready = json!({"op": "ready", "version": version});
    outbox.notify(Point::Ready, None, &ready).await?;
    Ok(Some(joined))
}

type Admitted = (Joined, Vec<Arc<Record>>, VaultVersion);

/// Checks an `init`. The backlog and the place among the listeners are taken at one instant, so
/// that no record is missed or sent twice.
fn admit(service: &Service, init: &Init) -> Result<Admitted, Value> {
    let refuse = |word: &str| json!({"res": "err", "msg": word});
    let mut store = service.store();
    let account = store
        .accounts
        .by_token(&init.token)
        .ok_or_else(|| refuse("Not logged in"))?;
    let (user, expired) = (account.user, account.expired);
    if expired {
        return Err(refuse("Your subscription to Obsidian Sync has expired."));
    }
    let gone = || json!({"status": "err", "msg": "Vault not found."});
    let vault = store.vault_mut(&init.id).map_err(|_| gone())?;
    if !vault.info.is_open_to(user) {
        return Err(gone());
    }
    if vault.info.keyhash != init.keyhash
        || vault.info.encryption_version != init.encryption_version
    {
        return Err(refuse("Incorrect encryption password."));
    }
    let (listener, notices) = unbounded_channel();
    vault.listen(listener);
    let log = &vault.log;
    let backlog = if init.initial {
        log.live_since(init.version)
    } else {
        log.since(init.version)
    };
    let version = log.version();
    service.counters().get().inits.push(InitSeen {
        vault: init.id.clone(),
        version: init.version,
        initial: init.initial,
        device: init.device.clone(),
    });
    let joined = Joined {
        vault: init.id.clone(),
        user,
        device: init.device.clone(),
        notices,
    };
    Ok((joined, backlog, version))
}
