//! Marked secrets, every command at the loudest level, through success and failure: none is found in
//! what is said, logged, kept, or shown by the process list.

use std::collections::BTreeMap;
use std::io::Read as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::{EncryptionVersion, Password, VaultId};
use obsync_devserver::{Action, DevServer, Fault, Point, VaultSpec};
use obsync_doubles::s3::{Double, How};
use serde_json::Value;

use crate::sandbox::{EMAIL, PASSWORD, Sandbox, VAULT_PASSWORD};

const TOTP: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const WRONG_PASSWORD: &str = "marked-wrong-account-password";
const WRONG_VAULT_PASSWORD: &str = "marked-wrong-vault-password";
const STALE_TOKEN: &str = "marked-stale-token";
const AWS_KEY: &str = "marked/aws+secret/key";
const SALT: &str = "a salt is no secret";
const AWS_TOKEN: &str = "marked-aws-session-token";

/// Where everything happens, and all that was said there.
struct Scene {
    sandbox: Sandbox,
    vault: VaultId,
    double: Double,
    secrets: BTreeMap<&'static str, String>,
    said: String,
    commands: usize,
}

impl Scene {
    async fn new() -> Self {
        let mut sandbox = Sandbox::with(DevServer::builder(), Some(TOTP)).await;
        let spec = VaultSpec::encrypted("My vault", EMAIL, VAULT_PASSWORD).salt(SALT);
        let vault = sandbox.server.add_vault(spec).unwrap();
        sandbox.put(&vault, "Hello.md", "# Hello");
        let double = Double::start().await;
        for (name, value) in [
            ("LOG_LEVEL", "trace"),
            ("OBSIDIAN_EMAIL", EMAIL),
            ("OBSIDIAN_PASSWORD", PASSWORD),
            ("OBSIDIAN_TOTP_SECRET", TOTP),
            ("OBSIDIAN_VAULT_PASSWORD", VAULT_PASSWORD),
            ("AWS_ENDPOINT_URL_S3", &double.url),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", AWS_KEY),
            ("AWS_SESSION_TOKEN", AWS_TOKEN),
        ] {
            sandbox.set(name, value);
        }
        let secrets = [
            ("account password", PASSWORD),
            ("wrong account password", WRONG_PASSWORD),
            ("two-factor secret", TOTP),
            ("vault password", VAULT_PASSWORD),
            ("wrong vault password", WRONG_VAULT_PASSWORD),
            ("token that was given", STALE_TOKEN),
            ("AWS secret key", AWS_KEY),
            ("AWS session token", AWS_TOKEN),
        ];
        let secrets = secrets.map(|(name, secret)| (name, secret.to_owned()));
        Self {
            sandbox,
            vault,
            double,
            secrets: secrets.into_iter().collect(),
            said: String::new(),
            commands: 0,
        }
    }

    /// What is derived from passwords and given for them.
    fn derive(&mut self) {
        for (password, name) in [
            (VAULT_PASSWORD, "key hash"),
            (WRONG_VAULT_PASSWORD, "wrong key hash"),
        ] {
            let key = VaultKey::derive(&Password::new(password), SALT);
            let cipher = VaultCipher::new(EncryptionVersion::LATEST, &key, SALT);
            self.secrets.insert(name, cipher.keyhash().to_owned());
        }
    }

    /// The token that is kept now; it is one more secret.
    fn token(&mut self) -> String {
        let document = self.sandbox.read(".local/state/obsync/token.json");
        let document: Value = serde_json::from_str(&document).unwrap();
        let token = document["token"].as_str().unwrap().to_owned();
        let name = match self.secrets.contains_key("token") {
            false => "token",
            true => "later token",
        };
        self.secrets.insert(name, token.clone());
        token
    }

    fn run(&mut self, arguments: &[&str]) {
        let run = self.sandbox.obsync(&[arguments, &["-vv"]].concat());
        self.said.push_str(&format!("$ {arguments:?}\n"));
        self.said.push_str(&run.stdout);
        self.said.push_str(&run.stderr);
        self.commands += 1;
    }

    /// Every command there is.
    fn run_all(&mut self) {
        let folder = ["My vault", "--dest", "notes"];
        let bucket = ["My vault", "--dest", "s3://notes/copies"];
        for place in [folder, bucket] {
            for command in ["sync", "verify"] {
                self.run(&[&[command], &place[..]].concat());
                self.run(&[&[command], &place[..], &["--json"]].concat());
            }
            self.run(&[&["sync"], &place[..], &["--dry-run", "--full"]].concat());
            self.run(&[&["status"], &place[..], &["--json"]].concat());
        }
        for command in [
            &["login"][..],
            &["whoami", "--json"],
            &["vaults"],
            &["doctor"],
            &["config", "show"],
            &["config", "show", "--json"],
            &["reset", "My vault", "--dest", "notes"],
        ] {
            self.run(command);
        }
    }

    fn with(&mut self, name: &str, value: &str, act: impl FnOnce(&mut Self), then: Option<&str>) {
        self.sandbox.set(name, value);
        act(self);
        match then {
            Some(usual) => self.sandbox.set(name, usual),
            None => self.sandbox.unset(name),
        }
    }

    /// Nothing that was said or kept holds a secret, in any spelling.
    #[track_caller]
    fn expect_clean(&self) {
        let mut places = vec![("what was said".to_owned(), self.said.clone().into_bytes())];
        let folders = [".local/state/obsync", "notes"];
        for file in folders.iter().flat_map(|folder| self.sandbox.files(folder)) {
            places.push((file.display().to_string(), std::fs::read(&file).unwrap()));
        }
        for key in self.double.keys() {
            let object = self.double.object(&key).unwrap();
            let headers = format!("{:?}", object.headers);
            places.push((key, [&object.bytes[..], headers.as_bytes()].concat()));
        }
        for (name, secret) in &self.secrets {
            let spellings = [
                secret.clone(),
                BASE64_STANDARD.encode(secret),
                hex::encode(secret),
                secret
                    .replace(' ', "%20")
                    .replace('/', "%2F")
                    .replace('+', "%2B"),
            ];
            for spelling in spellings {
                for (place, content) in &places {
                    let found = content
                        .windows(spelling.len())
                        .any(|part| part == spelling.as_bytes());
                    let kept = name.ends_with("token") && place.ends_with("token.json");
                    assert!(
                        !found || kept,
                        "the {name} is in {place}: {}",
                        around(content, spelling.as_bytes())
                    );
                }
            }
        }
    }
}

/// The lines around a finding.
fn around(content: &[u8], found: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let found = String::from_utf8_lossy(found);
    let line = text.lines().find(|line| line.contains(&*found));
    line.unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_said_kept_or_shown_whatever_happens() {
    let mut scene = Scene::new().await;
    scene.run(&["login"]);
    scene.token();
    scene.derive();
    scene.run_all();
    assert!(scene.said.contains("1 downloaded"), "{}", scene.said);
    scene.expect_clean();

    // Wrong secrets of each kind.
    let usual = Some(VAULT_PASSWORD);
    scene.with(
        "OBSIDIAN_VAULT_PASSWORD",
        WRONG_VAULT_PASSWORD,
        Scene::run_all,
        usual,
    );
    scene.with("OBSIDIAN_AUTH_TOKEN", STALE_TOKEN, Scene::run_all, None);
    scene.sandbox.server.revoke_tokens(EMAIL).unwrap();
    scene.with(
        "OBSIDIAN_PASSWORD",
        WRONG_PASSWORD,
        Scene::run_all,
        Some(PASSWORD),
    );
    scene.with("OBSYNC_LOG_FORMAT", "json", Scene::run_all, None);
    scene.expect_clean();

    // A service that says back what it was told, and one that says anything else.
    for number in 0..10 {
        // A refused token is replaced by a new one: what the service says back is the one at hand.
        scene.run(&["whoami"]);
        let token = scene.token();
        let told = format!("{token} {}", scene.secrets["key hash"]);
        let redirect = Action::Redirect(format!("http://127.0.0.1:9/?{token}"));
        let rest = |path: &str, told: &str| {
            let echo = Action::Error(told.to_owned());
            Fault::new(Point::Rest, echo).path(path).once()
        };
        let fault = match number {
            0 => rest("/user/signin", PASSWORD),
            1 => rest("/user/info", &token),
            2 => rest("/vault/list", &token),
            3 => rest("/vault/access", &told),
            4 => Fault::new(Point::Init, Action::Error(told)),
            5 => Fault::new(Point::Pull, Action::Error(told)),
            6 => Fault::new(Point::Rest, Action::Html(502)),
            7 => Fault::new(Point::Rest, Action::Garbage),
            8 => Fault::new(Point::Rest, redirect),
            _ => Fault::new(Point::Upgrade, redirect),
        };
        let content = format!("version {number}");
        scene.sandbox.put(&scene.vault, "Hello.md", &content);
        scene.sandbox.server.faults().set(fault).unwrap();
        for command in [
            &["whoami"][..],
            &["sync", "My vault", "--dest", "notes"],
            &[
                "verify",
                "My vault",
                "--dest",
                "s3://notes/copies",
                "--json",
            ],
        ] {
            scene.run(command);
        }
        scene.sandbox.server.faults().clear();
    }
    for (key, code) in [
        ("state/", "AccessDenied"),
        ("copies", "SignatureDoesNotMatch"),
    ] {
        let more = Box::leak(format!("<StringToSign>{AWS_KEY} {AWS_TOKEN}</StringToSign>").into());
        for method in ["GET", "PUT"] {
            let at = format!("{method} {key}");
            scene.double.fail(&at, How::Answer(403, code, more));
        }
        scene.run(&["sync", "My vault", "--dest", "s3://notes/copies"]);
    }
    scene.expect_clean();

    // Files that are not what they should be.
    for variable in ["OBSYNC_CONFIG", "OBSYNC_CREDENTIALS"] {
        let broken = format!("{{\"auth\": {{\"password\": \"{WRONG_PASSWORD}\" \"{TOTP}\"");
        let file = scene.sandbox.write("broken.json", &broken);
        scene.with(variable, &file, |scene| scene.run(&["whoami"]), None);
    }
    scene.with(
        "OBSIDIAN_TOTP_SECRET",
        "marked-wrong-vault-password",
        |scene| scene.run(&["totp"]),
        Some(TOTP),
    );
    scene.run(&["logout"]);
    scene.expect_clean();
    for level in ["DEBUG", "\"level\":\"DEBUG\""] {
        assert!(scene.said.contains(level), "nothing was logged at {level}");
    }
    assert!(scene.commands > 100, "{}", scene.commands);
}

/// While a run waits, its command line tells nothing, and what it has written is its owner's alone.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_process_list_shows_no_secret_and_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let (mut sandbox, _) = Sandbox::with_vault().await;
    sandbox.unset("OBSIDIAN_VAULT_PASSWORD");
    sandbox.obsync(&["login"]).exits(0);
    let hang = Fault::new(Point::Init, Action::Hang);
    let fault = sandbox.server.faults().set(hang).unwrap();
    let file = sandbox.write("secret", VAULT_PASSWORD);
    let sync = [
        "sync",
        "My vault",
        "--dest",
        "notes",
        "--password-file",
        &file,
    ];
    let mut child = sandbox.command(&sync).spawn().unwrap();
    while sandbox.server.faults().struck(fault) == 0 {
        tokio::task::yield_now().await;
    }
    let mut shown = Vec::new();
    let list = format!("/proc/{}/cmdline", child.id());
    std::fs::File::open(list)
        .unwrap()
        .read_to_end(&mut shown)
        .unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("--password-file"), "{shown}");
    for secret in [PASSWORD, VAULT_PASSWORD] {
        assert!(!shown.contains(secret), "{shown}");
    }
    child.kill().unwrap();
    child.wait().unwrap();

    sandbox.server.faults().clear();
    sandbox.obsync(&sync).exits(0);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let files = sandbox.files(".local/state/obsync");
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        assert_eq!(
            mode(file.parent().unwrap()),
            0o700,
            "above {}",
            file.display()
        );
    }
}
