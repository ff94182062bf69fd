//! A vault, a connector, and the other end of the line.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use obsidian_sync::client::{Connector, Deadlines, SyncClient};
use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::{
    EncryptionVersion, Error, Millis, Password, Token, Vault, VaultId, VaultVersion,
};
use serde_json::{Value, json};
use tokio::io::{DuplexStream, duplex};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A token and a password that must never show up in a message.
pub(crate) const TOKEN: &str = "hunter2-token";
pub(crate) const PASSWORD: &str = "hunter2-password";

pub(crate) fn vault(host: &str) -> Vault {
    Vault {
        id: VaultId::new("vault-1"),
        name: "Notes".into(),
        host: host.into(),
        region: "eu".into(),
        salt: "00112233445566778899aabbccddeeff".into(),
        encryption_version: 3,
        created: Millis(0),
        size: 0,
        managed_password: None,
        shared: false,
    }
}

pub(crate) fn cipher() -> VaultCipher {
    static CIPHER: LazyLock<VaultCipher> = LazyLock::new(|| {
        let salt = vault("").salt;
        let key = VaultKey::derive(&Password::new(PASSWORD), &salt);
        VaultCipher::new(EncryptionVersion::V3, &key, &salt)
    });
    CIPHER.clone()
}

pub(crate) fn connector(host: &str) -> Connector {
    Connector::new(&vault(host), Token::new(TOKEN), &cipher())
        .unwrap()
        .device("test")
        .user_agent("tests/1")
}

/// Deadlines that differ, so that a test sees which one it was.
pub(crate) fn deadlines() -> Deadlines {
    Deadlines {
        resolve: Duration::from_secs(1),
        connect: Duration::from_secs(2),
        tls: Duration::from_secs(3),
        upgrade: Duration::from_secs(4),
        init: Duration::from_secs(5),
        answer: Duration::from_secs(60),
        piece: Duration::from_secs(70),
        silence: Duration::from_secs(120),
        heartbeat: Duration::from_secs(10),
    }
}

/// Both ends of a line.
pub(crate) fn line() -> (DuplexStream, DuplexStream) {
    duplex(64 * 1024)
}

/// Runs a client's call and measures how long it took.
pub(crate) async fn timed<T>(
    call: impl Future<Output = Result<T, Error>>,
) -> (Result<T, Error>, Duration) {
    let start = Instant::now();
    let result = call.await;
    (result, start.elapsed())
}

/// The server's end of an upgraded line.
pub(crate) struct Server(pub(crate) WebSocketStream<DuplexStream>);

impl Server {
    pub(crate) async fn accept(io: DuplexStream) -> Self {
        Self(tokio_tungstenite::accept_async(io).await.unwrap())
    }

    /// Accepts, and answers `init` with `ok`.
    pub(crate) async fn open(io: DuplexStream) -> Self {
        let mut server = Self::accept(io).await;
        let init = server.hear().await;
        assert_eq!(init["op"], "init");
        server
            .say(json!({"res": "ok", "perFileMax": 5_000_000, "userId": 7}))
            .await;
        server
    }

    /// The next text frame.
    pub(crate) async fn hear(&mut self) -> Value {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("not a text frame: {other:?}"),
        }
    }

    /// The next binary frame.
    pub(crate) async fn hear_piece(&mut self) -> Bytes {
        match self.0.next().await {
            Some(Ok(Message::Binary(bytes))) => bytes,
            other => panic!("not a binary frame: {other:?}"),
        }
    }

    pub(crate) async fn say(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    pub(crate) async fn send(&mut self, bytes: impl Into<Bytes>) {
        self.0.send(Message::binary(bytes)).await.unwrap();
    }

    /// Keeps the line open and reads what comes, but never says a thing.
    pub(crate) async fn hang(mut self) {
        while self.0.next().await.is_some() {}
    }
}

/// An open connection and a server that runs `script` on the other end.
pub(crate) async fn talk<F>(script: impl FnOnce(Server) -> F + Send + 'static) -> SyncClient
where
    F: Future<Output = ()> + Send,
{
    let (ours, theirs) = line();
    tokio::spawn(async move { script(Server::open(theirs).await).await });
    connector("127.0.0.1")
        .deadlines(deadlines())
        .connect_over(ours, VaultVersion(0), true)
        .await
        .unwrap()
}
