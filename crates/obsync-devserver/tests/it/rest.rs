//! The REST calls.

use std::time::{Duration, UNIX_EPOCH};

use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::{EncryptionVersion, Password};
use obsync_devserver::{DevServer, VaultSpec};
use serde_json::json;

use crate::client::{EMAIL, PASSWORD, call, fill, http, page, request, started};

fn sign_in(mfa: &str) -> serde_json::Value {
    json!({"email": EMAIL, "password": PASSWORD, "mfa": mfa})
}

#[tokio::test]
async fn sign_in_gives_a_token_that_sign_out_takes_back() {
    let (server, ..) = started().await;
    let answer = call(&server, "/user/signin", sign_in("")).await.json();
    assert_eq!(answer["email"], EMAIL);
    let token = &answer["token"];
    let info = call(&server, "/user/info", json!({"token": token}))
        .await
        .json();
    assert_eq!((&info["name"], &info["mfa"]), (&json!("me"), &json!(false)));
    let regions = call(&server, "/vault/regions", json!({"token": token}))
        .await
        .json();
    assert_eq!(regions["regions"][0]["value"], "local");
    assert_eq!(
        call(&server, "/user/signout", json!({"token": token}))
            .await
            .json(),
        json!({})
    );
    let refused = call(&server, "/vault/list", json!({"token": token})).await;
    assert_eq!(
        (refused.status, refused.json()["error"].clone()),
        (200, json!("Not logged in"))
    );
    let stats = server.stats();
    assert_eq!((stats.sign_in_attempts, stats.sign_ins), (1, 1));
    assert_eq!(
        (
            stats.requests_to("/vault/list"),
            stats.requests_to("OPTIONS /user/signin")
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn a_wrong_password_is_refused_with_status_200() {
    let (server, ..) = started().await;
    let body = json!({"email": EMAIL, "password": "no", "mfa": ""});
    let refused = call(&server, "/user/signin", body).await;
    assert_eq!(refused.status, 200);
    assert!(
        refused.json()["error"]
            .as_str()
            .unwrap()
            .contains("password")
    );
    assert_eq!(server.stats().sign_ins, 0);
}

#[tokio::test]
async fn two_factor_codes_go_by_the_clock_that_was_given() {
    let clock = || UNIX_EPOCH + Duration::from_secs(59);
    let server = DevServer::builder().clock(clock).start().await.unwrap();
    server
        .add_account(EMAIL, PASSWORD, Some("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"))
        .unwrap();
    let wanted = call(&server, "/user/signin", sign_in("")).await.json();
    assert!(wanted["error"].as_str().unwrap().contains("2FA code"));
    let wrong = call(&server, "/user/signin", sign_in("000000"))
        .await
        .json();
    assert!(
        wrong["error"]
            .as_str()
            .unwrap()
            .contains("2FA code is incorrect")
    );
    let right = call(&server, "/user/signin", sign_in("287082"))
        .await
        .json();
    assert!(right["token"].is_string());
}

#[tokio::test]
async fn a_sign_in_out_of_order_is_refused_unless_lenient() {
    let (server, ..) = started().await;
    let with_origin =
        "User-Agent: test/1.0\r\nContent-Type: application/json\r\nOrigin: https://obsidian.md\r\n";
    let without = "User-Agent: test/1.0\r\nContent-Type: application/json\r\n";
    let body = sign_in("").to_string();
    let post = |headers: &str| request("POST", "/user/signin", headers, &body);
    assert_eq!(page(&http(&server, &post(with_origin)).await).status, 403);
    let options = request("OPTIONS", "/user/signin", without, "");
    assert_eq!(page(&http(&server, &options).await).status, 403);

    let lenient = DevServer::builder().strict(false).start().await.unwrap();
    lenient.add_account(EMAIL, PASSWORD, None).unwrap();
    assert!(page(&http(&lenient, &post(without)).await).json()["token"].is_string());
}

#[tokio::test]
async fn the_edge_and_the_form_of_requests() {
    let (server, ..) = started().await;
    let json = "Content-Type: application/json\r\n";
    let no_agent = page(&http(&server, &request("POST", "/vault/list", json, "{}")).await);
    assert_eq!(no_agent.status, 504);
    assert!(no_agent.body.starts_with("<html>") && no_agent.head.contains("text/html"));
    for (method, path, headers, body, status) in [
        (
            "POST",
            "/vault/list",
            "User-Agent: just words\r\n",
            "{}",
            400,
        ),
        ("GET", "/vault/list", "User-Agent: test/1.0\r\n", "", 405),
        ("POST", "/vault/list", "User-Agent: test/1.0\r\n", "{}", 415),
        (
            "POST",
            "/vault/list",
            "User-Agent: test/1.0\r\nContent-Type: application/json\r\n",
            "no",
            400,
        ),
        (
            "POST",
            "/nowhere",
            "User-Agent: test/1.0\r\nContent-Type: application/json\r\n",
            "{}",
            404,
        ),
    ] {
        let answer = page(&http(&server, &request(method, path, headers, body)).await);
        assert_eq!(
            answer.status, status,
            "{method} {path} {headers}: {answer:?}"
        );
        assert!(answer.json()["error"].is_string());
    }
}

#[tokio::test]
async fn lists_owned_and_shared_vaults_as_far_as_the_client_can_read_them() {
    let (server, mine, token) = started().await;
    server.add_account("other@example.com", "x", None).unwrap();
    let spec = VaultSpec::managed("Theirs", "other@example.com").version(EncryptionVersion::V0);
    let theirs = server.add_vault(spec).unwrap();
    let hidden = server
        .add_vault(VaultSpec::managed("Hidden", "other@example.com"))
        .unwrap();
    server.share(&theirs, EMAIL).unwrap();
    let list =
        |supported| json!({"token": token.expose(), "supported_encryption_version": supported});
    let answer = call(&server, "/vault/list", list(3)).await.json();
    let entry = &answer["vaults"][0];
    assert_eq!(entry["id"], json!(mine));
    assert_eq!(entry["host"], server.host());
    assert_eq!(
        (&entry["password"], &entry["encryption_version"]),
        (&json!(""), &json!(3))
    );
    let shared = &answer["shared"];
    assert_eq!(
        (shared.as_array().unwrap().len(), &shared[0]["name"]),
        (1, &json!("Theirs"))
    );
    assert!(!shared[0]["password"].as_str().unwrap().is_empty());
    assert!(!answer.to_string().contains(hidden.as_str()));
    let old = call(&server, "/vault/list", list(0)).await.json();
    assert_eq!(
        (old["vaults"].clone(), old["shared"][0]["id"].clone()),
        (json!([]), json!(theirs))
    );

    server
        .override_listing(
            &mine,
            json!({"host": "evil.example", "encryption_version": 9}),
        )
        .unwrap();
    server.remove_vault(&theirs).unwrap();
    server.revoke_tokens("other@example.com").unwrap();
    let changed = call(&server, "/vault/list", list(9)).await.json();
    assert_eq!(changed["shared"], json!([]));
    assert_eq!(changed["vaults"][0]["host"], "evil.example");
    server.revoke_tokens(EMAIL).unwrap();
    assert!(call(&server, "/vault/list", list(3)).await.json()["error"].is_string());
}

#[tokio::test]
async fn makes_vaults_and_checks_their_passwords() {
    let server = DevServer::start().await.unwrap();
    let (_, token) = fill(&server);
    let create = |name: &str, keyhash: Option<&str>, salt: Option<&str>| {
        json!({"token": token.expose(), "name": name, "keyhash": keyhash, "salt": salt,
               "region": "", "encryption_version": 3})
    };
    let managed = call(&server, "/vault/create", create("Managed", None, None))
        .await
        .json();
    let cipher = |password: &str, salt: &str| {
        let key = VaultKey::derive(&Password::new(password), salt);
        VaultCipher::new(EncryptionVersion::V3, &key, salt)
    };
    let theirs = cipher(
        managed["password"].as_str().unwrap(),
        managed["salt"].as_str().unwrap(),
    );
    let mine = cipher("my own", "some salt");
    let body = create("Own", Some(mine.keyhash()), Some("some salt"));
    let own = call(&server, "/vault/create", body).await.json();
    assert_eq!(
        (&own["password"], &own["region"]),
        (&json!(""), &json!("local"))
    );

    for (vault, keyhash, fits) in [
        (&managed, theirs.keyhash(), true),
        (&own, mine.keyhash(), true),
        (&own, theirs.keyhash(), false),
    ] {
        let access = json!({"token": token.expose(), "vault_uid": vault["id"], "keyhash": keyhash,
                            "host": vault["host"], "encryption_version": 3});
        let answer = call(&server, "/vault/access", access).await.json();
        assert_eq!(answer.get("error").is_none(), fits, "{answer}");
    }

    let id = server.vaults_named("Own").pop().unwrap();
    assert!(matches!(
        server.tree(&id),
        Err(obsync_devserver::Error::Locked(_))
    ));
    let wrong = server.unlock(&id, &Password::new("not mine"));
    assert!(matches!(
        wrong,
        Err(obsync_devserver::Error::WrongPassword(_))
    ));
    server.unlock(&id, &Password::new("my own")).unwrap();
    assert!(server.tree(&id).unwrap().is_empty());

    for bad in [
        create("", None, None),
        create("X", Some("short"), Some("salt")),
        create("X", None, Some("salt")),
        json!({"token": token.expose(), "name": "X", "keyhash": null, "salt": null,
               "region": "mars", "encryption_version": 3}),
        json!({"token": token.expose(), "name": "X", "keyhash": null, "salt": null,
               "region": "", "encryption_version": 1}),
    ] {
        assert!(
            call(&server, "/vault/create", bad.clone()).await.json()["error"].is_string(),
            "{bad}"
        );
    }
}
