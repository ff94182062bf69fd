//! From a stream to an open vault, and all the ways in which that fails.

use obsidian_sync::client::Connector;
use obsidian_sync::{Error, Kind, RetryKind, Token, VaultVersion};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::support::{PASSWORD, Server, TOKEN, cipher, connector, line, talk, vault};

async fn connect_to<F>(script: impl FnOnce(DuplexStream) -> F) -> Result<(), Error>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (ours, theirs) = line();
    tokio::spawn(script(theirs));
    connector("127.0.0.1")
        .connect_over(ours, VaultVersion(41), false)
        .await
        .map(drop)
}

/// Reads the upgrade request to its end.
async fn request(io: &mut DuplexStream) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        text.push(char::from(io.read_u8().await.unwrap()));
    }
    text
}

#[tokio::test]
async fn init_says_all_that_the_protocol_wants() {
    let result = connect_to(async |io| {
        let mut server = Server::accept(io).await;
        assert_eq!(
            server.hear().await,
            json!({"op": "init", "token": TOKEN, "id": "vault-1", "keyhash": cipher().keyhash(),
                   "version": 41, "initial": false, "device": "test", "encryption_version": 3})
        );
        server.say(json!({"res": "ok"})).await;
    });
    result.await.unwrap();
}

#[tokio::test]
async fn the_answer_to_init_tells_limits() {
    let client = talk(Server::hang).await;
    assert_eq!(client.per_file_max(), 5_000_000);
    assert_eq!(client.user_id(), Some(7));
    assert!(client.is_usable());
}

#[tokio::test]
async fn the_upgrade_names_the_program_and_carries_no_token() {
    let (ours, mut theirs) = line();
    let connecting = tokio::spawn(async move {
        connector("127.0.0.1:8080")
            .connect_over(ours, VaultVersion(0), true)
            .await
            .map(drop)
    });
    let request = request(&mut theirs).await.to_lowercase();
    assert!(request.starts_with("get / http/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nuser-agent: tests/1\r\n"), "{request}");
    assert!(
        request.contains("\r\nhost: 127.0.0.1:8080\r\n"),
        "{request}"
    );
    assert!(!request.contains(TOKEN), "{request}");
    drop(theirs);
    assert_eq!(connecting.await.unwrap().unwrap_err().kind(), Kind::Network);
}

#[tokio::test]
async fn a_refused_upgrade_has_its_kind() {
    for (answer, kind, status) in [
        (
            "HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 6\r\n\r\n<html>",
            Kind::Edge,
            504,
        ),
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
            Kind::Edge,
            403,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            Kind::Edge,
            200,
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: https://evil.example/\r\n\r\n",
            Kind::Edge,
            302,
        ),
        (
            "HTTP/1.1 429 Slow Down\r\nretry-after: 30\r\n\r\n",
            Kind::Overloaded,
            429,
        ),
    ] {
        let result = connect_to(async move |mut io| {
            request(&mut io).await;
            io.write_all(answer.as_bytes()).await.unwrap();
        });
        let error = result.await.unwrap_err();
        assert_eq!(
            (error.kind(), error.status()),
            (kind, Some(status)),
            "{error}"
        );
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
        if kind == Kind::Overloaded {
            let wait = std::time::Duration::from_secs(30);
            assert_eq!(error.retry_kind(), RetryKind::Later(Some(wait)));
        }
    }
}

#[tokio::test]
async fn garbage_for_an_upgrade_is_refused() {
    for answer in [
        "\0\u{1}\u{2}\u{3}".repeat(100),
        "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n".to_owned(),
        format!("HTTP/1.1 101 S\r\n{}\r\n", "a: b\r\n".repeat(1000)),
    ] {
        let result = connect_to(async move |mut io| {
            request(&mut io).await;
            // The client may hang up in the middle of it.
            let _ = io.write_all(answer.as_bytes()).await;
        });
        let error = result.await.unwrap_err();
        assert_eq!(error.kind(), Kind::Protocol, "{error}");
    }
}

#[tokio::test]
async fn a_refused_init_has_its_kind_and_shows_no_secret() {
    for (answer, kind) in [
        (
            json!({"res": "err", "msg": "Your subscription to Obsidian Sync has expired."}),
            Kind::SubscriptionExpired,
        ),
        (
            json!({"status": "err", "msg": "Vault not found."}),
            Kind::VaultNotFound,
        ),
        (
            json!({"error": "Server overloaded, please try again later."}),
            Kind::Overloaded,
        ),
        (
            json!({"res": "err", "msg": format!("no {TOKEN} for you")}),
            Kind::Refused,
        ),
        (
            json!({"res": "err", "msg": format!("{} is bad", cipher().keyhash())}),
            Kind::Refused,
        ),
        (json!({"size": 5}), Kind::Protocol),
    ] {
        let frame = answer.clone();
        let result = connect_to(async move |io| {
            let mut server = Server::accept(io).await;
            server.hear().await;
            server.say(answer).await;
        });
        let error = result.await.unwrap_err();
        // The word "token" alone is taken for a refused token; ours holds it.
        let kind = if frame.to_string().contains(TOKEN) {
            Kind::Unauthorized
        } else {
            kind
        };
        assert_eq!(error.kind(), kind, "{frame}");
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains(cipher().keyhash()),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_line_that_is_cut_at_any_point_is_a_network_error() {
    let before_upgrade = connect_to(async |io| drop(io));
    assert_eq!(before_upgrade.await.unwrap_err().kind(), Kind::Network);

    let after_request = connect_to(async |mut io| {
        request(&mut io).await;
    });
    assert_eq!(after_request.await.unwrap_err().kind(), Kind::Network);

    let before_init_is_answered = connect_to(async |io| {
        Server::accept(io).await.hear().await;
    });
    let error = before_init_is_answered.await.unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert!(
        error.to_string().contains("closed the connection"),
        "{error}"
    );
}

#[test]
fn a_forbidden_host_is_refused_before_anything() {
    let error = Connector::new(&vault("evil-obsidian.md"), Token::new(TOKEN), &cipher());
    assert_eq!(error.unwrap_err().kind(), Kind::ForbiddenHost);
}

#[test]
fn a_connector_does_not_print_secrets() {
    let shown = format!("{:?}", connector("sync-1.obsidian.md"));
    assert!(shown.contains("wss://sync-1.obsidian.md/"), "{shown}");
    for secret in [TOKEN, PASSWORD, cipher().keyhash()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn plain_tcp_works_too() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (io, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(io).await.unwrap();
        futures_util::StreamExt::next(&mut socket).await;
        let answer = tokio_tungstenite::tungstenite::Message::text(r#"{"res":"ok"}"#);
        futures_util::SinkExt::send(&mut socket, answer)
            .await
            .unwrap();
    });
    let client = connector(&host)
        .connect(VaultVersion(0), true)
        .await
        .unwrap();
    assert!(client.is_usable());
    client.close().await;
}
