//! `doctor`: what is wrong, and what to do about it. Looks from the inside out: settings, state
//! folder, network, account, vault, destination. Signs nobody in, and leaves everything as it was.

mod bucket;
mod checks;
mod folder;
mod service;
mod setup;

use std::time::Duration;

use crate::args::{Cli, Doctor};
use crate::output::{Answer, Printer};
use checks::Checks;

/// How long each step may take that asks somebody else.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(args: &Doctor, cli: &Cli, printer: &Printer) -> Answer {
    let mut checks = Checks::default();
    let Some(context) = setup::settings(&mut checks, cli, printer) else {
        let why = "the settings can't be read";
        for name in ["settings", "state_folder"] {
            checks.skip(name, why);
        }
        checks.skip_all(&service::names(args), why);
        if args.dest.is_some() {
            checks.skip("destination", why);
        }
        return checks.answer();
    };
    setup::state_folder(&mut checks, &context);
    let vault = service::check(&mut checks, &context, args).await;
    match &args.dest {
        Some(dest) => {
            let site = setup::site(&mut checks, &context, dest, args.s3).await;
            let about = folder::Looked {
                context: &context,
                wanted: args.vault.as_deref(),
                vault: vault.as_ref(),
            };
            match site {
                Some(setup::At::Folder(dest)) => about.folder(&mut checks, &dest).await,
                Some(setup::At::Bucket(bucket)) => {
                    bucket::check(&mut checks, &bucket, vault.as_ref()).await;
                }
                None => {}
            }
        }
        None => folder::states(&mut checks, &context, args.vault.as_deref()).await,
    }
    checks.answer()
}
