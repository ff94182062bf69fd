//! A home folder of its own, a service of its own, and the binary.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use obsidian_sync::{Millis, VaultId};
use obsync_devserver::{Builder, DevServer, VaultSpec};
use serde_json::Value;

pub(crate) const EMAIL: &str = "me@example.org";
pub(crate) const PASSWORD: &str = "account password";
pub(crate) const VAULT_PASSWORD: &str = "vault password";
/// Any time will do; it is the files' modification time.
pub(crate) const TIME: Millis = Millis(1_700_000_000_000);

/// A machine with one user, and a service with one account.
pub(crate) struct Sandbox {
    home: tempfile::TempDir,
    pub(crate) server: DevServer,
    variables: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    /// Standard output, with the home folder and the service's address scrubbed.
    pub(crate) stdout: String,
    /// Standard error, likewise.
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) async fn new() -> Self {
        Self::with(DevServer::builder(), None).await
    }

    pub(crate) async fn with(builder: Builder, totp: Option<&str>) -> Self {
        let server = builder.start().await.unwrap();
        server.add_account(EMAIL, PASSWORD, totp).unwrap();
        Self {
            home: tempfile::tempdir().unwrap(),
            server,
            variables: Vec::new(),
        }
    }

    /// With the account's credentials in the environment.
    pub(crate) async fn signed_in() -> Self {
        let mut sandbox = Self::new().await;
        sandbox.set("OBSIDIAN_EMAIL", EMAIL);
        sandbox.set("OBSIDIAN_PASSWORD", PASSWORD);
        sandbox
    }

    /// With credentials, and with a vault of a few notes.
    pub(crate) async fn with_vault() -> (Self, VaultId) {
        let mut sandbox = Self::signed_in().await;
        sandbox.set("OBSIDIAN_VAULT_PASSWORD", VAULT_PASSWORD);
        let spec = VaultSpec::encrypted("My vault", EMAIL, VAULT_PASSWORD);
        let vault = sandbox.server.add_vault(spec).unwrap();
        sandbox.server.mkdir(&vault, "daily").unwrap();
        sandbox.put(&vault, "Hello.md", "# Hello");
        sandbox.put(&vault, "daily/2026-11-22.md", "rain");
        sandbox.put(&vault, "empty.md", "");
        (sandbox, vault)
    }

    pub(crate) fn put(&self, vault: &VaultId, path: &str, content: &str) {
        self.server
            .put(vault, path, content.as_bytes(), TIME)
            .unwrap();
    }

    /// Sets a variable for all commands that follow.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    /// A path below the home folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file below the home folder.
    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Reads a file below the home folder.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The binary with arguments; nothing of the test's own environment comes through.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_obsync"));
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("OBSIDIAN_API_URL", self.server.url())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn obsync(&self, arguments: &[&str]) -> Run {
        self.scrub(&self.command(arguments).output().unwrap())
    }

    /// Runs the binary as a user whom permissions bind: root, as which containers run tests, is bound
    /// by none.
    pub(crate) fn obsync_bound(&self, arguments: &[&str]) -> Run {
        use std::os::unix::fs::{MetadataExt as _, lchown};
        use std::os::unix::process::CommandExt as _;
        const NOBODY: u32 = 65534;
        fn give(path: &Path) {
            lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            if path.is_dir() && !path.is_symlink() {
                for entry in std::fs::read_dir(path).unwrap() {
                    give(&entry.unwrap().path());
                }
            }
        }
        let mut command = self.command(arguments);
        if self.home.path().metadata().unwrap().uid() == 0 {
            give(self.home.path());
            command.uid(NOBODY).gid(NOBODY);
            let run = self.scrub(&command.output().unwrap());
            lchown(self.home.path(), Some(0), Some(0)).unwrap();
            return run;
        }
        self.scrub(&command.output().unwrap())
    }

    /// Runs the binary with something on its standard input.
    pub(crate) fn obsync_with_input(&self, arguments: &[&str], input: &str) -> Run {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        self.finish(child)
    }

    pub(crate) fn finish(&self, child: Child) -> Run {
        self.scrub(&child.wait_with_output().unwrap())
    }

    fn scrub(&self, output: &Output) -> Run {
        let home = self.home.path().canonicalize().unwrap();
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec())
                .unwrap()
                .replace(home.to_str().unwrap(), "~")
                .replace(self.home.path().to_str().unwrap(), "~")
                .replace(&self.server.url(), "http://SERVER")
        };
        Run {
            status: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// The paths of all files below a folder.
    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        fn below(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    below(&path, found);
                } else {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        below(&self.path(folder), &mut found);
        found.sort();
        found
    }

    /// All files of a vault's copy, with their content.
    pub(crate) fn tree(&self, folder: &str) -> Vec<(String, String)> {
        let root = self.path(folder);
        let files = self.files(folder).into_iter().map(|path| {
            let name = path
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        });
        files
            .filter(|(name, _)| !name.starts_with(".obsync/"))
            .collect()
    }
}

impl Run {
    /// Asserts the exit status.
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    /// Asserts that standard error says something.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "no '{words}' in {self:#?}");
        self
    }

    /// The one document on standard output. That there is exactly one is asserted.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let document: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("not exactly one document ({error}): {self:#?}");
        });
        assert_eq!(document["schema"], 1, "{self:#?}");
        document
    }
}
