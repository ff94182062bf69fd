//! `lambda-local`: the function on this machine, for a person.

#![allow(clippy::unwrap_used)]

mod arguments;
mod sandbox;
mod serve;
mod show;

use std::process::ExitCode;

use clap::Parser as _;
use obsync_devserver::DevServer;
use obsync_doubles::s3::Double;
use obsync_lambda_local::{Bucket, SAMPLE, Stage, event, unpack};

use crate::arguments::Arguments;
use crate::sandbox::Sandbox;
use crate::show::{Verdict, say};

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<Verdict, String> {
    let names = match &arguments.events[..] {
        [] => ["sync_vault", "sync_vault", "status"]
            .map(str::to_owned)
            .to_vec(),
        names => names.to_vec(),
    };
    // Before anything starts: a mistyped name is told at once.
    let events = names
        .into_iter()
        .map(|name| event(&name).map(|event| (name, event)));
    let events: Vec<_> = events.collect::<Result<_, _>>()?;
    let (bootstrap, _unpacked) = match &arguments.bootstrap {
        Some(path) => {
            let path = path.canonicalize();
            let path = path.map_err(|error| format!("--bootstrap: {error}"))?;
            (path, None)
        }
        None => {
            let folder = unpack(&arguments.zip).map_err(|error| {
                format!("{error}\nhint: `make lambda-local` builds one, `make build-lambda` the one to deploy")
            })?;
            (folder.path().join("bootstrap"), Some(folder))
        }
    };

    let stage = stage(arguments).await?;
    let mut sandbox = Sandbox::new(&stage, bootstrap, arguments);
    sandbox.introduce();
    if arguments.serve {
        let served = serve::until_interrupted(&mut sandbox, arguments.port).await;
        sandbox.end().await;
        served?;
        return Ok(Verdict::Well);
    }
    let mut verdict = Verdict::Well;
    for (name, event) in events {
        say(&format!("\n── {name}"));
        let outcome = sandbox.invoke(event).await;
        verdict = verdict.max(Verdict::of(&outcome));
    }
    sandbox.end().await;
    say(match verdict {
        Verdict::Well => "\nAll went well.",
        Verdict::Partly => "\nSomething was only partly done: send the event again.",
        Verdict::Badly => "\nNot all went well.",
    });
    Ok(verdict)
}

async fn stage(arguments: &Arguments) -> Result<Stage, String> {
    let bucket = match (&arguments.endpoint, &arguments.bucket) {
        (Some(url), Some(name)) => Bucket::Elsewhere {
            url: url.clone(),
            name: name.clone(),
        },
        _ => Bucket::Double(Double::start().await),
    };
    let stage = Stage::with(DevServer::builder(), bucket).await;
    match &arguments.notes {
        None => {
            stage.samples();
        }
        Some(folder) => {
            let vault = stage.vault(SAMPLE);
            let seeded = stage.service.seed(&vault, folder);
            seeded.map_err(|error| error.to_string())?;
        }
    }
    Ok(stage)
}
