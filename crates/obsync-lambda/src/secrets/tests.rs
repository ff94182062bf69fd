//! Against a stand-in that speaks the JSON protocol of `GetSecretValue`.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

/// What the stand-in was asked.
#[derive(Debug, Clone)]
struct Asked {
    target: String,
    authorization: String,
    token: String,
    body: Value,
}

/// Answers every request alike; `None` never answers.
struct StandIn {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StandIn {
    async fn start(answer: Option<(u16, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, log) = (answer.clone(), Arc::clone(&log));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, log) = (answer.clone(), Arc::clone(&log));
                    async move {
                        note(request, &log).await;
                        match answer {
                            Some((status, body)) => Ok::<_, Infallible>(
                                Response::builder()
                                    .status(status)
                                    .header("content-type", "application/x-amz-json-1.1")
                                    .body(Full::new(Bytes::from(body.to_string())))
                                    .unwrap(),
                            ),
                            None => std::future::pending().await,
                        }
                    }
                });
                let io = TokioIo::new(stream);
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service),
                );
            }
        });
        Self { url, asked, task }
    }

    fn environment(&self) -> Environment {
        [
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.url.as_str()),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "hidden-key"),
            ("AWS_SESSION_TOKEN", "session-token"),
        ]
        .into_iter()
        .collect()
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn note(request: Request<Incoming>, log: &Mutex<Vec<Asked>>) {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    };
    let (target, authorization, token) = (
        header("x-amz-target"),
        header("authorization"),
        header("x-amz-security-token"),
    );
    let body = request.into_body().collect().await.unwrap().to_bytes();
    log.lock().unwrap().push(Asked {
        target,
        authorization,
        token,
        body: serde_json::from_slice(&body).unwrap(),
    });
}

const TEXT: &str = r#"{"vaults": {"Notes": {"password": "hunter2"}}}"#;

#[tokio::test]
async fn the_text_comes_back_and_does_not_print() {
    let service = StandIn::start(Some((
        200,
        json!({"ARN": "arn:…", "Name": "obsync/prod", "VersionId": "1", "SecretString": TEXT,
            "VersionStages": ["AWSCURRENT"]}),
    )))
    .await;
    let found = fetch("obsync/prod", &service.environment()).await.unwrap();
    assert_eq!(found.name, "secret obsync/prod");
    assert_eq!(found.text.expose(), TEXT);
    assert!(!format!("{found:?}").contains("hunter2"));

    let asked = service.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].target, "secretsmanager.GetSecretValue");
    assert_eq!(asked[0].body, json!({"SecretId": "obsync/prod"}));
    assert_eq!(asked[0].token, "session-token");
    let signed = &asked[0].authorization;
    assert!(signed.contains("AKIDEXAMPLE/"), "{signed}");
    assert!(signed.contains("/eu-central-1/secretsmanager/"), "{signed}");
}

#[tokio::test]
async fn refusals_name_the_secret_and_what_to_do() {
    use SecretErrorKind::{Denied, Missing, Unusable};
    let not_allowed = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: \
        secretsmanager:GetSecretValue";
    for (code, said, kind, words) in [
        (
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
            Missing,
            &[
                "no secret 'obsync/prod' in eu-central-1",
                "OBSYNC_SECRET_NAME",
            ][..],
        ),
        (
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
            Missing,
            &[
                "the secret 'obsync/prod' in eu-central-1 has no value yet",
                "put-secret-value",
            ],
        ),
        (
            "AccessDeniedException",
            not_allowed,
            Denied,
            &[
                "'obsync/prod'",
                "secretsmanager:GetSecretValue on the secret",
            ],
        ),
        (
            "AccessDeniedException",
            "Access to KMS is not allowed: kms:Decrypt",
            Denied,
            &["'obsync/prod'", "kms:Decrypt on the secret's KMS key"],
        ),
        (
            "DecryptionFailure",
            "The key is disabled.",
            Denied,
            &["KMS key enabled"],
        ),
        (
            "ExpiredTokenException",
            "The security token is expired",
            Denied,
            &["ExpiredTokenException"],
        ),
        (
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
            Unusable,
            &["marked for deletion"],
        ),
    ] {
        let answer = json!({"__type": code, "message": said, "Message": said});
        let service = StandIn::start(Some((400, answer))).await;
        let error = fetch("obsync/prod", &service.environment()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "{error}");
        }
        assert_eq!(service.asked().len(), 1, "{code} is final");
    }
}

#[tokio::test]
async fn what_is_no_text_is_refused() {
    for (answer, words) in [
        (json!({"SecretBinary": "aHVudGVyMg=="}), "holds bytes"),
        (json!({"SecretString": " "}), "is empty"),
    ] {
        let service = StandIn::start(Some((200, answer))).await;
        let error = fetch("obsync/prod", &service.environment()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), SecretErrorKind::Unusable);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn throttling_is_tried_again() {
    let answer = json!({"__type": "ThrottlingException", "message": "Rate exceeded"});
    let service = StandIn::start(Some((400, answer))).await;
    let pace = Pace {
        pause: Duration::from_millis(1),
        ..PACE
    };
    let error = fetch_at(pace, "obsync/prod", &service.environment()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), SecretErrorKind::Unavailable);
    assert!(error.to_string().contains("ThrottlingException"), "{error}");
    assert_eq!(service.asked().len(), 3);
}

#[tokio::test]
async fn a_service_that_never_answers_is_given_up() {
    let service = StandIn::start(None).await;
    let pace = Pace {
        whole: Duration::from_millis(200),
        ..PACE
    };
    let error = fetch_at(pace, "obsync/prod", &service.environment()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), SecretErrorKind::Unavailable);
    assert!(error.to_string().contains("NAT gateway"), "{error}");
    assert!(!format!("{error:?}").contains("hidden-key"));
}
