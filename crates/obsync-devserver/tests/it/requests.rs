//! The requests of a sync connection.

use obsidian_sync::{ContentHash, Millis, Uid};
use obsync_devserver::{DevServer, VaultSpec};
use serde_json::{Value, json};

use crate::client::{Client, EMAIL, fill, started};

const PIECE: usize = 2 * 1024 * 1024;

fn push(
    server: &DevServer,
    vault: &obsidian_sync::VaultId,
    path: &str,
    plain: &[u8],
) -> (Value, Vec<u8>) {
    let cipher = server.cipher(vault).unwrap();
    let sealed = cipher.seal(plain);
    let push = json!({
        "op": "push", "path": cipher.encode_name(path), "relatedpath": null, "extension": "md",
        "hash": cipher.encode_hash(Some(ContentHash::of(plain))), "ctime": 5, "mtime": 6.25,
        "folder": false, "deleted": false, "size": sealed.len(), "pieces": sealed.len().div_ceil(PIECE),
    });
    (push, sealed)
}

/// Hears until an answer comes; records are passed over.
async fn answer(client: &mut Client) -> Value {
    loop {
        let frame = client.hear().await;
        if frame["op"] != "push" {
            return frame;
        }
    }
}

#[tokio::test]
async fn content_goes_up_and_down_in_pieces_and_once_only() {
    let (server, vault, token) = started().await;
    let mut client = Client::ready(&server, &vault, &token).await;
    let plain = vec![7; 2 * PIECE];
    let (message, sealed) = push(&server, &vault, "big.md", &plain);
    assert_eq!(client.ask(message.clone()).await, json!({"res": "next"}));
    for piece in sealed.chunks(PIECE) {
        assert_eq!(server.stats().pushes, 0);
        client.send(piece.to_vec()).await;
        assert!(answer(&mut client).await.get("err").is_none());
    }
    let (header, content) = {
        client.say(&json!({"op": "pull", "uid": 1})).await;
        let header = answer(&mut client).await;
        let mut content = Vec::new();
        let mut sizes = Vec::new();
        for _ in 0..3 {
            let piece = client.piece().await;
            sizes.push(piece.len());
            content.extend(piece);
        }
        assert_eq!(sizes, [PIECE, PIECE, 28]);
        (header, content)
    };
    assert_eq!(
        (&header["size"], &header["pieces"]),
        (&json!(sealed.len()), &json!(3))
    );
    assert_eq!(header["hash"], message["hash"]);
    assert_eq!(content, sealed);

    // The same content under another name is not needed again.
    let (message, _) = push(&server, &vault, "copy.md", &plain);
    client.say(&message).await;
    assert_eq!(answer(&mut client).await, json!({"res": "ok"}));
    client.say(&json!({"op": "size"})).await;
    assert_eq!(answer(&mut client).await["size"], json!(sealed.len()));
    assert_eq!(server.tree(&vault).unwrap()["copy.md"], plain);
    let stats = server.stats();
    assert_eq!(
        (stats.pushes, stats.deduplicated, stats.overlapping),
        (2, 1, 0)
    );
    assert_eq!((stats.pulls_of(&vault, Uid(1)), stats.pulled()), (1, 1));
    assert_eq!(stats.bytes_pulled, sealed.len() as u64);
}

#[tokio::test]
async fn an_empty_file_needs_no_piece() {
    let (server, vault, token) = started().await;
    let mut client = Client::ready(&server, &vault, &token).await;
    let (mut message, _) = push(&server, &vault, "empty.md", b"");
    message["size"] = 0.into();
    message["pieces"] = 0.into();
    assert_eq!(client.ask(message).await, json!({"res": "ok"}));
    assert_eq!(client.hear().await["mtime"], 6.25);
    let (header, content) = client.pull(1).await;
    assert_eq!((header["pieces"].clone(), content.len()), (json!(0), 0));
    assert_eq!(server.tree(&vault).unwrap()["empty.md"], b"");
}

#[tokio::test]
async fn pushes_that_break_the_rules_change_nothing() {
    let server = DevServer::builder()
        .per_file_max(100)
        .size_limit(150)
        .start()
        .await
        .unwrap();
    let (vault, token) = fill(&server);
    let mut client = Client::ready(&server, &vault, &token).await;
    let (large, _) = push(&server, &vault, "large.md", &[1; 73]);
    assert!(
        client.ask(large).await["err"]
            .as_str()
            .unwrap()
            .contains("too large")
    );
    let (fits, sealed) = push(&server, &vault, "fits.md", &[1; 72]);
    assert_eq!(client.ask(fits).await["res"], "next");
    client.send(sealed).await;
    assert_eq!(client.hear().await["res"], "ok");
    assert_eq!(client.hear().await["op"], "push");
    let (more, sealed) = push(&server, &vault, "more.md", &[2; 60]);
    assert!(
        client.ask(more).await["err"]
            .as_str()
            .unwrap()
            .contains("full")
    );
    let (short, _) = push(&server, &vault, "short.md", b"abc");
    assert_eq!(client.ask(short).await["res"], "next");
    client.send(sealed).await;
    assert!(
        client.hear().await["err"]
            .as_str()
            .unwrap()
            .contains("31 bytes")
    );
    client.send(vec![0]).await;
    assert!(client.hear().await["err"].is_string());
    client.assert_ended().await;
    assert_eq!(server.tree(&vault).unwrap().len(), 1);
    assert_eq!(server.stats().pushes, 1);
}

#[tokio::test]
async fn pulls_of_what_has_no_content() {
    let (server, vault, token) = started().await;
    server.mkdir(&vault, "d").unwrap();
    server.put(&vault, "a.md", b"one", Millis(1)).unwrap();
    server.delete(&vault, "a.md").unwrap();
    let mut client = Client::ready(&server, &vault, &token).await;
    assert_eq!(
        client.pull(2).await.0["size"],
        31,
        "a superseded record keeps its content"
    );
    assert_eq!(client.pull(3).await.0["deleted"], true);
    assert!(client.pull(1).await.0["err"].is_string());
    assert!(client.pull(9).await.0["err"].is_string());
    assert_eq!(client.ask(json!({"op": "purge"})).await["res"], "ok");
    assert_eq!(client.pull(2).await.0["deleted"], true);
    assert_eq!(server.stats().pulled(), 1);
}

#[tokio::test]
async fn history_deleted_and_restore() {
    let (server, vault, token) = started().await;
    server.put(&vault, "a.md", b"one", Millis(1)).unwrap();
    server.put(&vault, "a.md", b"two", Millis(2)).unwrap();
    server.delete(&vault, "a.md").unwrap();
    server.put(&vault, "b.md", b"three", Millis(3)).unwrap();
    server.rename(&vault, "b.md", "c.md").unwrap();
    let path = server.cipher(&vault).unwrap().encode_name("a.md");
    let mut client = Client::ready(&server, &vault, &token).await;
    let uids = |answer: &Value| -> Vec<u64> {
        answer["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["uid"].as_u64().unwrap())
            .collect()
    };
    let history = client
        .ask(json!({"op": "history", "path": path, "last": null}))
        .await;
    assert_eq!(
        (uids(&history), &history["more"]),
        (vec![3, 2, 1], &json!(false))
    );
    assert!(history["items"][0]["ts"].as_i64().unwrap() > 0);
    let rest = client
        .ask(json!({"op": "history", "path": path, "last": 2}))
        .await;
    assert_eq!(uids(&rest), [1]);
    let deleted = client
        .ask(json!({"op": "deleted", "suppressrenames": true}))
        .await;
    assert_eq!(uids(&deleted), [3]);
    let deleted = client
        .ask(json!({"op": "deleted", "suppressrenames": false}))
        .await;
    assert_eq!(uids(&deleted), [5, 3]);

    assert_eq!(
        client.ask(json!({"op": "restore", "uid": 1})).await,
        json!({"res": "ok"})
    );
    let told = client.hear().await;
    assert_eq!((&told["uid"], &told["mtime"]), (&json!(7), &json!(1)));
    assert_eq!(server.tree(&vault).unwrap()["a.md"], b"one");
    assert_eq!(
        client.ask(json!({"op": "restore", "uid": 3})).await["res"],
        "ok"
    );
    assert_eq!(client.hear().await["uid"], 8);
    assert_eq!(server.tree(&vault).unwrap()["a.md"], b"two");
    assert!(client.ask(json!({"op": "restore", "uid": 99})).await["err"].is_string());
}

#[tokio::test]
async fn size_names_and_what_is_not_understood() {
    let (server, vault, token) = started().await;
    server.add_account("guest@example.com", "x", None).unwrap();
    server.share(&vault, "guest@example.com").unwrap();
    server.put(&vault, "a.md", b"one", Millis(1)).unwrap();
    let guest = server.issue_token("guest@example.com").unwrap();
    let mut client = Client::ready(&server, &vault, &guest).await;
    let size = client.ask(json!({"op": "size"})).await;
    assert_eq!(size, json!({"size": 31, "limit": 10_737_418_240_u64}));
    let names = client.ask(json!({"op": "usernames"})).await;
    assert_eq!(names, json!({"1": "me", "2": "guest"}));
    let again = Client::init(&server, &vault, &token, 0, true);
    for bad in [json!({"op": "dance"}), json!({"op": "pull"}), again] {
        let mut client = Client::ready(&server, &vault, &guest).await;
        assert!(client.ask(bad).await["err"].is_string());
        client.assert_ended().await;
    }
}

#[tokio::test]
async fn each_scheme_serves_names_and_content_that_its_key_opens() {
    use obsidian_sync::EncryptionVersion::{V0, V2, V3};
    let (server, _, token) = started().await;
    for spec in [
        VaultSpec::encrypted("v0", EMAIL, "pw").version(V0),
        VaultSpec::encrypted("v2", EMAIL, "pw").version(V2),
        VaultSpec::encrypted("v3", EMAIL, "pw")
            .version(V3)
            .salt("salt")
            .id("chosen"),
        VaultSpec::managed("managed", EMAIL),
    ] {
        let vault = server.add_vault(spec).unwrap();
        server
            .put(&vault, "é/日本語.md", b"text", Millis(1))
            .unwrap();
        let mut client = Client::ready(&server, &vault, &token).await;
        let (header, sealed) = client.pull(1).await;
        let cipher = server.cipher(&vault).unwrap();
        assert_eq!(cipher.open(sealed).unwrap(), b"text");
        let hash = obsidian_sync::EncodedName::new(header["hash"].as_str().unwrap());
        assert_eq!(
            cipher.decode_hash(&hash).unwrap(),
            Some(ContentHash::of(b"text"))
        );
    }
}
