//! Sync connections: init, backlog, live records, and their end.

use obsidian_sync::{Millis, VaultVersion};
use obsync_devserver::{DevServer, InitSeen};
use serde_json::{Value, json};

use crate::client::{Client, EMAIL, fill, started};

async fn backlog(client: &mut Client, init: &Value) -> (Vec<u64>, Value) {
    client.say(init).await;
    let ok = client.hear().await;
    assert_eq!(ok["res"], "ok", "{ok}");
    assert_eq!(ok["perFileMax"], 199 * 1024 * 1024);
    let mut uids = Vec::new();
    loop {
        let frame = client.hear().await;
        if frame["op"] == "ready" {
            return (uids, frame["version"].clone());
        }
        assert_eq!(frame["op"], "push");
        uids.push(frame["uid"].as_u64().unwrap());
    }
}

#[tokio::test]
async fn the_backlog_is_every_newer_record_or_the_vault_as_it_stands() {
    let (server, vault, token) = started().await;
    server.put(&vault, "a.md", b"one", Millis(1)).unwrap();
    server.put(&vault, "b.md", b"two", Millis(2)).unwrap();
    server.put(&vault, "a.md", b"three", Millis(3)).unwrap();
    server.delete(&vault, "b.md").unwrap();
    for (version, initial, uids) in [
        (0, false, vec![1, 2, 3, 4]),
        (2, false, vec![3, 4]),
        (4, false, vec![]),
        (99, false, vec![]),
        (0, true, vec![3]),
        (3, true, vec![]),
    ] {
        let mut client = Client::dial(&server).await.unwrap();
        let init = Client::init(&server, &vault, &token, version, initial);
        assert_eq!(
            backlog(&mut client, &init).await,
            (uids, json!(4)),
            "{version} {initial}"
        );
    }
    let seen = &server.stats().inits[1];
    let expected = InitSeen {
        vault: vault.clone(),
        version: VaultVersion(2),
        initial: false,
        device: "test".into(),
    };
    assert_eq!(seen, &expected);
    server.rollback(&vault, VaultVersion(1)).unwrap();
    let mut client = Client::dial(&server).await.unwrap();
    let init = Client::init(&server, &vault, &token, 0, false);
    assert_eq!(backlog(&mut client, &init).await, (vec![1], json!(1)));
}

#[tokio::test]
async fn who_may_not_in_is_told_why_and_shown_out() {
    let (server, vault, token) = started().await;
    server.add_account("other@example.com", "x", None).unwrap();
    let stranger = server.issue_token("other@example.com").unwrap();
    let good = Client::init(&server, &vault, &token, 0, true);
    let with = |field: &str, value: Value| {
        let mut init = good.clone();
        init[field] = value;
        init
    };
    for (init, word) in [
        (with("token", json!("no")), "Not logged in"),
        (with("token", json!(stranger.expose())), "Vault not found"),
        (with("id", json!("no")), "Vault not found"),
        (with("keyhash", json!("no")), "encryption password"),
        (with("encryption_version", json!(2)), "encryption password"),
        (json!({"op": "size"}), "init first"),
        (with("initial", json!("yes")), "init first"),
    ] {
        let mut client = Client::dial(&server).await.unwrap();
        let answer = client.ask(init).await;
        assert!(
            answer["res"] == "err" || answer["status"] == "err",
            "{answer}"
        );
        assert!(answer["msg"].as_str().unwrap().contains(word), "{answer}");
        client.assert_ended().await;
    }
    server.expire_subscription(EMAIL, true).unwrap();
    let mut client = Client::dial(&server).await.unwrap();
    let answer = client.ask(good.clone()).await;
    assert_eq!(
        answer["msg"],
        "Your subscription to Obsidian Sync has expired."
    );
    client.assert_ended().await;
    assert!(server.stats().inits.is_empty());
    server.expire_subscription(EMAIL, false).unwrap();
    let mut client = Client::dial(&server).await.unwrap();
    assert_eq!(client.ask(good).await["res"], "ok");
}

#[tokio::test]
async fn every_connection_hears_of_a_push_and_only_of_its_own_vault() {
    let (server, vault, token) = started().await;
    let spec = obsync_devserver::VaultSpec::encrypted("Second", EMAIL, "pw");
    let second = server.add_vault(spec).unwrap();
    let mut first = Client::ready(&server, &vault, &token).await;
    let mut other = Client::ready(&server, &vault, &token).await;
    let mut elsewhere = Client::ready(&server, &second, &token).await;
    let path = server.cipher(&vault).unwrap().encode_name("d");
    // Twice, since the broadcast comes after the answer to an odd uid and before that to an even one.
    for (uid, deleted) in [(1, false), (2, true)] {
        let push = json!({"op": "push", "path": path, "relatedpath": null, "extension": "", "hash": "",
                          "ctime": 0, "mtime": 0, "folder": true, "deleted": deleted});
        first.say(&push).await;
        let (one, two) = (first.hear().await, first.hear().await);
        let (answer, told) = if uid == 1 { (one, two) } else { (two, one) };
        assert_eq!(answer, json!({"res": "ok"}));
        assert_eq!(told, other.hear().await);
        assert_eq!((&told["op"], &told["uid"]), (&json!("push"), &json!(uid)));
        assert_eq!(
            (&told["path"], &told["deleted"]),
            (&json!(path), &json!(deleted))
        );
        assert_eq!(
            (&told["device"], &told["user"]),
            (&json!("test"), &json!(1))
        );
    }
    assert_eq!(
        elsewhere.ask(json!({"op": "ping"})).await,
        json!({"op": "pong"})
    );
    assert_eq!(server.stats().pushes, 2);
}

#[tokio::test]
async fn connections_end_with_their_vault_or_at_a_word() {
    let (server, vault, token) = started().await;
    let mut client = Client::ready(&server, &vault, &token).await;
    server.disconnect_all();
    client.assert_ended().await;
    let mut client = Client::ready(&server, &vault, &token).await;
    server.remove_vault(&vault).unwrap();
    client.assert_ended().await;
    let stats = server.stats();
    assert_eq!(
        (stats.upgrades, stats.sockets, stats.inits.len()),
        (2, 2, 2)
    );
}

#[tokio::test]
async fn a_stop_ends_connections_and_the_service_can_start_again() {
    let (server, vault, token) = started().await;
    server.put(&vault, "a.md", b"one", Millis(1)).unwrap();
    let mut client = Client::ready(&server, &vault, &token).await;
    let service = server.shutdown().await;
    client.assert_ended().await;
    let server = service.start(0).await.unwrap();
    assert_eq!(server.stats().sockets_open, 0);
    let mut client = Client::ready(&server, &vault, &token).await;
    assert_eq!(client.pull(1).await.0["size"], 31);
    assert_eq!(server.stats().sockets_open, 1);
}

#[tokio::test]
async fn idle_connections_are_cut_where_asked_for() {
    let limit = std::time::Duration::from_millis(50);
    let server = DevServer::builder()
        .idle_timeout(limit)
        .start()
        .await
        .unwrap();
    let (vault, token) = fill(&server);
    let mut client = Client::ready(&server, &vault, &token).await;
    client.assert_ended().await;
}

#[tokio::test]
async fn requests_that_do_not_wait_are_counted() {
    let (server, vault, token) = started().await;
    server
        .faults()
        .set_latency(std::time::Duration::from_millis(20));
    let mut client = Client::ready(&server, &vault, &token).await;
    client.ask(json!({"op": "size"})).await;
    client.ask(json!({"op": "size"})).await;
    assert_eq!(server.stats().overlapping, 0);
    client.say(&json!({"op": "ping"})).await;
    client.say(&json!({"op": "size"})).await;
    client.say(&json!({"op": "size"})).await;
    for _ in 0..3 {
        client.hear().await;
    }
    assert_eq!(server.stats().overlapping, 1);
    assert_eq!(server.stats().ops_of("size"), 4);
}
