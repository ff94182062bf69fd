//! Marked secrets, every event at the loudest level, through success and failure: none is found in
//! what the function says, answers, counts, or keeps.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::{EncryptionVersion, Millis, Password, VaultId};
use obsync_devserver::{Action, DevServer, Fault, Point, VaultSpec};
use obsync_doubles::runtime::{Function, Outcome};
use obsync_doubles::s3::{BUCKET, Double, How};
use serde_json::{Value, json};

use crate::world::LONG;

const EMAIL: &str = "me@example.org";
const PASSWORD: &str = "marked account/password+";
const TOTP: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const VAULT_PASSWORD: &str = "marked vault/password+";
/// Not base32, so that nobody waits for its next code.
const WRONG_TOTP: &str = "marked-wrong-0189-secret";
const WRONG_PASSWORD: &str = "marked-wrong-account-password";
const WRONG_VAULT_PASSWORD: &str = "marked-wrong-vault-password";
const STALE_TOKEN: &str = "marked-stale-token";
const AWS_KEY: &str = "marked/aws+secret/key";
const AWS_TOKEN: &str = "marked/aws+session/token";
const SALT: &str = "a salt is no secret";

/// Where everything happens, and all that was said there.
struct Scene {
    server: DevServer,
    double: Double,
    vault: VaultId,
    tmp: tempfile::TempDir,
    secrets: BTreeMap<String, String>,
    said: String,
}

impl Scene {
    async fn new() -> Self {
        let server = DevServer::start().await.unwrap();
        server.add_account(EMAIL, PASSWORD, Some(TOTP)).unwrap();
        let spec = VaultSpec::encrypted("Notes", EMAIL, VAULT_PASSWORD).salt(SALT);
        let vault = server.add_vault(spec).unwrap();
        server
            .put(&vault, "Hello.md", b"# Hello", Millis(1))
            .unwrap();
        let secrets = [
            ("account password", PASSWORD),
            ("wrong account password", WRONG_PASSWORD),
            ("two-factor secret", TOTP),
            ("wrong two-factor secret", WRONG_TOTP),
            ("vault password", VAULT_PASSWORD),
            ("wrong vault password", WRONG_VAULT_PASSWORD),
            ("token that was given", STALE_TOKEN),
            ("AWS secret key", AWS_KEY),
            ("AWS session token", AWS_TOKEN),
        ];
        let mut secrets: BTreeMap<String, String> = secrets
            .map(|(name, secret)| (name.to_owned(), secret.to_owned()))
            .into();
        // What is derived from passwords and given for them.
        for (password, name) in [
            (VAULT_PASSWORD, "key hash"),
            (WRONG_VAULT_PASSWORD, "wrong key hash"),
        ] {
            let key = VaultKey::derive(&Password::new(password), SALT);
            let cipher = VaultCipher::new(EncryptionVersion::LATEST, &key, SALT);
            secrets.insert(name.to_owned(), cipher.keyhash().to_owned());
        }
        let double = Double::start().await;
        double.know("ASIAEXAMPLE", AWS_KEY);
        Self {
            server,
            double,
            vault,
            tmp: tempfile::tempdir().unwrap(),
            secrets,
            said: String::new(),
        }
    }

    async fn start(&self, more: &[(&str, &str)]) -> Function {
        let mut setup = Function::of(env!("CARGO_BIN_EXE_bootstrap"))
            .memory(512)
            .tmp(self.tmp.path());
        let usual = [
            ("OBSIDIAN_API_URL", &*self.server.url()),
            ("AWS_ENDPOINT_URL_S3", &*self.double.url),
            ("AWS_SECRET_ACCESS_KEY", AWS_KEY),
            ("AWS_SESSION_TOKEN", AWS_TOKEN),
            ("S3_BUCKET", BUCKET),
            ("OBSIDIAN_EMAIL", EMAIL),
            ("OBSIDIAN_PASSWORD", PASSWORD),
            ("OBSIDIAN_TOTP_SECRET", TOTP),
            ("OBSIDIAN_VAULT_PASSWORD", VAULT_PASSWORD),
            ("LOG_LEVEL", "trace"),
        ];
        for (name, value) in usual.iter().chain(more) {
            setup = setup.env(name, value);
        }
        setup.start().await
    }

    /// The token that is kept now; it is one more secret.
    fn token(&mut self) -> Option<String> {
        let document = std::fs::read(self.tmp.path().join("obsync/token.json")).ok()?;
        let document: Value = serde_json::from_slice(&document).unwrap();
        let newest = document["tokens"].as_array().unwrap().last().unwrap();
        let token = newest["token"].as_str().unwrap().to_owned();
        let name = format!("token {}", self.secrets.len());
        if !self.secrets.values().any(|known| *known == token) {
            self.secrets.insert(name, token.clone());
        }
        Some(token)
    }

    async fn ask(&mut self, function: &Function, event: Value) {
        self.said += &match function.invoke(event, LONG).await {
            Outcome::Answer(answer) => format!("{answer}\n"),
            Outcome::Error { message, body, .. } => format!("{message}\n{body}\n"),
            other => panic!("{other:?}"),
        };
        self.token();
    }

    async fn end(&mut self, mut function: Function) {
        function.kill().await;
        function.gone().await;
        self.said += &function.output();
    }

    /// Each form of event, with right and wrong passwords.
    fn events(&self) -> Vec<Value> {
        let one = |more: Value| {
            let mut event = json!({"type": "sync_vault", "vault_id": self.vault});
            event
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            event
        };
        let body = one(json!({"vault_password": WRONG_VAULT_PASSWORD})).to_string();
        let record = |body: &str| json!({"messageId": "m", "eventSource": "aws:sqs", "body": body});
        vec![
            one(json!({})),
            one(json!({"vault_password": VAULT_PASSWORD, "options": {"full_sync": true}})),
            one(json!({"vault_password": WRONG_VAULT_PASSWORD})),
            one(json!({"vault_pasword": VAULT_PASSWORD})),
            one(json!({"vault_password": [VAULT_PASSWORD]})),
            json!({"type": "sync_multiple", "vaults": [
                {"vault_id": "Notes", "vault_password": WRONG_VAULT_PASSWORD},
                {"vault_id": self.vault, "vault_password": VAULT_PASSWORD},
            ]}),
            json!({"Records": [record(&body), record(&body[..body.len() - 1])]}),
            json!({"type": "status", "vault_ids": ["Notes", "neither"]}),
            json!({}),
        ]
    }

    async fn all(&mut self, more: &[(&str, &str)]) {
        let function = self.start(more).await;
        for event in self.events() {
            self.ask(&function, event).await;
        }
        self.end(function).await;
    }

    /// Nothing that was said or kept holds a secret, in any spelling.
    #[track_caller]
    fn expect_clean(&self) {
        let said = ("what was said".to_owned(), self.said.clone().into_bytes());
        let mut places = vec![said];
        files(self.tmp.path(), &mut places);
        for key in self.double.keys() {
            let object = self.double.object(&key).unwrap();
            let headers = format!("{:?}", object.headers);
            places.push((key, [&object.bytes[..], headers.as_bytes()].concat()));
        }
        for (name, secret) in &self.secrets {
            for spelling in spellings(secret) {
                for (place, content) in &places {
                    let mut parts = content.windows(spelling.len());
                    let found = parts.any(|part| part == spelling.as_bytes());
                    let kept = name.starts_with("token ") && place.ends_with("token.json");
                    assert!(
                        !found || kept,
                        "the {name} is in {place}: {}",
                        around(content, &spelling)
                    );
                }
            }
        }
    }
}

fn spellings(secret: &str) -> [String; 5] {
    let escaped = |secret: &str| {
        let secret = secret.replace('%', "%25").replace('/', "%2F");
        secret.replace('+', "%2B")
    };
    [
        secret.to_owned(),
        BASE64_STANDARD.encode(secret),
        hex::encode(secret),
        escaped(secret).replace(' ', "%20"),
        escaped(secret).replace(' ', "+"),
    ]
}

fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
}

/// The line with a finding.
fn around(content: &[u8], found: &str) -> String {
    let text = String::from_utf8_lossy(content);
    let line = text.lines().find(|line| line.contains(found));
    line.unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_said_answered_counted_or_kept_whatever_happens() {
    let mut scene = Scene::new().await;
    scene.all(&[]).await;
    assert!(
        scene.said.contains("\"status\":\"complete\""),
        "{}",
        scene.said
    );
    scene.expect_clean();

    // Wrong secrets of each kind, and the other form of the log.
    scene
        .all(&[("OBSIDIAN_VAULT_PASSWORD", WRONG_VAULT_PASSWORD)])
        .await;
    scene.all(&[("OBSIDIAN_AUTH_TOKEN", STALE_TOKEN)]).await;
    scene.server.revoke_tokens(EMAIL).unwrap();
    scene.all(&[("OBSIDIAN_PASSWORD", WRONG_PASSWORD)]).await;
    scene.all(&[("OBSIDIAN_TOTP_SECRET", WRONG_TOTP)]).await;
    scene.all(&[("AWS_LAMBDA_LOG_FORMAT", "JSON")]).await;
    scene.expect_clean();

    // A service that says back what it was told, and one that says anything else.
    let function = scene.start(&[]).await;
    for number in 0..9 {
        let sync = json!({"type": "sync_vault", "vault_id": "Notes"});
        scene.ask(&function, sync.clone()).await;
        let token = scene.token().unwrap();
        let told = format!("{token} {}", scene.secrets["key hash"]);
        let redirect = Action::Redirect(format!("http://127.0.0.1:9/?{token}"));
        let rest = |path: &str, told: &str| {
            let echo = Action::Error(told.to_owned());
            Fault::new(Point::Rest, echo).path(path).once()
        };
        let fault = match number {
            0 => rest("/user/signin", PASSWORD),
            1 => rest("/vault/list", &token),
            2 => rest("/vault/access", &told),
            3 => Fault::new(Point::Init, Action::Error(told)).once(),
            4 => Fault::new(Point::Pull, Action::Error(told)).once(),
            5 => Fault::new(Point::Rest, Action::Html(502)),
            6 => Fault::new(Point::Rest, Action::Garbage),
            7 => Fault::new(Point::Rest, redirect),
            _ => Fault::new(Point::Upgrade, redirect),
        };
        let content = format!("version {number}");
        let content = content.as_bytes();
        scene
            .server
            .put(&scene.vault, "Hello.md", content, Millis(1))
            .unwrap();
        scene.server.faults().set(fault).unwrap();
        if number == 0 {
            scene.server.revoke_tokens(EMAIL).unwrap();
        }
        scene.ask(&function, sync).await;
        scene.server.faults().clear();
    }
    for (key, code) in [
        ("state/", "AccessDenied"),
        ("vaults/", "SignatureDoesNotMatch"),
    ] {
        let more = Box::leak(format!("<StringToSign>{AWS_KEY} {AWS_TOKEN}</StringToSign>").into());
        for method in ["GET", "PUT"] {
            let at = format!("{method} {key}");
            scene.double.fail(&at, How::Answer(403, code, more));
        }
        for event in scene.events() {
            scene.ask(&function, event).await;
        }
    }
    scene.end(function).await;
    scene.expect_clean();
    for part in [
        "[DEBUG]",
        "\"level\":\"DEBUG\"",
        "CloudWatchMetrics",
        "errorType",
    ] {
        assert!(scene.said.contains(part), "no {part} in what was said");
    }
}
