//! Each fault, once.

use std::time::{Duration, Instant};

use obsidian_sync::{Millis, Token, Uid, VaultId};
use obsync_devserver::{Action, DevServer, Fault, Point};
use serde_json::json;
use tokio_tungstenite::tungstenite::Error as WsError;

use crate::client::{Client, assert_hangs, call, http, request, started};

const PIECE: usize = 2 * 1024 * 1024;

async fn with_notes() -> (DevServer, VaultId, Token) {
    let (server, vault, token) = started().await;
    server
        .put(&vault, "a.md", b"first note", Millis(1))
        .unwrap();
    server
        .put(&vault, "b.md", b"second, longer note", Millis(2))
        .unwrap();
    (server, vault, token)
}

fn once(server: &DevServer, point: Point, action: Action) {
    server.faults().clear();
    server
        .faults()
        .set(Fault::new(point, action).once())
        .unwrap();
}

#[tokio::test]
async fn the_edge_fails_in_every_way() {
    let (server, _, token) = with_notes().await;
    let list = || call(&server, "/vault/list", json!({"token": token.expose()}));
    once(&server, Point::Rest, Action::Html(502));
    let answer = list().await;
    assert_eq!(answer.status, 502);
    assert!(answer.body.contains("<h1>502 Bad Gateway</h1>"));
    once(&server, Point::Rest, Action::TooMany(7));
    let answer = list().await;
    assert!(
        answer.status == 429 && answer.head.contains("retry-after: 7"),
        "{answer:?}"
    );
    once(&server, Point::Rest, Action::overloaded());
    let answer = list().await;
    let word = "Server overloaded, please try again later.";
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"error": word}))
    );
    once(&server, Point::Rest, Action::Status(500));
    assert_eq!(list().await.status, 500);
    once(
        &server,
        Point::Rest,
        Action::Redirect("http://evil.example/".to_owned()),
    );
    let answer = list().await;
    assert!(answer.status == 302 && answer.head.contains("location: http://evil.example/"));
    once(&server, Point::Rest, Action::Garbage);
    let answer = list().await;
    assert!(
        answer.status == 200 && serde_json::from_str::<serde_json::Value>(&answer.body).is_err()
    );
    once(&server, Point::Rest, Action::Drop);
    assert_eq!(list().await.status, 0);
    once(&server, Point::Rest, Action::Cut);
    let answer = list().await;
    assert!(
        answer.body.is_empty() && answer.head.len() == 40,
        "{answer:?}"
    );
    once(
        &server,
        Point::Rest,
        Action::Trickle(50, Duration::from_millis(1)),
    );
    assert!(list().await.json()["vaults"].is_array());
    once(
        &server,
        Point::Rest,
        Action::Delay(Duration::from_millis(30)),
    );
    let start = Instant::now();
    assert!(list().await.json()["vaults"].is_array());
    assert!(start.elapsed() >= Duration::from_millis(30));
    server.faults().clear();
    server
        .faults()
        .set(Fault::new(Point::Rest, Action::Html(504)).path("/user/info"))
        .unwrap();
    assert!(list().await.json()["vaults"].is_array());
    assert_eq!(call(&server, "/user/info", json!({})).await.status, 504);
}

#[tokio::test]
async fn connections_are_refused_or_left_waiting() {
    let (server, vault, token) = with_notes().await;
    once(&server, Point::Accept, Action::Drop);
    assert_eq!(http(&server, "GET / HTTP/1.1\r\n\r\n").await, "");
    for point in [Point::Accept, Point::Rest, Point::Upgrade] {
        once(&server, point, Action::Hang);
        let upgrade = "Upgrade: websocket\r\n";
        let headers = if point == Point::Upgrade {
            upgrade
        } else {
            "User-Agent: test/1.0\r\n"
        };
        assert_hangs(&server, &request("OPTIONS", "/", headers, "")).await;
    }
    once(&server, Point::Upgrade, Action::Status(503));
    match Client::dial(&server).await.err() {
        Some(WsError::Http(answer)) => assert_eq!(answer.status(), 503),
        other => panic!("{other:?}"),
    }
    once(&server, Point::Upgrade, Action::Html(504));
    assert!(matches!(
        Client::dial(&server).await.err(),
        Some(WsError::Http(_))
    ));
    once(&server, Point::Upgrade, Action::Drop);
    assert!(Client::dial(&server).await.is_err());
    server.faults().clear();
    server
        .faults()
        .set(Fault::new(Point::Upgrade, Action::Status(503)).above(2))
        .unwrap();
    let _first = Client::ready(&server, &vault, &token).await;
    let second = Client::ready(&server, &vault, &token).await;
    assert!(Client::dial(&server).await.is_err());
    drop(second);
    while server.stats().sockets_open > 1 {
        tokio::task::yield_now().await;
    }
    Client::ready(&server, &vault, &token).await;
}

#[tokio::test]
async fn init_and_backlog_break_off() {
    let (server, vault, token) = with_notes().await;
    let init = Client::init(&server, &vault, &token, 0, true);
    once(&server, Point::Init, Action::overloaded());
    let mut client = Client::dial(&server).await.unwrap();
    let answer = client.ask(init.clone()).await;
    assert!(answer["res"] == "err" && answer["msg"].as_str().unwrap().contains("overloaded"));
    client.assert_ended().await;
    for (point, heard) in [(Point::Init, 0), (Point::Backlog, 1), (Point::Ready, 3)] {
        for action in [Action::Drop, Action::Cut] {
            once(&server, point, action);
            let mut client = Client::dial(&server).await.unwrap();
            client.say(&init).await;
            for _ in 0..heard {
                client.hear().await;
            }
            client.assert_ended().await;
        }
        once(&server, point, Action::Hang);
        let mut client = Client::dial(&server).await.unwrap();
        client.say(&init).await;
        for _ in 0..heard {
            client.hear().await;
        }
        client.assert_silent().await;
    }
    once(&server, Point::Ready, Action::Garbage);
    let mut client = Client::dial(&server).await.unwrap();
    client.say(&init).await;
    for _ in 0..3 {
        client.hear().await;
    }
    assert!(serde_json::from_str::<serde_json::Value>(&client.hear_text().await).is_err());
}

#[tokio::test]
async fn the_connection_drops_at_any_frame() {
    let (server, vault, token) = with_notes().await;
    let init = Client::init(&server, &vault, &token, 0, true);
    // ok, two records, ready, the header of a pull, its piece.
    for frames in 0..6 {
        server.faults().clear();
        server
            .faults()
            .set(Fault::new(Point::Frame, Action::Drop).after(frames).once())
            .unwrap();
        let mut client = Client::dial(&server).await.unwrap();
        client.say(&init).await;
        client.say(&json!({"op": "pull", "uid": 1})).await;
        for _ in 0..frames {
            client.next().await.unwrap().unwrap();
        }
        client.assert_ended().await;
    }
}

#[tokio::test]
async fn content_is_not_what_it_should_be() {
    let (server, vault, token) = with_notes().await;
    let cipher = server.cipher(&vault).unwrap();
    let mut client = Client::ready(&server, &vault, &token).await;
    let (header, sealed) = client.pull(1).await;
    for (action, check) in [
        (Action::FlipBit, 38),
        (Action::Short(5), 33),
        (Action::Long(5), 43),
        (Action::ClaimSize(u64::MAX), 38),
    ] {
        once(&server, Point::Pull, action.clone());
        let (changed, content) = client.pull(1).await;
        assert_eq!(content.len(), check, "{action:?}");
        assert_eq!(changed["hash"], header["hash"]);
        let claim = if check == 38 && content == sealed {
            json!(u64::MAX)
        } else {
            json!(38)
        };
        assert_eq!(changed["size"], claim, "{action:?}");
        assert_eq!(
            cipher.open(content).is_ok(),
            claim != json!(38),
            "{action:?}"
        );
    }
    once(&server, Point::Pull, Action::Swap(Uid(2)));
    let (changed, content) = client.pull(1).await;
    assert_eq!(
        (&changed["hash"], &changed["size"]),
        (&header["hash"], &json!(47))
    );
    assert_eq!(cipher.open(content).unwrap(), b"second, longer note");
    once(&server, Point::Pull, Action::Gone);
    assert_eq!(client.pull(1).await.0["deleted"], true);
    once(&server, Point::Pull, Action::Error("no".to_owned()));
    assert_eq!(client.pull(1).await.0, json!({"err": "no"}));
    once(&server, Point::Pull, Action::ClaimPieces(9));
    assert_eq!(
        client.ask(json!({"op": "pull", "uid": 1})).await["pieces"],
        9
    );
    assert_eq!(client.piece().await, sealed);
    client.assert_silent().await;

    server.faults().clear();
    server
        .faults()
        .set(Fault::new(Point::Pull, Action::FlipBit).uid(Uid(2)))
        .unwrap();
    let mut client = Client::ready(&server, &vault, &token).await;
    assert_eq!(client.pull(1).await.1, sealed);
    assert!(cipher.open(client.pull(2).await.1).is_err());
}

#[tokio::test]
async fn pieces_break_off_in_the_middle() {
    let (server, vault, token) = started().await;
    server
        .put(&vault, "big.png", &vec![1; 2 * PIECE], Millis(1))
        .unwrap();
    let pull = json!({"op": "pull", "uid": 1});
    for action in [Action::Drop, Action::Cut] {
        server.faults().clear();
        server
            .faults()
            .set(Fault::new(Point::Piece, action).after(1).once())
            .unwrap();
        let mut client = Client::ready(&server, &vault, &token).await;
        assert_eq!(client.ask(pull.clone()).await["pieces"], 3);
        assert_eq!(client.piece().await.len(), PIECE);
        client.assert_ended().await;
    }
    server.faults().clear();
    let hang = server
        .faults()
        .set(Fault::new(Point::Piece, Action::Hang).after(2).once())
        .unwrap();
    let mut client = Client::ready(&server, &vault, &token).await;
    client.ask(pull.clone()).await;
    client.piece().await;
    client.piece().await;
    client.assert_silent().await;
    client.say(&json!({"op": "ping"})).await;
    client.assert_silent().await;
    assert_eq!(server.faults().struck(hang), 1);
    let slow = Action::Trickle(PIECE / 4, Duration::from_millis(5));
    server
        .faults()
        .set(Fault::new(Point::Piece, slow).once())
        .unwrap();
    let mut client = Client::ready(&server, &vault, &token).await;
    let start = Instant::now();
    assert_eq!(client.pull(1).await.1.len(), 2 * PIECE + 28);
    assert!(
        start.elapsed() >= Duration::from_millis(40),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn pushes_fail_before_and_after_they_count() {
    let (server, vault, token) = started().await;
    let path = server.cipher(&vault).unwrap().encode_name("d");
    let push = json!({"op": "push", "path": path, "relatedpath": null, "extension": "", "hash": "",
                      "ctime": 0, "mtime": 0, "folder": true, "deleted": false});
    once(&server, Point::Push, Action::Error("no".to_owned()));
    let mut client = Client::ready(&server, &vault, &token).await;
    assert_eq!(client.ask(push.clone()).await, json!({"err": "no"}));
    once(&server, Point::Push, Action::Drop);
    client.say(&push).await;
    client.assert_ended().await;
    once(&server, Point::Push, Action::Hang);
    let mut client = Client::ready(&server, &vault, &token).await;
    client.say(&push).await;
    client.assert_silent().await;
    assert!(server.folders(&vault).unwrap().is_empty());
    once(&server, Point::PushAnswer, Action::Drop);
    let mut client = Client::ready(&server, &vault, &token).await;
    client.say(&push).await;
    client.assert_ended().await;
    assert_eq!(server.folders(&vault).unwrap().len(), 1);
    // Every time: the connection that hangs is told too.
    server.faults().clear();
    server
        .faults()
        .set(Fault::new(Point::Live, Action::Drop))
        .unwrap();
    let mut client = Client::ready(&server, &vault, &token).await;
    server.mkdir(&vault, "e").unwrap();
    client.assert_ended().await;
    once(&server, Point::Answer, Action::Drop);
    let mut client = Client::ready(&server, &vault, &token).await;
    client.say(&json!({"op": "ping"})).await;
    client.assert_ended().await;
}

#[tokio::test]
async fn latency_delays_each_answer_and_slows_none_behind_it() {
    const TRIP: Duration = Duration::from_millis(20);
    let (server, vault, token) = started().await;
    for number in 0..20 {
        server
            .put(&vault, &format!("{number}.md"), b"text", Millis(1))
            .unwrap();
    }
    server.faults().set_latency(TRIP);
    let start = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::ready(&server, &vault, &token).await);
    }
    // The handshakes of TCP and WebSocket, then init; its answer and the backlog come in one go.
    let opening = start.elapsed() / 4;
    assert!(opening >= 3 * TRIP && opening < 20 * TRIP, "{opening:?}");
    let start = Instant::now();
    let pulls = clients.iter_mut().map(|client| async {
        for _ in 0..5 {
            client.pull(1).await;
        }
    });
    futures_util::future::join_all(pulls).await;
    // One after the other it would be 20.
    let pulling = start.elapsed();
    assert!(pulling >= 5 * TRIP && pulling < 19 * TRIP, "{pulling:?}");
    let start = Instant::now();
    call(&server, "/user/info", json!({})).await;
    assert!(start.elapsed() >= 2 * TRIP);
}
