//! `obsync-devserver`: the local Obsidian Sync service as a program.

mod arguments;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use obsidian_sync::{EncryptionVersion, VaultId};
use obsync_devserver::{Error, Service, VaultSpec};
use serde_json::{Value, json};

use crate::arguments::{Account, Cli, Command, Encryption, Seed, Serve};

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Serve(arguments) = Cli::parse().command;
    let level = if arguments.verbose {
        tracing::Level::DEBUG
    } else {
        tracing::Level::WARN
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .init();
    match serve(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: &Serve) -> Result<(), Error> {
    let mut builder = Service::builder()
        .latency(Duration::from_millis(arguments.latency_ms))
        .strict(!arguments.lenient);
    if let Some(data) = &arguments.data {
        builder = builder.data(data);
    }
    if let Some(bytes) = arguments.per_file_max {
        builder = builder.per_file_max(bytes);
    }
    let service = builder.build()?;
    let vaults = fill(&service, arguments)?;
    for fault in &arguments.fault {
        service.faults().set(fault.clone())?;
    }
    // Before anybody is told the URL: a script may stop us at once.
    let stop = stop_signal()?;
    let server = service.start(arguments.port).await?;
    let accounts: Vec<_> = arguments
        .account
        .iter()
        .map(
            |Account {
                 email,
                 password,
                 totp,
             }| { json!({"email": email, "password": password, "totp_secret": totp}) },
        )
        .collect();
    let ready = json!({"url": server.url(), "accounts": accounts, "vaults": vaults});
    let mut stdout = std::io::stdout();
    // Whoever started us may not care.
    let _ = writeln!(stdout, "{ready}").and_then(|()| stdout.flush());
    if let Some(file) = &arguments.url_file {
        write_whole(file, &server.url())?;
    }
    stop.await;
    server.shutdown().await;
    Ok(())
}

/// Adds the accounts and vaults that are not there yet; returns what there is to know of the vaults.
fn fill(service: &Service, arguments: &Serve) -> Result<Vec<Value>, Error> {
    for Account {
        email,
        password,
        totp,
    } in &arguments.account
    {
        match service.add_account(email, password, totp.as_deref()) {
            // From an earlier run with the same data folder.
            Err(Error::AccountExists(_)) => {}
            other => other?,
        }
    }
    let mut vaults = Vec::new();
    for Seed { name, directory } in &arguments.vault {
        vaults.push(vault(service, arguments, name, |id| {
            service.seed(id, directory).map(|_| ())
        })?);
    }
    if let Some(name) = &arguments.sample {
        vaults.push(vault(service, arguments, name, |id| {
            service.seed_sample(id).map(|_| ())
        })?);
    }
    Ok(vaults)
}

fn vault(
    service: &Service,
    arguments: &Serve,
    name: &str,
    seed: impl FnOnce(&VaultId) -> Result<(), Error>,
) -> Result<Value, Error> {
    let password = &arguments.vault_password;
    let Some(owner) = arguments
        .account
        .first()
        .map(|account| account.email.as_str())
    else {
        return Err(Error::Invalid(
            "a vault needs an account: give --account".to_owned(),
        ));
    };
    let spec = VaultSpec::encrypted(name, owner, password);
    let spec = match arguments.encryption {
        Encryption::V0 => spec.version(EncryptionVersion::V0),
        Encryption::V2 => spec.version(EncryptionVersion::V2),
        Encryption::V3 => spec,
        Encryption::Managed => VaultSpec::managed(name, owner),
    };
    let managed = arguments.encryption == Encryption::Managed;
    let id = match service.vaults_named(name).pop() {
        Some(id) => id,
        None => {
            let id = service.add_vault(spec)?;
            seed(&id)?;
            id
        }
    };
    Ok(json!({"id": id, "name": name, "password": (!managed).then_some(password)}))
}

fn stop_signal() -> Result<impl Future<Output = ()>, Error> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let listen =
            |kind| signal(kind).map_err(|source| Error::Invalid(format!("no signals: {source}")));
        let mut terminate = listen(SignalKind::terminate())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// A script that waits for the file finds it whole.
fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::Io {
        what: "write",
        path: path.to_owned(),
        source,
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    std::fs::write(&temporary, text).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}
