//! A service with an account, a bucket, and functions that use both.

use std::time::Duration;

use obsidian_sync::{Millis, VaultId};
use obsync_devserver::{DevServer, VaultSpec};
use obsync_doubles::runtime::{Function, Outcome, Setup, Stream};
use obsync_doubles::s3::{BUCKET, Double};
use serde_json::{Value, json};

pub(crate) const EMAIL: &str = "me@example.org";
/// What must never be seen in any output.
pub(crate) const PASSWORD: &str = "hidden account password";
pub(crate) const VAULT_PASSWORD: &str = "hidden vault password";
/// Any time will do; it is the files' modification time.
const TIME: Millis = Millis(1_700_000_000_000);
/// More than any of these invocations takes; a machine may be busy.
pub(crate) const LONG: Duration = Duration::from_secs(300);
/// A line of output that must come comes within this.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) server: DevServer,
    pub(crate) bucket: Double,
    variables: Vec<(String, String)>,
}

impl World {
    /// An account without vaults; its credentials are in the function's environment.
    pub(crate) async fn new() -> Self {
        let server = DevServer::start().await.unwrap();
        server.add_account(EMAIL, PASSWORD, None).unwrap();
        let bucket = Double::start().await;
        let mut world = Self {
            server,
            bucket,
            variables: Vec::new(),
        };
        for (name, value) in [
            ("OBSIDIAN_API_URL", world.server.url()),
            ("AWS_ENDPOINT_URL_S3", world.bucket.url.clone()),
            ("S3_BUCKET", BUCKET.to_owned()),
            ("OBSIDIAN_EMAIL", EMAIL.to_owned()),
            ("OBSIDIAN_PASSWORD", PASSWORD.to_owned()),
            ("LOG_LEVEL", "trace".to_owned()),
        ] {
            world.set(name, &value);
        }
        world
    }

    /// With one vault of three files, whose password is in the environment.
    pub(crate) async fn with_vault() -> (Self, VaultId) {
        let mut world = Self::new().await;
        world.set("OBSIDIAN_VAULT_PASSWORD", VAULT_PASSWORD);
        let vault = world.vault("Notes");
        (world, vault)
    }

    /// Adds a vault of three files.
    pub(crate) fn vault(&self, name: &str) -> VaultId {
        let spec = VaultSpec::encrypted(name, EMAIL, VAULT_PASSWORD);
        let vault = self.server.add_vault(spec).unwrap();
        self.put(&vault, "Hello.md", &format!("# Hello from {name}"));
        self.put(&vault, "daily/2026-11-22.md", &format!("rain on {name}"));
        self.put(&vault, "empty.md", "");
        vault
    }

    pub(crate) fn put(&self, vault: &VaultId, path: &str, content: &str) {
        let bytes = content.as_bytes();
        self.server.put(vault, path, bytes, TIME).unwrap();
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    pub(crate) fn setup(&self) -> Setup {
        let setup = Function::of(env!("CARGO_BIN_EXE_bootstrap")).memory(512);
        let variables = self.variables.iter();
        variables.fold(setup, |setup, (name, value)| setup.env(name, value))
    }

    pub(crate) async fn start(&self) -> Function {
        self.setup().start().await
    }

    /// The vault's objects in the bucket, with their content.
    pub(crate) fn objects(&self, name: &str) -> Vec<(String, String)> {
        let below = format!("vaults/{name}/");
        let keys = self.bucket.keys().into_iter();
        let objects = keys.filter_map(|key| {
            let path = key.strip_prefix(&below)?.to_owned();
            let bytes = self.bucket.object(&key)?.bytes;
            let text = String::from_utf8(bytes.to_vec()).ok()?;
            (!path.starts_with(".obsync/")).then_some((path, text))
        });
        objects.collect()
    }

    /// The vault's files as the service has them.
    pub(crate) fn tree(&self, vault: &VaultId) -> Vec<(String, String)> {
        let tree = self.server.tree(vault).unwrap().into_iter();
        tree.map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap()))
            .collect()
    }

    /// A document of the vault's state; `end` is such as `.json`.
    pub(crate) fn document(&self, vault: &VaultId, end: &str) -> Value {
        let object = self.bucket.object(&format!("state/{vault}{end}"));
        serde_json::from_slice(&object.unwrap().bytes).unwrap()
    }

    /// The requests that changed the bucket since the last look at it.
    pub(crate) fn writes(&self) -> Vec<String> {
        let mut requests = self.bucket.requests();
        requests.retain(|line| !line.starts_with("GET ") && !line.starts_with("HEAD "));
        requests
    }

    /// Makes another run hold the vault's lease.
    pub(crate) fn hold_lease(&self, vault: &VaultId) {
        let lease = json!({"schema": 1, "owner": "another run", "fence": 7, "renewals": 0});
        let key = format!("state/{vault}.lease.json");
        self.bucket.put(&key, lease.to_string().as_bytes());
    }
}

/// The event that syncs one vault.
pub(crate) fn sync(vault: &str) -> Value {
    json!({"type": "sync_vault", "vault_id": vault})
}

/// The type and message of a function error.
#[track_caller]
pub(crate) fn error(outcome: Outcome) -> (String, String) {
    match outcome {
        // The type in the report, which state machines match; the runtime's own header has but one.
        Outcome::Error { message, body, .. } => {
            (body["errorType"].as_str().unwrap().to_owned(), message)
        }
        other => panic!("no function error: {other:?}"),
    }
}

/// The metrics so far, once there are so many.
pub(crate) async fn metrics(function: &Function, count: usize) -> Vec<Value> {
    let lines = || -> Vec<Value> {
        let lines = function.lines(Stream::Stdout).into_iter();
        lines
            .map(|line| serde_json::from_str(&line).unwrap())
            .collect()
    };
    loop {
        let known = function.output();
        let found = lines();
        if found.len() >= count {
            return found;
        }
        let new = function.line(|line| !known.contains(line), SOON).await;
        assert!(new.is_some(), "{count} metrics do not come: {known}");
    }
}

/// Ends the function, and checks that no secret came out of it.
pub(crate) async fn end(mut function: Function) -> String {
    function.kill().await;
    function.gone().await;
    let output = function.output();
    assert!(
        !output.contains("hidden"),
        "a secret is in the output: {output}"
    );
    output
}
