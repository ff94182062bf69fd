//! `obsync`: the command line. Arguments in, one call, words or JSON out.

mod args;
mod aws;
#[cfg(feature = "aws-profiles")]
mod aws_chain;
mod commands;
mod context;
mod exit;
mod home;
mod local_states;
mod logging;
mod options;
mod output;
mod progress;
mod prompt;
mod run;
mod screen;
mod signals;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::args::Cli;
use crate::exit::{Exit, Failure};
use crate::output::Printer;
use crate::screen::Screen;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let printer = Printer {
        command: cli.name(),
        json: cli.global.json,
        quiet: cli.global.quiet,
        screen: Screen::default(),
    };
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, "runtime", format!("can't start: {error}")))
        .and_then(|runtime| {
            let result = runtime.block_on(commands::run(&cli, &printer));
            // A thread that hangs in a system call must not keep the process.
            runtime.shutdown_background();
            result
        });
    printer.finish(result).into()
}

/// Help, version, or wrong usage, which is told in both forms.
fn refuse(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done.into(),
        _ => {
            if std::env::args_os().any(|arg| arg == "--json") {
                let text = error.to_string();
                // What follows the first blank line is the usage, for people.
                let told = text.split("\n\n").next().unwrap_or_default();
                let words: Vec<&str> = told.split_whitespace().skip(1).collect();
                output::usage_document(&words.join(" "));
            }
            Exit::Usage.into()
        }
    }
}
