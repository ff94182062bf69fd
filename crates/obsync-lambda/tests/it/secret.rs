//! Credentials from a secret.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;

use crate::world::{EMAIL, LONG, PASSWORD, VAULT_PASSWORD, World, end, error, sync};

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
        let text = json!({
            "auth": {"email": EMAIL, "password": password},
            "vaults": {"Notes": {"password": vault_password}},
        });
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
    secret.0.lock().unwrap().0 = json!({"auth": {"pasword": "hidden"}}).to_string();
    let (kind, message) = error(function.invoke(sync("Notes"), LONG).await);
    assert_eq!(kind, "Obsync.Settings");
    assert!(message.contains("secret obsync/test:1:"), "{message}");
    // And once it was put right, without a new process.
    secret.set(PASSWORD, VAULT_PASSWORD);
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    end(function).await;
}
