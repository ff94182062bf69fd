//! The measured side: a process of its own that takes one job on its standard input and prints
//! one line of JSON.

mod copy;
mod pull;
mod sync;
mod usage;

use std::process::{ExitCode, Stdio};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::Result;
pub(crate) use copy::{Copied, CopyJob};
pub(crate) use pull::PullJob;
pub(crate) use sync::{SyncJob, Synced};

/// The argument that makes this program the child.
pub(crate) const NAME: &str = "child";

/// What a child is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// One run of the engine.
    Sync(SyncJob),
    /// What the transfer of one large file is compared with.
    Copy(CopyJob),
    /// What the transfer of many small files is compared with.
    Pull(PullJob),
}

/// Runs a job in a child and returns what it says.
pub(crate) async fn run<T: DeserializeOwned>(job: &Job) -> Result<T> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(NAME)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = child.stdin.take().ok_or("the child takes no job")?;
    input.write_all(&serde_json::to_vec(job)?).await?;
    drop(input);
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        return Err(format!("the measured process failed: {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The child's own main.
pub(crate) async fn main() -> Result<ExitCode> {
    let job = serde_json::from_reader(std::io::stdin().lock())?;
    let mut output = std::io::stdout();
    match job {
        Job::Sync(job) => serde_json::to_writer(&mut output, &sync::run(job).await?)?,
        Job::Copy(job) => serde_json::to_writer(&mut output, &copy::run(job).await?)?,
        Job::Pull(job) => serde_json::to_writer(&mut output, &pull::run(job).await?)?,
    }
    Ok(ExitCode::SUCCESS)
}
