//! The measured side: a process of its own that takes one job on its standard input and prints
//! one line of JSON.

mod copy;
mod pull;
mod sync;

use std::path::PathBuf;
use std::process::Stdio;

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
pub(crate) use sync::Synced;

/// The argument that makes this program the child.
pub(crate) const NAME: &str = "child";

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
    /// One run of the engine. `times`: note when each file was fetched, which itself takes memory.
    Sync {
        folder: PathBuf,
        state: PathBuf,
        times: bool,
    },
    /// What the transfer of one large file is compared with: sealed bytes from a bare WebSocket.
    Copy { address: String, size: usize },
    /// What the transfer of many small files is compared with: their pulls and nothing else.
    Pull {
        version: VaultVersion,
        uids: Vec<Uid>,
    },
}

impl Job {
    /// Runs it in a child and returns what that says.
    pub(crate) async fn run<T: DeserializeOwned>(&self) -> Result<T> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(NAME)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut input = child.stdin.take().ok_or("the child takes no job")?;
        input.write_all(&serde_json::to_vec(self)?).await?;
        drop(input);
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            return Err(format!("the measured process failed: {}", output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Derives the key, and says how to reach the vault.
    fn connector(&self) -> Result<(Connector, VaultCipher)> {
        let key = VaultKey::derive(&Password::new(self.password.as_str()), &self.salt);
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
    let output = std::io::stdout();
    match &job.task {
        Task::Sync {
            folder,
            state,
            times,
        } => {
            serde_json::to_writer(output, &sync::run(&job, folder, state, *times).await?)?;
        }
        Task::Copy { address, size } => {
            serde_json::to_writer(output, &copy::run(&job, address, *size).await?)?;
        }
        Task::Pull { version, uids } => {
            serde_json::to_writer(output, &pull::run(&job, *version, uids).await?)?;
        }
    }
    Ok(())
}
