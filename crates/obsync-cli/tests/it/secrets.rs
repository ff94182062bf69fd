//! Marked secrets, every command at the loudest level, through success and failure: none is found in
//! what is said, logged, kept, or shown by the process list.

use std::io::Read as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hkdf::Hkdf;
use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::{EncryptionVersion, Password, VaultId};
use obsync_devserver::{Action, DevServer, Fault, Point, VaultSpec};
use obsync_doubles::s3::{Double, How};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::sandbox::{EMAIL, PASSWORD, Sandbox, VAULT_PASSWORD};

const TOTP: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const WRONG_PASSWORD: &str = "marked-wrong-account-password";
const WRONG_VAULT_PASSWORD: &str = "marked-wrong-vault-password";
/// No base32: it has digits that this does not know.
const WRONG_TOTP: &str = "marked-wrong-two-factor-secret-0189";
const STALE_TOKEN: &str = "marked-stale-token";
const AWS_KEY: &str = "marked/aws+secret/key";
const SALT: &str = "a salt is no secret";
const AWS_TOKEN: &str = "marked-aws-session-token";

const FOLDER: [&str; 3] = ["My vault", "--dest", "notes"];
const BUCKET: [&str; 3] = ["My vault", "--dest", "s3://notes/copies"];

/// What a command needs, by which it is known how it ends where something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Nobody else.
    Nothing,
    /// The account's password, or a token that holds.
    Login,
    /// A token that holds, or the account's password.
    Token,
    /// That, and the vault's password.
    Vault,
    /// It says of each whether it is right; of a vault too.
    Doctor { vault: bool },
}

/// Every command there is, but for those that take something away.
fn commands() -> Vec<(Needs, Vec<&'static str>)> {
    use Needs::{Doctor, Login, Nothing, Token, Vault};
    let mut commands = Vec::new();
    for place in [FOLDER, BUCKET] {
        for more in [
            &["sync"][..],
            &["sync", "--json", "--progress", "json"],
            &["sync", "--dry-run", "--full"],
            &["sync", "--mode", "mirror"],
            &["verify"],
            &["verify", "--json", "--read-data"],
            &["verify", "--repair"],
        ] {
            commands.push((Vault, [more, &place[..]].concat()));
        }
        let status = if place == FOLDER { Nothing } else { Token };
        commands.push((status, [&["status", "--json"], &place[..]].concat()));
        commands.push((Doctor { vault: true }, [&["doctor"], &place[..]].concat()));
    }
    for (needs, command) in [
        (Login, &["login"][..]),
        (Token, &["whoami"]),
        (Token, &["whoami", "--json"]),
        (Token, &["vaults"]),
        (Doctor { vault: false }, &["doctor", "--json"]),
        (Nothing, &["status"]),
        (Nothing, &["totp"]),
        (Nothing, &["totp", "--json"]),
        (Nothing, &["config", "show"]),
        (Nothing, &["config", "show", "--json"]),
        (Nothing, &["config", "path"]),
        (Nothing, &["config", "example"]),
        (Nothing, &["completions", "bash"]),
        (Nothing, &["man"]),
    ] {
        commands.push((needs, command.to_vec()));
    }
    commands
}

/// A secret, in every spelling in which it could be found.
struct Secret {
    name: String,
    spellings: Vec<String>,
}

/// Where everything happens, and all that was said there.
struct Scene {
    sandbox: Sandbox,
    vault: VaultId,
    double: Double,
    secrets: Vec<Secret>,
    said: String,
    ran: usize,
}

/// Bytes as a text of as many characters: the standard library searches texts, and quickly.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

impl Scene {
    async fn new() -> Self {
        let mut sandbox = Sandbox::with(DevServer::builder(), Some(TOTP)).await;
        let spec = VaultSpec::encrypted("My vault", EMAIL, VAULT_PASSWORD).salt(SALT);
        let vault = sandbox.server.add_vault(spec).unwrap();
        sandbox.put(&vault, "Hello.md", "# Hello");
        let double = Double::start().await;
        double.know("AKIDEXAMPLE", AWS_KEY);
        for (name, value) in [
            ("LOG_LEVEL", "trace"),
            ("OBSIDIAN_EMAIL", EMAIL),
            ("AWS_ENDPOINT_URL_S3", &double.url),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", AWS_KEY),
            ("AWS_SESSION_TOKEN", AWS_TOKEN),
        ] {
            sandbox.set(name, value);
        }
        let mut scene = Self {
            sandbox,
            vault,
            double,
            secrets: Vec::new(),
            said: String::new(),
            ran: 0,
        };
        for (name, secret) in [
            ("account password", PASSWORD),
            ("wrong account password", WRONG_PASSWORD),
            ("two-factor secret", TOTP),
            ("wrong two-factor secret", WRONG_TOTP),
            ("vault password", VAULT_PASSWORD),
            ("wrong vault password", WRONG_VAULT_PASSWORD),
            ("token that was given", STALE_TOKEN),
            ("AWS secret key", AWS_KEY),
            ("AWS session token", AWS_TOKEN),
        ] {
            scene.secret(name, secret.as_bytes());
        }
        scene.derive();
        for variable in SECRETS {
            scene.sandbox.set(variable.0, variable.1);
        }
        scene
    }

    fn secret(&mut self, name: &str, bytes: &[u8]) {
        let plain = latin(bytes);
        let percent = plain.replace(' ', "%20").replace('/', "%2F");
        let spellings = vec![
            percent.replace('+', "%2B"),
            plain,
            BASE64_STANDARD.encode(bytes),
            hex::encode(bytes),
            hex::encode_upper(bytes),
        ];
        let name = name.to_owned();
        self.secrets.push(Secret { name, spellings });
    }

    /// All that is derived from the passwords: the key, those that come from it, and what is given to the
    /// service for them.
    fn derive(&mut self) {
        for password in [VAULT_PASSWORD, WRONG_VAULT_PASSWORD] {
            let mut key = [0; 32];
            let parameters = scrypt::Params::new(15, 8, 1).unwrap();
            scrypt::scrypt(password.as_bytes(), SALT.as_bytes(), &parameters, &mut key).unwrap();
            self.secret("key", &key);
            let mut expanded = |salt: &str, info: &str| {
                let mut bytes = [0; 32];
                let expand = Hkdf::<Sha256>::new(Some(salt.as_bytes()), &key);
                expand.expand(info.as_bytes(), &mut bytes).unwrap();
                self.secret(info, &bytes);
                bytes
            };
            let hash = expanded(SALT, "ObsidianKeyHash");
            expanded(SALT, "ObsidianAesSivEnc");
            expanded(SALT, "ObsidianAesSivMac");
            expanded("", "ObsidianAesGcm");
            // These are the product's own, or the search would be for nothing.
            let vault = VaultKey::derive(&Password::new(password), SALT);
            let cipher = VaultCipher::new(EncryptionVersion::LATEST, &vault, SALT);
            assert_eq!(cipher.keyhash(), hex::encode(hash));
            self.secret("key hash", cipher.keyhash().as_bytes());
        }
    }

    fn key_hash(&self) -> String {
        let hash = self.secrets.iter().find(|secret| secret.name == "key hash");
        hash.unwrap().spellings[1].clone()
    }

    /// The token that is kept now; it is one more secret.
    fn token(&mut self) -> String {
        let document = self.sandbox.read(".local/state/obsync/token.json");
        let document: Value = serde_json::from_str(&document).unwrap();
        let token = document["tokens"][0]["token"].as_str().unwrap().to_owned();
        self.secret("token", token.as_bytes());
        token
    }

    /// Runs a command; what it said comes to the rest.
    fn run(&mut self, arguments: &[&str]) -> i32 {
        let run = self.sandbox.obsync(&[arguments, &["-vv"]].concat());
        self.said.push_str(&format!("$ {}\n", arguments[0]));
        self.said.push_str(&run.stdout);
        self.said.push_str(&run.stderr);
        self.ran += 1;
        run.status.unwrap()
    }

    /// Every command, each with the exit status that it has to have.
    #[track_caller]
    fn run_all(&mut self, what: &str, status: impl Fn(Needs) -> i32) {
        for (needs, command) in commands() {
            let before = self.said.len();
            let ended = self.run(&command);
            let said = &self.said[before..];
            assert_eq!(ended, status(needs), "{what}: {command:?}: {said}");
        }
    }

    /// What the command line and the environment say of the secrets is replaced.
    fn without_secrets(&mut self) {
        for (name, _) in SECRETS {
            self.sandbox.unset(name);
        }
    }

    fn with_secrets(&mut self) {
        for (name, value) in SECRETS {
            self.sandbox.set(name, value);
        }
    }

    /// Nothing that was said or kept holds a secret, in any spelling.
    #[track_caller]
    fn expect_clean(&self) {
        let mut places = vec![("what was said".to_owned(), latin(self.said.as_bytes()))];
        let folders = [".local/state/obsync", "notes"];
        for file in folders.iter().flat_map(|folder| self.sandbox.files(folder)) {
            let content = std::fs::read(&file).unwrap();
            places.push((file.display().to_string(), latin(&content)));
        }
        for key in self.double.keys() {
            let object = self.double.object(&key).unwrap();
            let headers = format!("{:?}", object.headers);
            let content = [&object.bytes[..], headers.as_bytes()].concat();
            places.push((key, latin(&content)));
        }
        for Secret { name, spellings } in &self.secrets {
            for (spelling, (place, content)) in spellings
                .iter()
                .flat_map(|spelling| places.iter().map(move |place| (spelling, place)))
            {
                let kept = name == "token" && place.ends_with("token.json");
                if kept || !content.contains(spelling) {
                    continue;
                }
                let line = content.lines().find(|line| line.contains(spelling));
                panic!("the {name} is in {place}: {}", line.unwrap_or_default());
            }
        }
    }
}

const SECRETS: [(&str, &str); 3] = [
    ("OBSIDIAN_PASSWORD", PASSWORD),
    ("OBSIDIAN_TOTP_SECRET", TOTP),
    ("OBSIDIAN_VAULT_PASSWORD", VAULT_PASSWORD),
];

fn all_well(_: Needs) -> i32 {
    0
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_said_or_kept_wherever_it_comes_from() {
    let mut scene = Scene::new().await;
    scene.run_all("from the environment", all_well);
    scene.token();
    assert!(scene.said.contains("1 downloaded"), "{}", scene.said);
    scene.sandbox.set("OBSYNC_LOG_FORMAT", "json");
    scene.run_all("logged as JSON", all_well);
    scene.sandbox.unset("OBSYNC_LOG_FORMAT");
    scene.expect_clean();

    // Each way is one to sign in by, so that nobody may be signed in.
    scene.without_secrets();
    for (name, value) in SECRETS {
        let file = scene.sandbox.write(&name.to_lowercase(), value);
        scene.sandbox.set(&format!("{name}_FILE"), &file);
    }
    assert_eq!(scene.run(&["logout"]), 0);
    scene.run_all("from files", all_well);
    scene.token();
    for (name, _) in SECRETS {
        scene.sandbox.unset(&format!("{name}_FILE"));
    }

    let combined = json!({
        "auth": { "email": EMAIL, "password": PASSWORD, "totp_secret": TOTP },
        "vaults": { "My vault": { "password": VAULT_PASSWORD } },
    });
    let file = scene
        .sandbox
        .write("credentials.json", &combined.to_string());
    scene.sandbox.set("OBSYNC_CREDENTIALS", &file);
    assert_eq!(scene.run(&["logout"]), 0);
    scene.run_all("from a credentials file", all_well);
    let token = scene.token();
    scene.sandbox.unset("OBSYNC_CREDENTIALS");

    scene.sandbox.set("OBSIDIAN_AUTH_TOKEN", &token);
    assert_eq!(scene.run(&["logout", "--local"]), 0);
    for place in [FOLDER, BUCKET] {
        for command in ["sync", "verify"] {
            let flag = [&[command], &place[..], &["--password", VAULT_PASSWORD]].concat();
            assert_eq!(scene.run(&flag), 0);
        }
    }
    assert!(scene.said.contains("--password shows the password"));
    scene.sandbox.unset("OBSIDIAN_AUTH_TOKEN");
    scene.with_secrets();
    scene.expect_clean();

    for place in [FOLDER, BUCKET] {
        assert_eq!(scene.run(&[&["reset"], &place[..]].concat()), 0);
    }
    scene.run_all("after a reset", all_well);
    assert_eq!(scene.run(&["logout"]), 0);
    scene.expect_clean();
    for level in ["DEBUG", "\"level\":\"DEBUG\""] {
        assert!(scene.said.contains(level), "nothing was logged at {level}");
    }
    assert!(scene.ran > 150, "{}", scene.ran);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_said_or_kept_when_it_is_wrong() {
    use Needs::{Doctor, Login, Nothing, Token, Vault};
    let mut scene = Scene::new().await;
    scene.run_all("at first", all_well);
    scene.token();

    scene
        .sandbox
        .set("OBSIDIAN_VAULT_PASSWORD", WRONG_VAULT_PASSWORD);
    scene.run_all("a wrong vault password", |needs| match needs {
        Vault | Doctor { vault: true } => 3,
        _ => 0,
    });
    scene.sandbox.set("OBSIDIAN_VAULT_PASSWORD", VAULT_PASSWORD);

    scene.sandbox.set("OBSIDIAN_AUTH_TOKEN", STALE_TOKEN);
    scene.run_all("a stale token", |needs| match needs {
        Nothing | Login => 0,
        _ => 3,
    });
    scene.sandbox.unset("OBSIDIAN_AUTH_TOKEN");

    scene.sandbox.server.revoke_tokens(EMAIL).unwrap();
    scene.sandbox.set("OBSIDIAN_PASSWORD", WRONG_PASSWORD);
    scene.run_all("a wrong password", |needs| match needs {
        // The next command would sign in.
        Nothing | Doctor { .. } => 0,
        Login | Token | Vault => 3,
    });
    scene.sandbox.set("OBSIDIAN_PASSWORD", PASSWORD);
    scene.expect_clean();

    // Files that are not what they should be.
    for variable in ["OBSYNC_CONFIG", "OBSYNC_CREDENTIALS"] {
        let broken = format!("{{\"auth\": {{\"password\": \"{WRONG_PASSWORD}\" \"{TOTP}\"");
        let file = scene.sandbox.write("broken.json", &broken);
        scene.sandbox.set(variable, &file);
        assert_eq!(scene.run(&["whoami"]), 2);
        assert_eq!(scene.run(&["config", "show"]), 2);
        scene.sandbox.unset(variable);
    }
    let tokens = ".local/state/obsync/token.json";
    scene
        .sandbox
        .write(tokens, &format!("{{\"tokens\": \"{STALE_TOKEN}\"}}"));
    assert_eq!(scene.run(&["whoami"]), 1);
    assert_eq!(scene.run(&["logout", "--local"]), 0);
    scene.sandbox.set("OBSIDIAN_TOTP_SECRET", WRONG_TOTP);
    assert_eq!(scene.run(&["totp"]), 2);
    assert_eq!(scene.run(&["login"]), 2);
    scene.expect_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_said_or_kept_by_whatever_the_service_answers() {
    let mut scene = Scene::new().await;
    scene.run_all("at first", all_well);
    for number in 0..10 {
        // A refused token is replaced by a new one: what the service says back is the one at hand.
        assert_eq!(scene.run(&["whoami"]), 0);
        let token = scene.token();
        let told = format!("{token} {}", scene.key_hash());
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
        if number == 0 {
            // Nobody signs in who has a token that holds.
            scene.sandbox.server.revoke_tokens(EMAIL).unwrap();
        }
        let content = format!("version {number}");
        scene.sandbox.put(&scene.vault, "Hello.md", &content);
        let fault = scene.sandbox.server.faults().set(fault).unwrap();
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
        let struck = scene.sandbox.server.faults().remove(fault);
        assert!(struck > 0, "the service never did what {number} is about");
    }
    scene.expect_clean();

    let more = format!("<StringToSign>{AWS_KEY} {AWS_TOKEN}</StringToSign>");
    let more: &'static str = Box::leak(more.into());
    for (number, (key, code)) in [
        ("state/", "AccessDenied"),
        ("copies", "SignatureDoesNotMatch"),
    ]
    .into_iter()
    .enumerate()
    {
        for method in ["GET", "PUT"] {
            let content = format!("in S3, {number} {method}");
            scene.sandbox.put(&scene.vault, "Hello.md", &content);
            let at = format!("{method} {key}");
            // Twice: who holds the lease is asked at the same time, and need not be known to begin.
            let refuse = How::Answer(403, code, more);
            scene.double.fail_times(&at, 2, refuse);
            let before = scene.said.len();
            let status = scene.run(&[&["sync"], &BUCKET[..]].concat());
            scene.double.mend();
            let said = &scene.said[before..];
            assert!(status != 0 && said.contains(code), "{at}: {status}: {said}");
        }
    }
    scene.expect_clean();
}

/// While a run waits, its command line tells nothing, and what it has written is its owner's alone.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_process_list_shows_no_secret_and_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let (mut sandbox, _) = Sandbox::with_vault().await;
    for (name, _) in SECRETS {
        sandbox.unset(name);
    }
    let account = sandbox.write("account", PASSWORD);
    let vault = sandbox.write("vault", VAULT_PASSWORD);
    let login = ["login", "--email", EMAIL, "--password-file", &account];
    let at = |command| {
        [
            command,
            "My vault",
            "--dest",
            "notes",
            "--password-file",
            &vault,
        ]
    };
    let (sync, verify, doctor) = (at("sync"), at("verify"), at("doctor"));
    let hang = |point| Fault::new(point, Action::Hang);
    for (command, fault) in [
        (&login[..], hang(Point::Rest).path("/user/signin")),
        (&sync[..], hang(Point::Init)),
        (&verify[..], hang(Point::Init)),
        (&doctor[..], hang(Point::Rest).path("/vault/access")),
    ] {
        let fault = sandbox.server.faults().set(fault).unwrap();
        let mut child = sandbox.command(command).spawn().unwrap();
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
        sandbox.obsync(command).exits(0);
    }
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
