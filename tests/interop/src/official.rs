//! Drives the official client, unmodified: one home folder is one installation of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use obsync_core::filter::{ConfigGroup, FileType};
use tokio::process::Command;

use crate::Outcome;
use crate::install::Client;
use crate::process::{Ended, run};

const PRELOAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/preload.mjs");
const CALL: Duration = Duration::from_secs(40);
/// It waits ten seconds after an upload, and tries for ever where it can't connect.
const SYNC: Duration = Duration::from_secs(90);

/// What it says when a sync is done. Its process may live on for as long as a minute: a timer of a
/// request that was answered long ago.
const SYNCED: &str = "Fully synced";

/// One installation of the official client, signed in.
#[derive(Debug)]
pub struct Official {
    client: Client,
    home: PathBuf,
    api: String,
}

impl Official {
    /// Signs in, with a home folder of its own.
    ///
    /// # Errors
    /// Where the client fails.
    pub async fn sign_in(
        client: Client,
        home: PathBuf,
        api: String,
        (email, password): (&str, &str),
    ) -> Outcome<Self> {
        std::fs::create_dir_all(&home)?;
        let new = Self { client, home, api };
        new.call(CALL, &["login", "--email", email, "--password", password])
            .await?;
        Ok(new)
    }

    /// Makes a vault: end-to-end with a password, else managed. It is always of version 3.
    ///
    /// # Errors
    /// Where the client fails.
    pub async fn create(&self, name: &str, password: Option<&str>) -> Outcome<()> {
        let encryption = if password.is_some() {
            "end-to-end"
        } else {
            "standard"
        };
        let mut args = vec![
            "sync-create-remote",
            "--name",
            name,
            "--encryption",
            encryption,
        ];
        args.extend(
            password
                .iter()
                .flat_map(|password| ["--password", password]),
        );
        self.call(CALL, &args).await?;
        Ok(())
    }

    /// Links a folder to a vault and turns on all that can be synced.
    ///
    /// # Errors
    /// Where the client fails.
    pub async fn link(&self, vault: &str, password: Option<&str>, folder: &Path) -> Outcome<()> {
        let folder = text(folder)?;
        let mut args = vec!["sync-setup", "--vault", vault, "--path", folder];
        args.extend(["--device-name", "official"]);
        args.extend(
            password
                .iter()
                .flat_map(|password| ["--password", password]),
        );
        self.call(CALL, &args).await?;
        let types = FileType::ALL.map(FileType::name).join(",");
        let configs = ConfigGroup::ALL.map(ConfigGroup::name).join(",");
        let args = [
            "sync-config",
            "--path",
            folder,
            "--file-types",
            &types,
            "--configs",
            &configs,
        ];
        self.call(CALL, &args).await?;
        Ok(())
    }

    /// Syncs once, in both directions.
    ///
    /// # Errors
    /// Where the client fails, or does not say that it is done.
    pub async fn sync(&self, folder: &Path) -> Outcome<()> {
        self.sync_within(SYNC, folder).await.map(drop)
    }

    /// Syncs once, in both directions, with this much time; says what the process took, and when it
    /// was done.
    ///
    /// # Errors
    /// Where the client fails, or does not say that it is done.
    pub async fn sync_within(&self, limit: Duration, folder: &Path) -> Outcome<Ended> {
        let ended = self.call(limit, &["sync", "--path", text(folder)?]).await?;
        match ended.said {
            Some(_) => Ok(ended),
            None => {
                let output = ended.output;
                Err(format!("the official client did not finish its sync:\n{output}").into())
            }
        }
    }

    async fn call(&self, limit: Duration, args: &[&str]) -> Outcome<Ended> {
        let mut command = Command::new(&self.client.node);
        command
            .arg("--import")
            .arg(PRELOAD)
            .arg(&self.client.cli)
            .args(args);
        // Settings of whoever runs the test have no part in it.
        command.env_clear().env("PATH", "/usr/bin:/bin");
        command
            .env("HOME", &self.home)
            .env("OBSYNC_INTEROP_API", &self.api);
        run(
            &format!("the official client's {}", args[0]),
            &mut command,
            limit,
            Some(SYNCED),
        )
        .await
    }
}

fn text(folder: &Path) -> Outcome<&str> {
    folder
        .to_str()
        .ok_or_else(|| "the temporary folder's name is not UTF-8".into())
}
