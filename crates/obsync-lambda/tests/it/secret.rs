//! Credentials from a secret.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use obsync_devserver::VaultSpec;
use serde_json::{Value, json};

use crate::world::{EMAIL, LONG, PASSWORD, VAULT_PASSWORD, World, end, error, metrics, sync};

/// A secret in a service that counts who asks.
#[derive(Clone, Default)]
struct Secret(Arc<Mutex<(String, u32)>>);

impl Secret {
    /// Starts the service, and sets the function up to ask it.
    async fn start(world: &mut World) -> Self {
        let secret = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        world.set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &url);
        world.set("OBSYNC_SECRET_NAME", "obsync/test");
        let serving = secret.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let secret = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |_: Request<Incoming>| {
                        let body = secret.answer();
                        async move { Ok::<_, Infallible>(Response::new(Full::new(body))) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        secret
    }

    fn answer(&self) -> Bytes {
        let mut secret = self.0.lock().unwrap();
        secret.1 += 1;
        let text = secret.0.as_str();
        Bytes::from(json!({"Name": "obsync/test", "SecretString": text}).to_string())
    }

    fn set(&self, password: &str, vault_password: &str) {
        self.fill(&json!({
            "auth": {"email": EMAIL, "password": password},
            "vaults": {"Notes": {"password": vault_password}},
        }));
    }

    fn fill(&self, text: &Value) {
        self.0.lock().unwrap().0 = text.to_string();
    }

    fn asked(&self) -> u32 {
        self.0.lock().unwrap().1
    }
}

async fn world() -> (World, Secret) {
    let (mut world, _) = World::with_vault().await;
    for name in [
        "OBSIDIAN_EMAIL",
        "OBSIDIAN_PASSWORD",
        "OBSIDIAN_VAULT_PASSWORD",
    ] {
        world.unset(name);
    }
    let secret = Secret::start(&mut world).await;
    (world, secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_fetched_once_in_init() {
    let (world, secret) = world().await;
    secret.set(PASSWORD, VAULT_PASSWORD);
    let function = world.start().await;
    function.ready().await.unwrap();
    assert_eq!(secret.asked(), 1);
    for event in [sync("Notes"), json!({})] {
        let answer = function.invoke(event, LONG).await.answer();
        assert_eq!(answer["status"], "complete", "{answer}");
    }
    assert_eq!(secret.asked(), 1);
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_changed_is_fetched_again() {
    let (world, secret) = world().await;
    secret.set(PASSWORD, "hidden and old");
    let function = world.start().await;
    let (kind, _) = error(function.invoke(sync("Notes"), LONG).await);
    assert_eq!(kind, "Obsync.WrongVaultPassword");
    secret.set(PASSWORD, VAULT_PASSWORD);
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_can_not_be_had_or_read_is_told() {
    let (world, secret) = world().await;
    let function = world.start().await;
    let (kind, message) = error(function.invoke(sync("Notes"), LONG).await);
    assert_eq!(kind, "Obsync.SecretUnusable");
    assert!(message.contains("obsync/test"), "{message}");
    secret.fill(&json!({"auth": {"pasword": "hidden"}}));
    let (kind, message) = error(function.invoke(sync("Notes"), LONG).await);
    assert_eq!(kind, "Obsync.Settings");
    assert!(message.contains("secret obsync/test:1:"), "{message}");
    // And once it was put right, without a new process.
    secret.set(PASSWORD, VAULT_PASSWORD);
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    end(function).await;
}

/// As the templates make it, filled in after the function was started.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_filled_in_later_is_seen_by_all_that_come() {
    for event in [json!({}), json!({"type": "status", "vault_ids": ["Notes"]})] {
        let (world, secret) = world().await;
        secret.fill(&json!({"auth": {}, "vaults": {}}));
        let function = world.start().await;
        let (kind, _) = error(function.invoke(json!({}), LONG).await);
        assert_eq!(kind, "Obsync.NotSignedIn");
        secret.set(PASSWORD, VAULT_PASSWORD);
        let answer = function.invoke(event.clone(), LONG).await.answer();
        assert_eq!(answer["vaults"][0]["name"], "Notes", "{answer}");
        assert_eq!(answer["vaults"][0]["last_error"], Value::Null, "{answer}");
        assert_ne!(answer["status"], "failed", "{answer}");
        end(function).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_before_the_event_is_no_failure_of_it() {
    let (world, secret) = world().await;
    secret.set("hidden and old", "hidden and old");
    let function = world.start().await;
    function.ready().await.unwrap();
    // Fetched in init; what it holds by now is another.
    secret.set(PASSWORD, VAULT_PASSWORD);
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    assert_eq!(secret.asked(), 2);
    let told = metrics(&function, 1).await;
    assert_eq!((told.len(), &told[0]["Failures"]), (1, &json!(0)));
    let output = end(function).await;
    assert!(!output.contains("[ERROR]"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_wrong_is_tried_no_second_time() {
    let (world, secret) = world().await;
    secret.set(PASSWORD, "hidden and wrong");
    world.vault("More");
    let function = world.start().await;
    function.ready().await.unwrap();
    let event = json!({
        "type": "sync_multiple", "vaults": [{"vault_id": "Notes"}, {"vault_id": "More"}],
    });
    let answer = function.invoke(event, LONG).await.answer();
    let kinds = [0, 1].map(|at| answer["vaults"][at]["error"]["kind"].clone());
    assert_eq!(kinds, ["wrong_vault_password", "credentials_missing"]);
    assert_eq!(secret.asked(), 2, "once for both");
    assert_eq!(world.server.stats().requests_to("/vault/access"), 1);
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_vault_has_its_own_password_whatever_the_environment_says() {
    const OTHER: &str = "hidden other password";
    let (mut world, secret) = world().await;
    world.set("OBSIDIAN_VAULT_PASSWORD", VAULT_PASSWORD);
    let spec = VaultSpec::encrypted("Other", EMAIL, OTHER);
    let other = world.server.add_vault(spec).unwrap();
    secret.fill(&json!({
        "auth": {"email": EMAIL, "password": PASSWORD},
        "vaults": {"Other": {"password": OTHER}},
    }));
    let function = world.start().await;
    // The one that the schedule takes by its own password, and the one that is left for the
    // environment's.
    let answer = function.invoke(json!({}), LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    assert_eq!(answer["vaults"].as_array().unwrap().len(), 2, "{answer}");
    // The event's own goes before all.
    let mut event = sync(other.as_str());
    event["vault_password"] = "hidden and wrong".into();
    let (kind, _) = error(function.invoke(event, LONG).await);
    assert_eq!(kind, "Obsync.WrongVaultPassword");
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_vaults_stand_is_told_without_the_secret() {
    let (world, secret) = world().await;
    secret.set(PASSWORD, VAULT_PASSWORD);
    let function = world.start().await;
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    let id = answer["vaults"][0]["vault_id"].clone();
    end(function).await;
    secret.0.lock().unwrap().0 = String::new();
    let function = world.start().await;
    for ids in [json!([id]), json!([])] {
        let event = json!({"type": "status", "vault_ids": ids});
        let answer = function.invoke(event, LONG).await.answer();
        assert_eq!(answer["vaults"][0]["files"], 3, "{answer}");
    }
    end(function).await;
}
