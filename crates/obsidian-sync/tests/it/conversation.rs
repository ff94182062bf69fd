//! Requests and their answers, with notices in between, over a line that works.

use obsidian_sync::client::{Notice, PushParams, SyncClient};
use obsidian_sync::wire::{PIECE_SIZE, RawRecord, SizeInfo};
use obsidian_sync::{EncodedName, Error, Kind, Millis, Uid, VaultVersion};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Server, cipher, talk};

/// A server that hears one request and then says these frames.
async fn answering(frames: Vec<Value>) -> SyncClient {
    talk(async move |mut server| {
        server.hear().await;
        for frame in frames {
            server.say(frame).await;
        }
        server.hang().await;
    })
    .await
}

fn record(uid: u64) -> Notice {
    Notice::Record(RawRecord {
        uid: Uid(uid),
        ..RawRecord::default()
    })
}

#[tokio::test]
async fn the_backlog_comes_in_order_up_to_ready() {
    let mut client = talk(async |mut server| {
        for uid in 1..=3 {
            server.say(json!({"op": "push", "uid": uid})).await;
        }
        server.say(json!({"op": "ready", "version": 5})).await;
        server.hang().await;
    })
    .await;
    for uid in 1..=3 {
        assert_eq!(client.next().await.unwrap(), record(uid));
    }
    assert_eq!(
        client.next().await.unwrap(),
        Notice::Ready(Some(VaultVersion(5)))
    );
}

#[tokio::test]
async fn a_download_arrives_whole_with_notices_kept() {
    let cipher = cipher();
    let plain: Vec<u8> = (0..PIECE_SIZE + 1000).map(|i| (i % 251) as u8).collect();
    let sealed = cipher.seal(&plain);
    let hash = cipher.encode_hash(Some(obsidian_sync::ContentHash::of(&plain)));
    let (content, encoded) = (sealed.clone(), hash.clone());
    let mut client = talk(async move |mut server| {
        assert_eq!(server.hear().await, json!({"op": "pull", "uid": 7}));
        server.say(json!({"op": "push", "uid": 8})).await;
        server
            .say(json!({"hash": encoded, "size": content.len(), "pieces": 2}))
            .await;
        server.send(content[..PIECE_SIZE].to_vec()).await;
        server.say(json!({"op": "push", "uid": 9})).await;
        server.send(content[PIECE_SIZE..].to_vec()).await;
        server.hang().await;
    })
    .await;

    let mut pull = client.pull(Uid(7)).await.unwrap();
    assert_eq!((pull.size(), pull.pieces()), (sealed.len() as u64, 2));
    assert_eq!(pull.hash(), &hash);
    let mut opener = cipher.opener();
    let mut opened = Vec::new();
    while let Some(piece) = pull.piece().await.unwrap() {
        opener.update(&piece, &mut opened);
    }
    opener.finish().unwrap();
    assert_eq!(opened, plain);
    assert!(
        pull.piece().await.unwrap().is_none(),
        "the end stays the end"
    );

    assert!(client.is_usable());
    assert_eq!(client.next().await.unwrap(), record(8));
    assert_eq!(client.next().await.unwrap(), record(9));
}

#[tokio::test]
async fn content_is_collected_up_to_a_limit() {
    let serve = async |mut server: Server| {
        server.hear().await;
        server
            .say(json!({"hash": "aa", "size": 5, "pieces": 2}))
            .await;
        server.send(vec![1, 2, 3]).await;
        server.send(vec![4, 5]).await;
        server.hang().await;
    };
    let mut client = talk(serve).await;
    let content = client.pull(Uid(7)).await.unwrap().collect(5).await.unwrap();
    assert_eq!(content, [1, 2, 3, 4, 5]);
    assert!(client.is_usable());

    let mut client = talk(serve).await;
    let error = client
        .pull(Uid(7))
        .await
        .unwrap()
        .collect(4)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidInput);
    assert!(!client.is_usable());
}

#[tokio::test]
async fn an_empty_file_has_no_pieces() {
    for pieces in [0, 1] {
        let mut client = talk(async move |mut server| {
            server.hear().await;
            server
                .say(json!({"hash": "aa", "size": 0, "pieces": pieces}))
                .await;
            if pieces == 1 {
                server.send(Vec::new()).await;
            }
            server.hang().await;
        })
        .await;
        assert_eq!(
            client.pull(Uid(7)).await.unwrap().collect(0).await.unwrap(),
            b""
        );
        assert!(client.is_usable());
    }
}

#[tokio::test]
async fn a_download_dropped_in_the_middle_makes_the_connection_unusable() {
    let mut client = talk(async |mut server| {
        server.hear().await;
        server
            .say(json!({"hash": "aa", "size": 5, "pieces": 2}))
            .await;
        server.send(vec![1, 2, 3]).await;
        server.hang().await;
    })
    .await;
    let mut pull = client.pull(Uid(7)).await.unwrap();
    pull.piece().await.unwrap();
    drop(pull);
    assert!(!client.is_usable());
    let error = client.size().await.unwrap_err();
    assert!(error.to_string().contains("in flight"), "{error}");
}

#[tokio::test]
async fn refused_and_gone_content_leaves_the_connection_usable() {
    for (frame, kind) in [
        (json!({"deleted": true}), Kind::Gone),
        (json!({"err": "no such record"}), Kind::Refused),
    ] {
        let mut client = answering(vec![frame]).await;
        assert_eq!(client.pull(Uid(7)).await.unwrap_err().kind(), kind);
        assert!(client.is_usable());
    }
}

#[tokio::test]
async fn a_push_sends_its_pieces() {
    let sealed: Vec<u8> = (0..PIECE_SIZE + 5).map(|i| (i % 7) as u8).collect();
    let content = sealed.clone();
    let mut client = talk(async move |mut server| {
        assert_eq!(
            server.hear().await,
            json!({"op": "push", "path": "aa", "relatedpath": "bb", "extension": "md",
                   "hash": "cc", "ctime": 1, "mtime": 2, "folder": false, "deleted": false,
                   "size": content.len(), "pieces": 2})
        );
        server.say(json!({"res": "next"})).await;
        assert_eq!(server.hear_piece().await, content[..PIECE_SIZE]);
        server.say(json!({"op": "push", "uid": 3})).await;
        server.say(json!({"res": "next"})).await;
        assert_eq!(server.hear_piece().await, content[PIECE_SIZE..]);
        server.say(json!({"op": "ok"})).await;
        server.hang().await;
    })
    .await;
    let params = PushParams {
        path: EncodedName::new("aa"),
        related_path: Some(EncodedName::new("bb")),
        extension: "md".into(),
        hash: EncodedName::new("cc"),
        ctime: Millis(1),
        mtime: Millis(2),
        ..PushParams::default()
    };
    client.push(params, &sealed).await.unwrap();
    assert!(client.is_usable());
    assert_eq!(client.next().await.unwrap(), record(3));
}

#[tokio::test]
async fn a_folder_or_deletion_is_pushed_without_content() {
    for (folder, deleted) in [(true, false), (false, true), (true, true)] {
        let mut client = talk(async move |mut server| {
            assert_eq!(
                server.hear().await,
                json!({"op": "push", "path": "aa", "relatedpath": null, "extension": "",
                       "hash": "", "ctime": 0, "mtime": 0, "folder": folder, "deleted": deleted})
            );
            server.say(json!({"res": "ok"})).await;
            server.hang().await;
        })
        .await;
        let params = PushParams {
            path: EncodedName::new("aa"),
            hash: EncodedName::new("cc"),
            ctime: Millis(1),
            mtime: Millis(2),
            folder,
            deleted,
            ..PushParams::default()
        };
        client.push(params, b"ignored").await.unwrap();
    }
}

#[tokio::test]
async fn a_file_above_the_limit_is_not_sent() {
    let mut client = answering(vec![json!({"size": 1, "limit": 2})]).await;
    let sealed = vec![0; 5_000_001];
    let error = client
        .push(PushParams::default(), &sealed)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidInput);
    // The first thing that the server hears is this:
    assert_eq!(client.size().await.unwrap(), SizeInfo { size: 1, limit: 2 });
}

#[tokio::test]
async fn a_refused_push_leaves_the_connection_usable() {
    let mut client = answering(vec![json!({"err": "vault is full"})]).await;
    let error = client.push(PushParams::default(), b"x").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains("vault is full"));
    assert!(client.is_usable());
}

#[tokio::test]
async fn the_other_requests_are_answered() {
    let mut client = talk(async |mut server| {
        for (request, answer) in [
            (
                json!({"op": "history", "path": "aa", "last": 9}),
                json!({"items": [{"uid": 4, "ts": 8}], "more": true}),
            ),
            (
                json!({"op": "deleted", "suppressrenames": true}),
                json!({"items": [{"uid": 4, "deleted": true}]}),
            ),
            (json!({"op": "restore", "uid": 4}), json!({"res": "ok"})),
            (json!({"op": "size"}), json!({"size": 5, "limit": 10})),
            (json!({"op": "usernames"}), json!({"1": "Ann"})),
            (json!({"op": "purge"}), json!({"res": "ok"})),
            (json!({"op": "ping"}), json!({"op": "pong"})),
        ] {
            assert_eq!(server.hear().await, request);
            server.say(json!({"op": "push", "uid": 1})).await;
            server.say(answer).await;
        }
        server.hang().await;
    })
    .await;
    let history = client
        .history(EncodedName::new("aa"), Some(Uid(9)))
        .await
        .unwrap();
    assert_eq!((history.items[0].ts, history.more), (Some(Millis(8)), true));
    assert!(client.deleted().await.unwrap()[0].deleted);
    client.restore(Uid(4)).await.unwrap();
    assert_eq!(
        client.size().await.unwrap(),
        SizeInfo { size: 5, limit: 10 }
    );
    assert_eq!(client.usernames().await.unwrap()[&1], "Ann");
    client.purge().await.unwrap();
    client.ping().await.unwrap();
    for _ in 0..7 {
        assert_eq!(client.next().await.unwrap(), record(1));
    }
}

#[tokio::test]
async fn a_server_that_makes_no_sense_is_dropped() {
    let garbage: [(&str, Vec<u8>); 7] = [
        ("not JSON", frame(0x81, b"hello")),
        ("not UTF-8", frame(0x81, &[0xff, 0xfe])),
        ("content nobody asked for", frame(0x82, b"x")),
        (
            "an answer nobody asked for",
            frame(0x81, br#"{"res":"ok"}"#),
        ),
        ("a reserved opcode", frame(0x83, b"x")),
        ("a masked frame", vec![0x81, 0x82, 1, 2, 3, 4, b'a', b'b']),
        (
            "a frame of 8 EiB",
            [&[0x82, 127], (1_u64 << 62).to_be_bytes().as_slice()].concat(),
        ),
    ];
    for (what, bytes) in garbage {
        let mut client = talk(async move |mut server| {
            tokio::io::AsyncWriteExt::write_all(server.0.get_mut(), &bytes)
                .await
                .unwrap();
            server.hang().await;
        })
        .await;
        let error = client.next().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Protocol, "{what}: {error}");
        assert!(!client.is_usable(), "{what}");
    }
}

/// An unmasked frame of less than 126 bytes.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    [&[head, payload.len() as u8], payload].concat()
}

#[tokio::test]
async fn too_large_messages_are_refused() {
    // One large frame, and one message in many small ones.
    let whole = talk(async |mut server| {
        let text = format!("{{\"op\":\"{}\"}}", "x".repeat(5_000_000));
        let _ = futures_util::SinkExt::send(&mut server.0, Message::text(text)).await;
    });
    let parts = talk(async |mut server| {
        let raw = server.0.get_mut();
        let part = [
            [0, 127].as_slice(),
            &100_000_u64.to_be_bytes(),
            &vec![b' '; 100_000],
        ]
        .concat();
        let _ = tokio::io::AsyncWriteExt::write_all(raw, &frame(0x01, b"{")).await;
        while tokio::io::AsyncWriteExt::write_all(raw, &part)
            .await
            .is_ok()
        {}
    });
    for mut client in [whole.await, parts.await] {
        let error = client.next().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Protocol);
        assert!(error.to_string().contains("far too large"), "{error}");
    }
}

#[tokio::test]
async fn a_polite_goodbye_is_told_with_its_reason() {
    let mut client = talk(async |mut server| {
        let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame {
            code: 1008.into(),
            reason: "go\u{7} away".into(),
        };
        server.0.close(Some(frame)).await.unwrap();
        server.hang().await;
    })
    .await;
    let error = client.next().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert!(
        error.to_string().contains(r#""go\u{7} away" (code 1008)"#),
        "{error}"
    );
}

#[tokio::test]
async fn more_notices_than_are_kept_are_told_not_lost_in_silence() {
    let mut client = talk(async |mut server| {
        server.hear().await;
        let path = "ab".repeat(50_000);
        for uid in 1..=60 {
            server
                .say(json!({"op": "push", "uid": uid, "path": path}))
                .await;
        }
        // Small enough to fit in what is left: kept, it would hide the gap.
        server.say(json!({"op": "ready", "version": 60})).await;
        server.say(json!({"size": 1, "limit": 2})).await;
        server.hang().await;
    })
    .await;
    // The request itself does not suffer.
    client.size().await.unwrap();
    assert!(client.is_usable());
    let mut kept = 0;
    let error: Error = loop {
        match client.next().await {
            Ok(Notice::Record(record)) => {
                kept += 1;
                assert_eq!(record.uid, Uid(kept));
            }
            Ok(notice) => panic!("{notice:?} would hide what is missing"),
            Err(error) => break error,
        }
    };
    assert!(kept > 30 && kept < 60, "{kept}");
    assert_eq!(error.kind(), Kind::Protocol);
}

#[tokio::test]
async fn waiting_for_a_notice_may_be_given_up_without_loss() {
    let (go, mut gone) = tokio::sync::mpsc::channel::<()>(1);
    let mut client = talk(async move |mut server| {
        let frame = frame(0x81, br#"{"op":"push","uid":5}"#);
        let (first, second) = frame.split_at(9);
        let raw = server.0.get_mut();
        tokio::io::AsyncWriteExt::write_all(raw, first)
            .await
            .unwrap();
        gone.recv().await;
        tokio::io::AsyncWriteExt::write_all(raw, second)
            .await
            .unwrap();
        server.hang().await;
    })
    .await;
    // Half a frame is read, then the wait is dropped.
    for _ in 0..20 {
        tokio::select! {
            biased;
            notice = client.next() => panic!("{notice:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert!(client.is_usable());
    go.send(()).await.unwrap();
    assert_eq!(client.next().await.unwrap(), record(5));
}
