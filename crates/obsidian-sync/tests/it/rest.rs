//! REST calls against a small server that notes what it is asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use obsidian_sync::rest::{NewVault, RestClient, RestDeadlines};
use obsidian_sync::{Error, Kind, Millis, Password, Token, VaultId};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::support::{PASSWORD, TOKEN, cipher, vault};

/// One request as it came in.
#[derive(Debug, Clone)]
struct Heard {
    line: String,
    head: String,
    body: Value,
}

/// What the server does with one request.
#[derive(Clone)]
enum Reply {
    /// Status, header lines, body.
    Raw(&'static str, &'static str, String),
    /// Nothing, for ever.
    Hang,
    /// Hangs up.
    Drop,
    /// An answer that never ends.
    Endless,
    /// One that comes byte by byte, and never ends either.
    Trickle,
    /// One that breaks off in the middle.
    Cut,
}

fn ok(body: impl Into<Value>) -> Reply {
    Reply::Raw(
        "200 OK",
        "content-type: application/json\r\n",
        body.into().to_string(),
    )
}

/// A server that gives these replies in turn, and the last one from then on.
struct Api {
    base: Url,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Api {
    async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let replies: Vec<_> = replies.into_iter().collect();
        let log = Arc::clone(&heard);
        tokio::spawn(async move {
            for index in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let reply = replies.get(index).or(replies.last()).unwrap().clone();
                let log = Arc::clone(&log);
                tokio::spawn(serve(stream, reply, log));
            }
        });
        Self { base, heard }
    }

    fn client(&self) -> RestClient {
        let deadlines = RestDeadlines {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(5),
            pause: Duration::from_millis(1),
        };
        RestClient::new(self.base.clone(), "tests/1", deadlines).unwrap()
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, reply: Reply, log: Arc<Mutex<Vec<Heard>>>) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.unwrap() == 0 {
            return;
        }
    }
    let head = head.to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    log.lock().unwrap().push(Heard {
        line: head.lines().next().unwrap().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        head,
    });
    match reply {
        Reply::Raw(status, headers, body) => {
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        Reply::Hang => std::future::pending().await,
        Reply::Drop => {}
        Reply::Trickle => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"a\":\"";
            stream.write_all(head.as_bytes()).await.unwrap();
            while stream.write_all(b"x").await.is_ok() {
                tokio::task::yield_now().await;
            }
        }
        Reply::Cut => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                        content-length: 100\r\n\r\n{\"token\":\"t\"";
            stream.write_all(head.as_bytes()).await.unwrap();
        }
        Reply::Endless => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"a\":\"";
            stream.write_all(head.as_bytes()).await.unwrap();
            while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
        }
    }
}

fn token() -> Token {
    Token::new(TOKEN)
}

async fn sign_in(api: &Api) -> Result<obsidian_sync::rest::SignedIn, Error> {
    api.client()
        .sign_in("a@example.org", &Password::new(PASSWORD), None)
        .await
}

#[tokio::test]
async fn sign_in_asks_for_options_first_and_both_name_their_origin() {
    let api = Api::new([
        Reply::Raw("204 No Content", "", String::new()),
        ok(json!({"token": "t", "name": "Ann", "email": "a@example.org", "new": 1})),
    ])
    .await;
    let password = Password::new(PASSWORD);
    let signed_in = api
        .client()
        .sign_in("a@example.org", &password, Some("123456"))
        .await
        .unwrap();
    assert_eq!(signed_in.token.expose(), "t");
    assert_eq!(
        (&*signed_in.name, &*signed_in.email),
        ("Ann", "a@example.org")
    );

    let heard = api.heard();
    assert_eq!(heard[0].line, "options /user/signin http/1.1");
    assert_eq!(heard[0].body, Value::Null);
    assert_eq!(heard[1].line, "post /user/signin http/1.1");
    let body = json!({"email": "a@example.org", "password": PASSWORD, "mfa": "123456"});
    assert_eq!(heard[1].body, body);
    for request in &heard {
        assert!(
            request.head.contains("\r\norigin: https://obsidian.md\r\n"),
            "{request:?}"
        );
        assert!(
            request.head.contains("\r\nuser-agent: tests/1\r\n"),
            "{request:?}"
        );
    }
    assert!(
        heard[1]
            .head
            .contains("\r\ncontent-type: application/json\r\n")
    );
    assert_eq!(heard.len(), 2);
}

#[tokio::test]
async fn sign_in_without_a_code_sends_an_empty_one() {
    let api = Api::new([ok(json!({"token": "t"}))]).await;
    sign_in(&api).await.unwrap();
    assert_eq!(api.heard()[1].body["mfa"], "");
}

#[tokio::test]
async fn sign_in_is_tried_once_and_its_refusals_are_told_apart() {
    let html = |status| Reply::Raw(status, "content-type: text/html\r\n", "<html>".into());
    for (reply, kind) in [
        (
            ok(json!({"error": "Login failed, please double check your password."})),
            Kind::WrongCredentials,
        ),
        (
            ok(json!({"error": "This account needs a 2FA code."})),
            Kind::TwoFactorRequired,
        ),
        (
            ok(json!({"error": "The 2FA code is incorrect."})),
            Kind::TwoFactorRefused,
        ),
        (
            ok(json!({"error": "Server overloaded, please try again later."})),
            Kind::Overloaded,
        ),
        (
            Reply::Raw("429 Too Many", "retry-after: 9\r\n", String::new()),
            Kind::Overloaded,
        ),
        (html("504 Gateway Timeout"), Kind::Edge),
        (html("200 OK"), Kind::Edge),
        (ok(json!({"name": "Ann"})), Kind::Protocol),
        (Reply::Drop, Kind::Network),
    ] {
        let api = Api::new([ok(json!({})), reply]).await;
        let error = sign_in(&api).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        assert_eq!(api.heard().len(), 2, "{kind:?}");
        if error.status() == Some(429) {
            assert_eq!(error.retry_after(), Some(Duration::from_secs(9)));
        }
    }
}

#[tokio::test]
async fn the_password_is_not_sent_to_an_edge_that_is_broken() {
    let page = Reply::Raw(
        "504 Gateway Timeout",
        "content-type: text/html\r\n",
        "<html>".into(),
    );
    let api = Api::new([page]).await;
    assert_eq!(sign_in(&api).await.unwrap_err().kind(), Kind::Edge);
    assert_eq!(api.heard().len(), 1);
}

#[tokio::test]
async fn sign_in_needs_something_to_sign_in_with() {
    let api = Api::new([ok(json!({}))]).await;
    for (email, password) in [("", "x"), (" ", "x"), ("a@example.org", "")] {
        let error = api
            .client()
            .sign_in(email, &Password::new(password), None)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidInput);
    }
    assert_eq!(api.heard().len(), 0);
}

#[tokio::test]
async fn vaults_are_listed_owned_first() {
    let owned = json!({
        "id": "v1", "name": "Notes", "host": "sync-1.obsidian.md", "region": "eu", "salt": "aa",
        "encryption_version": 3, "created": 1_700_000_000_000_u64, "size": 5, "password": "",
        "unknown": {"x": []},
    });
    let shared = json!({
        "id": "v2", "name": "Theirs", "host": "sync-2.obsidian.md", "region": null, "salt": "bb",
        "encryption_version": 0, "created": 1.5, "size": null, "password": "managed-secret",
    });
    let api = Api::new([ok(json!({"vaults": [owned], "shared": [shared]}))]).await;
    let vaults = api.client().vaults(&token()).await.unwrap();
    assert_eq!(api.heard()[0].line, "post /vault/list http/1.1");
    assert_eq!(
        api.heard()[0].body,
        json!({"token": TOKEN, "supported_encryption_version": 3})
    );

    let [owned, shared] = &vaults[..] else {
        panic!("{vaults:?}")
    };
    assert_eq!(owned.id, VaultId::new("v1"));
    assert_eq!(
        (&*owned.name, &*owned.host),
        ("Notes", "sync-1.obsidian.md")
    );
    assert_eq!((&*owned.region, &*owned.salt), ("eu", "aa"));
    assert_eq!((owned.encryption_version, owned.size), (3, 5));
    assert_eq!(owned.created, Millis(1_700_000_000_000));
    assert!(owned.managed_password.is_none() && !owned.shared);
    assert_eq!(
        shared.managed_password.as_ref().unwrap().expose(),
        "managed-secret"
    );
    assert!(shared.shared && shared.region.is_empty() && shared.encryption_version == 0);
    assert!(!format!("{vaults:?}").contains("managed-secret"));
}

#[tokio::test]
async fn the_other_calls_say_what_the_protocol_wants() {
    let api = Api::new([
        ok(json!({"uid": "u", "name": "Ann", "email": "a@example.org", "mfa": true, "license": null})),
        ok(json!({"regions": [{"value": "eu", "name": "Europe"}]})),
        ok(json!({"regions": []})),
        ok(json!({})),
        ok(json!({"id": "v9", "name": "New", "region": "eu"})),
        ok(json!({"id": "v9", "name": "New", "region": "eu"})),
        ok(json!({})),
    ])
    .await;
    let client = api.client();
    let info = client.user_info(&token()).await.unwrap();
    assert_eq!(
        (&*info.uid, &*info.email, info.mfa, &*info.license),
        ("u", "a@example.org", true, "")
    );
    let regions = client
        .regions(&token(), Some("sync-1.obsidian.md"))
        .await
        .unwrap();
    assert_eq!((&*regions[0].value, &*regions[0].name), ("eu", "Europe"));
    client.regions(&token(), None).await.unwrap();
    client
        .access(&token(), &vault("127.0.0.1:80"), "abcd")
        .await
        .unwrap();
    let vault = client
        .create_vault(&token(), NewVault::managed("New"))
        .await
        .unwrap();
    assert_eq!(vault.id, VaultId::new("v9"));
    let secret = NewVault::end_to_end("New", "aabb", &cipher()).region("eu");
    assert!(!format!("{secret:?}").contains(cipher().keyhash()));
    client.create_vault(&token(), secret).await.unwrap();
    client.sign_out(&token()).await.unwrap();

    let expected = [
        ("user/info", json!({"token": TOKEN})),
        (
            "vault/regions",
            json!({"token": TOKEN, "host": "sync-1.obsidian.md"}),
        ),
        ("vault/regions", json!({"token": TOKEN})),
        (
            "vault/access",
            json!({"token": TOKEN, "vault_uid": "vault-1", "keyhash": "abcd",
                   "host": "127.0.0.1:80", "encryption_version": 3}),
        ),
        (
            "vault/create",
            json!({"token": TOKEN, "name": "New", "keyhash": null, "salt": null, "region": "",
                   "encryption_version": 3}),
        ),
        (
            "vault/create",
            json!({"token": TOKEN, "name": "New", "keyhash": cipher().keyhash(), "salt": "aabb",
                   "region": "eu", "encryption_version": 3}),
        ),
        ("user/signout", json!({"token": TOKEN})),
    ];
    let heard = api.heard();
    assert_eq!(heard.len(), expected.len());
    for (heard, (path, body)) in heard.iter().zip(expected) {
        assert_eq!(heard.line, format!("post /{path} http/1.1"));
        assert_eq!(heard.body, body, "{path}");
        assert!(heard.head.contains("\r\nuser-agent: tests/1\r\n"), "{path}");
        assert!(
            !heard.head.contains(TOKEN),
            "the token travels in the body alone"
        );
    }
}

#[tokio::test]
async fn a_call_is_tried_three_times_when_that_may_help() {
    let list = ok(json!({"vaults": []}));
    let busy = Reply::Raw("429 Too Many", "retry-after: 0\r\n", String::new());
    let page = Reply::Raw(
        "502 Bad Gateway",
        "content-type: text/html\r\n",
        "<html>".into(),
    );
    for failure in [busy, page.clone(), Reply::Drop] {
        let api = Api::new([failure.clone(), failure.clone(), list.clone()]).await;
        api.client().vaults(&token()).await.unwrap();
        assert_eq!(api.heard().len(), 3);

        let api = Api::new([failure.clone(), failure.clone(), failure, list.clone()]).await;
        api.client().vaults(&token()).await.unwrap_err();
        assert_eq!(api.heard().len(), 3);
    }
}

#[tokio::test]
async fn a_call_is_tried_once_when_more_cannot_help() {
    let overloaded = "Server overloaded, please try again later.";
    for (reply, kind) in [
        (ok(json!({"error": "Invalid token"})), Kind::Unauthorized),
        (
            Reply::Raw("401 Unauthorized", "", String::new()),
            Kind::Unauthorized,
        ),
        (ok(json!({"error": overloaded})), Kind::Overloaded),
        (
            Reply::Raw("429 Too Many", "retry-after: 600\r\n", String::new()),
            Kind::Overloaded,
        ),
        (
            Reply::Raw("429 Too Many", "", String::new()),
            Kind::Overloaded,
        ),
    ] {
        let api = Api::new([reply]).await;
        let error = api.client().vaults(&token()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(api.heard().len(), 1, "{error}");
    }
}

#[tokio::test]
async fn a_vault_is_not_created_twice() {
    for reply in [
        Reply::Drop,
        Reply::Raw("502 Bad Gateway", "", String::new()),
    ] {
        let api = Api::new([reply]).await;
        api.client()
            .create_vault(&token(), NewVault::managed("New"))
            .await
            .unwrap_err();
        assert_eq!(api.heard().len(), 1);
    }
}

#[tokio::test]
async fn a_wrong_vault_password_is_named_so() {
    let api = Api::new([ok(json!({"error": "bad keyhash abcd"}))]).await;
    let error = api
        .client()
        .access(&token(), &vault("x"), "abcd")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::WrongVaultPassword);
    assert!(!error.to_string().contains("abcd"), "{error}");
}

#[tokio::test]
async fn a_redirect_never_carries_the_token_away() {
    let thief = Api::new([ok(json!({"vaults": []}))]).await;
    for status in [
        "301 Moved",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let location: &'static str = format!("location: {}vault/list\r\n", thief.base).leak();
        let api = Api::new([Reply::Raw(status, location, String::new())]).await;
        let error = api.client().vaults(&token()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Edge);
        assert!(error.to_string().contains("redirect"), "{error}");
    }
    assert_eq!(thief.heard().len(), 0);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let api = Api::new([Reply::Endless]).await;
    let error = api
        .client()
        .create_vault(&token(), NewVault::managed("x"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Protocol);
    assert!(error.to_string().contains("more than"), "{error}");
}

/// What each of the calls that a run makes thinks of an answer.
async fn each(reply: Reply, call: Duration) -> [Result<(), Error>; 4] {
    let deadlines = RestDeadlines {
        connect: Duration::from_secs(5),
        call,
        pause: Duration::from_millis(1),
    };
    let client =
        |api: &Api| RestClient::new(api.base.clone(), "tests/1", deadlines.clone()).unwrap();
    let preflight = Api::new([ok(json!({})), reply.clone()]).await;
    let api = Api::new([reply]).await;
    let password = Password::new(PASSWORD);
    let keyhash = cipher().keyhash().to_owned();
    [
        client(&preflight)
            .sign_in("a@example.org", &password, None)
            .await
            .map(drop),
        client(&api).user_info(&token()).await.map(drop),
        client(&api).vaults(&token()).await.map(drop),
        client(&api).access(&token(), &vault("x"), &keyhash).await,
    ]
}

#[tokio::test]
async fn answers_that_break_off_or_trickle_end_each_call() {
    let long = Duration::from_secs(60);
    for (reply, call, kind) in [
        (Reply::Cut, long, Kind::Network),
        (Reply::Drop, long, Kind::Network),
        (Reply::Trickle, Duration::from_millis(100), Kind::Timeout),
    ] {
        for result in each(reply.clone(), call).await {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            let told = format!("{error:?}");
            assert!(!told.contains(TOKEN) && !told.contains(PASSWORD), "{told}");
        }
    }
}

#[tokio::test]
async fn absurd_json_costs_a_call_and_nothing_else() {
    let long = Duration::from_secs(60);
    let raw = |body: String| Reply::Raw("200 OK", "content-type: application/json\r\n", body);
    let deep = "[".repeat(200_000);
    for body in [
        deep.clone(),
        format!("{{\"token\":{deep}"),
        format!("{{\"vaults\":{deep}"),
        format!("{{\"error\":{deep}"),
    ] {
        for result in each(raw(body), long).await {
            let error = result.unwrap_err();
            assert!(
                matches!(error.kind(), Kind::Edge | Kind::Protocol),
                "{error:?}"
            );
        }
    }
    // Numbers that nothing holds, where numbers and where texts are expected.
    let number = format!("1{}", "0".repeat(400));
    for number in ["1e400", "-1e400", "18446744073709551616", number.as_str()] {
        let body = format!(
            "{{\"token\":\"t\",\"name\":{number},\"email\":{number},\"mfa\":{number},\"uid\":{number},\
             \"vaults\":[{{\"id\":\"v\",\"name\":\"n\",\"size\":{number},\"created\":{number},\
             \"encryption_version\":{number}}}],\"shared\":[]}}"
        );
        for result in each(raw(body), long).await {
            if let Err(error) = result {
                assert!(
                    matches!(error.kind(), Kind::Edge | Kind::Protocol),
                    "{error:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_call_has_a_deadline() {
    let api = Api::new([Reply::Hang]).await;
    let deadlines = RestDeadlines {
        call: Duration::from_millis(50),
        ..RestDeadlines::default()
    };
    let client = RestClient::new(api.base.clone(), "tests/1", deadlines).unwrap();
    let error = client
        .create_vault(&token(), NewVault::managed("x"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn a_service_that_is_down_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let client = RestClient::new(base, "tests/1", RestDeadlines::default()).unwrap();
    let error = client
        .create_vault(&token(), NewVault::managed("x"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert!(
        error.to_string().contains("127.0.0.1 can't be reached"),
        "{error}"
    );
}

#[test]
fn a_client_wants_a_user_agent_and_a_safe_base() {
    let new = |base: &str, user_agent| {
        RestClient::new(base.parse().unwrap(), user_agent, RestDeadlines::default())
    };
    for user_agent in ["", "  ", "a\nb"] {
        let error = new("https://api.obsidian.md", user_agent).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidInput);
    }
    let error = new("http://api.obsidian.md", "tests/1").unwrap_err();
    assert_eq!(error.kind(), Kind::ForbiddenHost);
    new(obsidian_sync::rest::API_BASE, "tests/1").unwrap();
}

#[tokio::test]
async fn the_services_clock_is_in_any_answer() {
    let dated = |status, date| Reply::Raw(status, date, String::new());
    let api = Api::new([
        dated("204 No Content", "date: Sun, 22 Nov 2026 10:00:00 GMT\r\n"),
        dated("503 Busy", "date: Sun, 22 Nov 2026 10:00:01 GMT\r\n"),
        dated("200 OK", "date: soon\r\n"),
        Reply::Drop,
    ])
    .await;
    let client = api.client();
    let at = |seconds| Some(std::time::UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(client.clock().await.unwrap(), at(1_795_341_600));
    assert_eq!(client.clock().await.unwrap(), at(1_795_341_601));
    assert_eq!(client.clock().await.unwrap(), None);
    assert_eq!(client.clock().await.unwrap_err().kind(), Kind::Network);
    let heard = api.heard();
    assert!(
        heard.iter().all(|heard| heard.line.starts_with("options ")),
        "{heard:?}"
    );
}
