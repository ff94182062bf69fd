//! obsync's side: signs in, opens the vault and pulls it into a folder, with all its own parts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use obsidian_sync::client::Connector;
use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::host::api_base;
use obsidian_sync::rest::{RestClient, RestDeadlines};
use obsidian_sync::{EncryptionVersion, Password};
use obsync_core::clock::SystemClock;
use obsync_core::progress::Silent;
use obsync_core::report::{Report, Status};
use obsync_core::{Budget, SyncOptions, SyncRun};
use obsync_local::{About, FolderOptions, FolderStore, SqliteStateStore, StateDir, destination};
use tokio_util::sync::CancellationToken;

use crate::stage::{ACCOUNT, Stage, VAULT};
use obsync_interop::Outcome;

const AGENT: &str = "obsync-interop/0.1";

/// A copy of the stage's vault that obsync keeps.
pub(crate) struct Ours {
    pub(crate) folder: PathBuf,
    state: PathBuf,
    password: Option<&'static str>,
}

impl Ours {
    /// Names the places. Nothing is there yet.
    pub(crate) fn new(stage: &Stage, password: Option<&'static str>) -> Self {
        Self {
            folder: stage.place("obsync"),
            state: stage.place("state"),
            password,
        }
    }

    /// One run, which must leave nothing undone and nothing to report.
    ///
    /// # Errors
    /// Where it does, or fails.
    pub(crate) async fn pull(&self, stage: &Stage) -> Outcome<Report> {
        let (connector, cipher) = self.open(stage).await?;
        let about = About::new(&stage.vault, VAULT, destination(&self.folder));
        let paths = StateDir::new(&self.state).state(&about);
        let run = SyncRun {
            vault: stage.vault.clone(),
            vault_name: VAULT.to_owned(),
            connector,
            cipher,
            store: Arc::new(FolderStore::open(&self.folder, FolderOptions::default())?),
            state: Arc::new(SqliteStateStore::open(&paths, &about)?),
            options: SyncOptions::default(),
            budget: Budget::default(),
            progress: Arc::new(Silent),
            clock: Arc::new(SystemClock),
            stop: CancellationToken::new(),
        };
        let report = Box::pin(run.run()).await?;
        if report.status == Status::Complete && report.problems.is_empty() {
            Ok(report)
        } else {
            Err(format!("obsync's run was not complete: {report:?}").into())
        }
    }

    /// From an e-mail address and passwords to a vault's keys and the way to it.
    async fn open(&self, stage: &Stage) -> Outcome<(Connector, VaultCipher)> {
        let (email, password) = ACCOUNT;
        let rest = RestClient::new(
            api_base(&stage.server.url())?,
            AGENT,
            RestDeadlines::default(),
        )?;
        let token = rest
            .sign_in(email, &Password::new(password), None)
            .await?
            .token;
        let vaults = rest.vaults(&token).await?;
        let vault = vaults.into_iter().find(|vault| vault.id == stage.vault);
        let vault = vault.ok_or("the vault is not in obsync's list")?;
        let typed = self.password.map(Password::new);
        let password = vault
            .managed_password
            .clone()
            .or(typed)
            .ok_or("there is no password")?;
        let version = EncryptionVersion::from_number(vault.encryption_version);
        let version = version.ok_or("the vault has another encryption version")?;
        let salt = vault.salt.clone();
        let derive = move || VaultCipher::new(version, &VaultKey::derive(&password, &salt), &salt);
        let cipher = tokio::task::spawn_blocking(derive).await?;
        rest.access(&token, &vault, cipher.keyhash()).await?;
        let connector = Connector::new(&vault, token, &cipher)?
            .device("obsync")
            .user_agent(AGENT);
        Ok((connector, cipher))
    }

    /// What the state's files hold, apart from the note on how runs went.
    ///
    /// # Errors
    /// Where the disk fails.
    pub(crate) fn state(&self) -> Outcome<BTreeMap<PathBuf, Vec<u8>>> {
        let mut files = BTreeMap::new();
        collect(&self.state, &mut files)?;
        files.retain(|path, _| !path.to_string_lossy().ends_with(".status.json"));
        Ok(files)
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Outcome<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            // The lock notes the process, which is the same here for each run.
            files.insert(path.clone(), fs::read(&path)?);
        }
    }
    Ok(())
}
