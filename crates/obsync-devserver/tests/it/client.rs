//! A client that says exactly what it is told: HTTP by hand, frames one by one.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use obsidian_sync::{Token, VaultId};
use obsync_devserver::{DevServer, VaultSpec};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

pub(crate) const EMAIL: &str = "me@example.com";
pub(crate) const PASSWORD: &str = "account password";
pub(crate) const VAULT_PASSWORD: &str = "vault password";

/// Long enough on a busy machine, short enough to see a hang.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing has to come for a hang to be believed.
const SILENCE: Duration = Duration::from_millis(100);

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

/// Sends one request and reads to the end of the connection, which may come early.
pub(crate) async fn http(server: &DevServer, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer));
    let _ = read.await.expect("an answer, or the end");
    String::from_utf8(answer).unwrap()
}

/// Sends one request to which no answer comes, though the connection stays open.
pub(crate) async fn assert_hangs(server: &DevServer, request: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let read = tokio::time::timeout(SILENCE, stream.read_u8()).await;
    assert!(read.is_err(), "{read:?}");
}

pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: local\r\nConnection: close\r\n{headers}\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Makes one call as a well-behaved client makes it.
pub(crate) async fn call(server: &DevServer, path: &str, body: Value) -> Page {
    let mut headers = "User-Agent: test/1.0\r\nContent-Type: application/json\r\n".to_owned();
    if path == "/user/signin" {
        headers.push_str("Origin: https://obsidian.md\r\n");
        let options = http(server, &request("OPTIONS", path, &headers, "")).await;
        assert!(options.starts_with("HTTP/1.1 204"), "{options}");
    }
    page(&http(server, &request("POST", path, &headers, &body.to_string())).await)
}

pub(crate) fn page(text: &str) -> Page {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Page {
        status: status.unwrap_or(0),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

/// A server with one account and one end-to-end vault.
pub(crate) async fn started() -> (DevServer, VaultId, Token) {
    let server = DevServer::start().await.unwrap();
    let (vault, token) = fill(&server);
    (server, vault, token)
}

pub(crate) fn fill(server: &DevServer) -> (VaultId, Token) {
    server.add_account(EMAIL, PASSWORD, None).unwrap();
    let spec = VaultSpec::encrypted("Notes", EMAIL, VAULT_PASSWORD);
    let vault = server.add_vault(spec).unwrap();
    (vault, server.issue_token(EMAIL).unwrap())
}

/// A sync connection.
pub(crate) struct Client(WebSocketStream<TcpStream>);

impl Client {
    pub(crate) async fn dial(server: &DevServer) -> Result<Self, WsError> {
        let stream = TcpStream::connect(("127.0.0.1", server.port()))
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let url = format!("ws://{}/", server.host());
        let dial = tokio_tungstenite::client_async(url, stream);
        Ok(Self(
            tokio::time::timeout(PATIENCE, dial)
                .await
                .expect("an answer")?
                .0,
        ))
    }

    pub(crate) fn init(
        server: &DevServer,
        vault: &VaultId,
        token: &Token,
        version: u64,
        initial: bool,
    ) -> Value {
        let cipher = server.cipher(vault).unwrap();
        json!({
            "op": "init", "token": token.expose(), "id": vault, "keyhash": cipher.keyhash(),
            "version": version, "initial": initial, "device": "test",
            "encryption_version": cipher.version().number(),
        })
    }

    /// Connects with version 0 and takes the backlog in.
    pub(crate) async fn ready(server: &DevServer, vault: &VaultId, token: &Token) -> Self {
        let mut client = Self::dial(server).await.unwrap();
        client.say(&Self::init(server, vault, token, 0, true)).await;
        assert_eq!(client.hear().await["res"], "ok");
        while client.hear().await["op"] != "ready" {}
        client
    }

    pub(crate) async fn say(&mut self, json: &Value) {
        self.0.send(Message::text(json.to_string())).await.unwrap();
    }

    pub(crate) async fn send(&mut self, piece: Vec<u8>) {
        self.0.send(Message::binary(piece)).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Option<Result<Message, WsError>> {
        tokio::time::timeout(PATIENCE, self.0.next())
            .await
            .expect("a frame, or the end")
    }

    pub(crate) async fn hear_text(&mut self) -> String {
        self.next()
            .await
            .expect("a frame")
            .unwrap()
            .into_text()
            .unwrap()
            .to_string()
    }

    pub(crate) async fn hear(&mut self) -> Value {
        serde_json::from_str(&self.hear_text().await).unwrap()
    }

    pub(crate) async fn ask(&mut self, json: Value) -> Value {
        self.say(&json).await;
        self.hear().await
    }

    pub(crate) async fn piece(&mut self) -> Vec<u8> {
        match self.next().await.expect("a piece").unwrap() {
            Message::Binary(piece) => piece.to_vec(),
            other => panic!("not a piece: {other:?}"),
        }
    }

    /// Pulls a record: the header and all its pieces.
    pub(crate) async fn pull(&mut self, uid: u64) -> (Value, Vec<u8>) {
        let header = self.ask(json!({"op": "pull", "uid": uid})).await;
        let mut content = Vec::new();
        for _ in 0..header["pieces"].as_u64().unwrap_or(0) {
            content.extend(self.piece().await);
        }
        (header, content)
    }

    /// The connection ended, in good order or not.
    pub(crate) async fn assert_ended(&mut self) {
        match self.next().await {
            None | Some(Err(_) | Ok(Message::Close(_))) => {}
            Some(Ok(frame)) => panic!("still alive: {frame:?}"),
        }
    }

    /// The connection is open, and nothing comes.
    pub(crate) async fn assert_silent(&mut self) {
        let heard = tokio::time::timeout(SILENCE, self.0.next()).await;
        assert!(heard.is_err(), "{heard:?}");
    }
}
