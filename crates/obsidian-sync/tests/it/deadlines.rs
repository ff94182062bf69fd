//! Every wait ends: servers that hang, trickle or never stop talking, at every step.

use std::time::Duration;

use obsidian_sync::client::{PushParams, SyncClient};
use obsidian_sync::wire::PIECE_SIZE;
use obsidian_sync::{EncodedName, Kind, RetryKind, Uid, VaultVersion};
use serde_json::json;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::time::sleep;

use crate::support::{Server, connector, deadlines, line, talk, timed};

const SECOND: Duration = Duration::from_secs(1);

/// Connects to a server that never answers and says after how long that failed, and how.
async fn connect_to_mute(host: &str, io: DuplexStream) -> (Duration, String) {
    let connector = connector(host).deadlines(deadlines());
    let (result, took) = timed(connector.connect_over(io, VaultVersion(0), true)).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert_eq!(error.retry_kind(), RetryKind::Reconnect);
    (took, error.to_string())
}

#[tokio::test(start_paused = true)]
async fn tls_has_a_deadline() {
    let (ours, _theirs) = line();
    let (took, message) = connect_to_mute("sync-1.obsidian.md", ours).await;
    assert_eq!(took, deadlines().tls);
    assert!(
        message.contains("sync-1.obsidian.md") && message.contains("TLS"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_upgrade_has_a_deadline() {
    let (ours, _theirs) = line();
    let (took, message) = connect_to_mute("127.0.0.1", ours).await;
    assert_eq!(took, deadlines().upgrade);
    assert!(message.contains("upgrade"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_trickles_meets_its_deadline() {
    let (ours, mut theirs) = line();
    tokio::spawn(async move {
        for byte in b"HTTP/1.1 101 Switching Protocols\r\n".iter().cycle() {
            sleep(SECOND).await;
            if theirs.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    });
    let (took, _) = connect_to_mute("127.0.0.1", ours).await;
    assert_eq!(took, deadlines().upgrade);
}

#[tokio::test(start_paused = true)]
async fn init_has_a_deadline() {
    let (ours, theirs) = line();
    tokio::spawn(async move { Server::accept(theirs).await.hang().await });
    let (took, message) = connect_to_mute("127.0.0.1", ours).await;
    assert_eq!(took, deadlines().init);
    assert!(message.contains("opening the vault"), "{message}");
}

/// A request to a server that hangs fails after a minute and leaves a connection that says so.
async fn request_to_mute<F>(request: impl FnOnce(SyncClient) -> F)
where
    F: Future<Output = (SyncClient, obsidian_sync::Error)>,
{
    let client = talk(Server::hang).await;
    let (result, took) = timed(async { Ok(request(client).await) }).await;
    let (mut client, error) = result.unwrap();
    assert_eq!(took, deadlines().answer);
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(!client.is_usable());
    assert_eq!(client.size().await.unwrap_err().kind(), Kind::Network);
    assert_eq!(client.next().await.unwrap_err().kind(), Kind::Network);
}

#[tokio::test(start_paused = true)]
async fn every_request_has_a_deadline() {
    let path = || EncodedName::new("aa");
    request_to_mute(async |mut c| {
        let e = c.pull(Uid(1)).await.map(drop).unwrap_err();
        (c, e)
    })
    .await;
    request_to_mute(async |mut c| {
        let e = c.push(PushParams::default(), b"x").await.unwrap_err();
        (c, e)
    })
    .await;
    request_to_mute(async |mut c| {
        let e = c.history(path(), None).await.unwrap_err();
        (c, e)
    })
    .await;
    request_to_mute(async |mut c| {
        let e = c.deleted().await.unwrap_err();
        (c, e)
    })
    .await;
    request_to_mute(async |mut c| {
        let e = c.restore(Uid(1)).await.unwrap_err();
        (c, e)
    })
    .await;
    request_to_mute(async |mut c| {
        let e = c.size().await.unwrap_err();
        (c, e)
    })
    .await;
    request_to_mute(async |mut c| {
        let e = c.usernames().await.unwrap_err();
        (c, e)
    })
    .await;
    request_to_mute(async |mut c| {
        let e = c.purge().await.unwrap_err();
        (c, e)
    })
    .await;
    request_to_mute(async |mut c| {
        let e = c.ping().await.unwrap_err();
        (c, e)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn notices_do_not_put_off_an_answer() {
    // A frame every second, and a flood that is always there to be read.
    for pause in [SECOND, Duration::ZERO] {
        let mut client = talk(async move |mut server| {
            server.hear().await;
            for uid in 1.. {
                sleep(pause).await;
                // The client hangs up in the end.
                let frame = json!({"op": "push", "uid": uid}).to_string();
                let message = tokio_tungstenite::tungstenite::Message::text(frame);
                if futures_util::SinkExt::send(&mut server.0, message)
                    .await
                    .is_err()
                {
                    return;
                }
                if pause.is_zero() {
                    tokio::time::advance(Duration::from_millis(1)).await;
                }
            }
        })
        .await;
        let (result, took) = timed(client.size()).await;
        assert_eq!(result.unwrap_err().kind(), Kind::Timeout);
        assert!(
            took >= deadlines().answer && took < deadlines().answer + SECOND,
            "{took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn each_piece_has_a_deadline_of_its_own() {
    let mut client = talk(async |mut server| {
        server.hear().await;
        server
            .say(json!({"hash": "aa", "size": 2 * PIECE_SIZE + 2, "pieces": 3}))
            .await;
        for _ in 0..2 {
            sleep(deadlines().piece - SECOND).await;
            server.send(vec![0; PIECE_SIZE]).await;
        }
        server.hang().await;
    })
    .await;
    let mut pull = client.pull(Uid(1)).await.unwrap();
    assert!(pull.piece().await.unwrap().is_some());
    assert!(pull.piece().await.unwrap().is_some());
    let (result, took) = timed(pull.piece()).await;
    assert_eq!(result.unwrap_err().kind(), Kind::Timeout);
    assert_eq!(took, deadlines().piece);
    assert!(!client.is_usable());
}

/// A service that sends tiny pieces, each just in time, does not take for ever.
#[tokio::test(start_paused = true)]
async fn pieces_that_are_too_small_meet_the_contents_deadline() {
    let mut client = talk(async |mut server| {
        server.hear().await;
        server
            .say(json!({"hash": "aa", "size": 6, "pieces": 3}))
            .await;
        loop {
            sleep(deadlines().piece - SECOND).await;
            server.send(vec![0; 2]).await;
        }
    })
    .await;
    let mut pull = client.pull(Uid(1)).await.unwrap();
    assert!(pull.piece().await.unwrap().is_some());
    let (result, took) = timed(pull.piece()).await;
    assert_eq!(result.unwrap_err().kind(), Kind::Timeout);
    assert_eq!(took, SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_piece_that_trickles_meets_its_deadline() {
    let mut client = talk(async |mut server| {
        server.hear().await;
        server
            .say(json!({"hash": "aa", "size": 1000, "pieces": 1}))
            .await;
        // The head of a binary frame of 1000 bytes, then one byte a second.
        let raw = server.0.get_mut();
        raw.write_all(&[0x82, 126, 3, 232]).await.unwrap();
        while raw.write_all(&[0]).await.is_ok() {
            sleep(SECOND).await;
        }
    })
    .await;
    let mut pull = client.pull(Uid(1)).await.unwrap();
    let (result, took) = timed(pull.piece()).await;
    assert_eq!(result.unwrap_err().kind(), Kind::Timeout);
    assert_eq!(took, deadlines().piece);
}

#[tokio::test(start_paused = true)]
async fn a_push_that_is_not_taken_off_the_line_meets_its_deadline() {
    let mut client = talk(async |mut server| {
        server.hear().await;
        server.say(json!({"res": "next"})).await;
        // Reads nothing more, so that the line fills up.
        std::future::pending::<()>().await;
    })
    .await;
    let sealed = vec![0; 3_000_000];
    let (result, took) = timed(client.push(PushParams::default(), &sealed)).await;
    assert_eq!(result.unwrap_err().kind(), Kind::Timeout);
    assert_eq!(took, deadlines().piece);
    assert!(!client.is_usable());
}

#[tokio::test(start_paused = true)]
async fn a_silent_line_is_dead_after_two_minutes() {
    let mut client = talk(Server::hang).await;
    let (result, took) = timed(client.next()).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.to_string().contains("sign of life"), "{error}");
    assert_eq!(took, deadlines().silence);
    assert!(!client.is_usable());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_line_is_pinged_and_lives_on() {
    let (pings, mut count) = tokio::sync::mpsc::unbounded_channel();
    let mut client = talk(async move |mut server| {
        for _ in 0..100 {
            assert_eq!(server.hear().await["op"], "ping");
            pings.send(()).unwrap();
            server.say(json!({"op": "pong"})).await;
        }
        server.say(json!({"op": "ready", "version": 9})).await;
        server.hang().await;
    })
    .await;
    let (notice, took) = timed(client.next()).await;
    assert_eq!(
        notice.unwrap(),
        obsidian_sync::client::Notice::Ready(Some(VaultVersion(9)))
    );
    assert_eq!(took, deadlines().heartbeat * 100);
    assert_eq!(count.recv_many(&mut Vec::new(), 1000).await, 100);
}

#[tokio::test(start_paused = true)]
async fn pongs_do_not_put_off_a_notice_that_is_due() {
    let mut client = talk(async |mut server| {
        loop {
            assert_eq!(server.hear().await["op"], "ping");
            server.say(json!({"op": "pong"})).await;
        }
    })
    .await;
    let hour = deadlines().silence * 30;
    let ended = tokio::time::timeout(hour, timed(client.next_due())).await;
    let (result, took) = ended.expect("it ends by itself");
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert_eq!(took, deadlines().silence);
    assert!(!client.is_usable());
}

#[tokio::test(start_paused = true)]
async fn pings_go_out_during_a_long_request_too() {
    let mut client = talk(async |mut server| {
        assert_eq!(server.hear().await["op"], "size");
        assert_eq!(server.hear().await["op"], "ping");
        server.say(json!({"op": "pong"})).await;
        server.say(json!({"size": 1, "limit": 2})).await;
        server.hang().await;
    })
    .await;
    let (result, took) = timed(client.size()).await;
    assert_eq!(result.unwrap().limit, 2);
    assert_eq!(took, deadlines().heartbeat);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_left_alone_is_not_called_dead_unheard() {
    let mut client = talk(async |mut server| {
        assert_eq!(server.hear().await["op"], "ping");
        server.say(json!({"op": "pong"})).await;
        server.say(json!({"op": "ready", "version": 1})).await;
        server.hang().await;
    })
    .await;
    sleep(deadlines().silence * 3).await;
    let (result, took) = timed(client.next()).await;
    assert!(result.is_ok());
    assert_eq!(took, Duration::ZERO, "it pings at once");
}

#[tokio::test(start_paused = true)]
async fn saying_goodbye_takes_no_more_than_a_moment() {
    let client = talk(async |_server| std::future::pending::<()>().await).await;
    let ((), took) = {
        let start = tokio::time::Instant::now();
        (client.close().await, start.elapsed())
    };
    assert!(took <= 2 * SECOND, "{took:?}");
}
