//! The measured side: a process of its own that takes one job on its standard input and prints
//! one line of JSON.

mod copy;
mod files;
mod pull;
mod puts;
mod s3;
mod state;
mod sync;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use obsidian_sync::client::Connector;
use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::{
    EncryptionVersion, Millis, Password, Token, Uid, Vault, VaultId, VaultVersion,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::Result;
pub(crate) use copy::Copied;
pub(crate) use state::{Place, StateTimes};
pub(crate) use sync::{Synced, Target};

/// The argument that makes this program the child.
pub(crate) const NAME: &str = "child";
/// How long any job may take.
const LIMIT: Duration = Duration::from_secs(150);

/// What a child is to do, with which vault.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) task: Task,
    pub(crate) vault: VaultId,
    pub(crate) host: String,
    pub(crate) token: String,
    pub(crate) password: String,
    pub(crate) salt: String,
    pub(crate) connections: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// One run of the engine.
    Sync {
        target: Target,
        /// Note when each file was fetched, which itself takes memory.
        times: bool,
        /// Compare with the whole vault.
        full: bool,
    },
    /// What the transfer of large files is compared with: sealed bytes from a bare WebSocket.
    Copy {
        address: String,
        size: usize,
        files: usize,
    },
    /// What the transfer of many small files is compared with: their pulls and nothing else.
    Pull {
        version: VaultVersion,
        uids: Vec<Uid>,
    },
    /// What a pull to a folder is compared with: files written and nothing else.
    Files {
        folder: PathBuf,
        files: u64,
        bytes: usize,
    },
    /// What puts are compared with: a bare loop of them.
    Puts {
        address: String,
        puts: usize,
        bytes: usize,
    },
    /// Notes so many files in a state.
    FillState { place: Place, files: u64 },
    /// Loads and commits of a state with so many files.
    State { place: Place, files: u64 },
}

/// What a job came to, and what its process took.
#[derive(Debug, Clone)]
pub(crate) struct Ran<T> {
    pub(crate) result: T,
    pub(crate) memory: Memory,
}

/// What a child prints.
#[derive(Debug, Serialize, Deserialize)]
struct Told<T> {
    result: T,
    memory: Memory,
}

/// The most that was resident at once, in MiB; `None` where the system does not tell.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// In the whole life of the process.
    pub(crate) peak: Option<f64>,
    /// After the key derivation, which takes 32 MiB for a moment and hides what a small run takes.
    pub(crate) after_key: Option<f64>,
}

impl Job {
    /// Runs it in a child and returns what that says.
    pub(crate) async fn run<T: DeserializeOwned>(&self) -> Result<Ran<T>> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(NAME)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut input = child.stdin.take().ok_or("the child takes no job")?;
        input.write_all(&serde_json::to_vec(self)?).await?;
        drop(input);
        let output = tokio::time::timeout(LIMIT, child.wait_with_output())
            .await
            .map_err(|_| format!("the measured process had not ended after {LIMIT:?}"))??;
        if !output.status.success() {
            return Err(format!("the measured process failed: {}", output.status).into());
        }
        let Told { result, memory } = serde_json::from_slice(&output.stdout)?;
        Ok(Ran { result, memory })
    }

    /// Derives the key, and says how to reach the vault.
    fn connector(&self) -> Result<(Connector, VaultCipher)> {
        let key = VaultKey::derive(&Password::new(self.password.as_str()), &self.salt);
        // The kernel begins to count anew; what it counted so far is kept.
        WITH_KEY.get_or_init(|| {
            peak_memory().filter(|_| fs::write(COUNT_ANEW.0, COUNT_ANEW.1).is_ok())
        });
        let cipher = VaultCipher::new(EncryptionVersion::LATEST, &key, &self.salt);
        let vault = Vault {
            id: self.vault.clone(),
            name: String::new(),
            host: self.host.clone(),
            region: String::new(),
            salt: self.salt.clone(),
            encryption_version: cipher.version().number(),
            created: Millis(0),
            size: 0,
            managed_password: None,
            shared: false,
        };
        let token = Token::new(self.token.as_str());
        Ok((Connector::new(&vault, token, &cipher)?, cipher))
    }
}

/// The child's own main.
pub(crate) async fn main() -> Result<()> {
    let job: Job = serde_json::from_reader(std::io::stdin().lock())?;
    match &job.task {
        Task::Sync {
            target,
            times,
            full,
        } => tell(sync::run(&job, target, *times, *full).await?),
        Task::Copy {
            address,
            size,
            files,
        } => tell(copy::run(&job, address, *size, *files).await?),
        Task::Pull { version, uids } => tell(pull::run(&job, *version, uids).await?),
        Task::Files {
            folder,
            files,
            bytes,
        } => tell(files::run(folder, *files, *bytes)?),
        Task::Puts {
            address,
            puts,
            bytes,
        } => tell(puts::run(address, job.connections, *puts, *bytes).await?),
        Task::FillState { place, files } => tell(state::fill(&job.vault, place, *files).await?),
        Task::State { place, files } => tell(state::run(&job.vault, place, *files).await?),
    }
}

/// The peak up to the key derivation, where it was counted apart.
static WITH_KEY: OnceLock<Option<f64>> = OnceLock::new();
/// The file and what is written to it to make the kernel forget the peak so far.
const COUNT_ANEW: (&str, &str) = ("/proc/self/clear_refs", "5");

fn tell(result: impl Serialize) -> Result<()> {
    let last = peak_memory();
    let before = WITH_KEY.get().copied().flatten();
    let memory = Memory {
        peak: last.into_iter().chain(before).reduce(f64::max),
        after_key: before.and(last),
    };
    serde_json::to_writer(std::io::stdout(), &Told { result, memory })?;
    Ok(())
}

fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
