//! `obsync`: the command line. Arguments in, one call, words or JSON out.

mod args;
mod aws;
#[cfg(feature = "aws-profiles")]
mod aws_chain;
mod bug;
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

use crate::args::{Cli, ProgressStyle};
use crate::exit::{Exit, Failure};
use crate::output::Printer;
use crate::screen::Screen;

fn main() -> ExitCode {
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error).into(),
    };
    let printer = Printer {
        command: cli.name(),
        json: cli.global.json,
        quiet: cli.global.quiet,
        json_lines: cli.global.progress == ProgressStyle::Json,
        screen: Screen::default(),
    };
    bug::tell(&printer);
    cli.resolve(&context::environment());
    let result = bug::guard(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| {
                Failure::new(Exit::Failed, "runtime", format!("can't start: {error}"))
            })?;
        let result = runtime.block_on(commands::run(&cli, &printer));
        // A thread that hangs in a system call must not keep the process.
        runtime.shutdown_background();
        result
    });
    printer.finish(result).into()
}

/// Help, version, or wrong usage, which is told in both forms.
fn refuse(error: &clap::Error) -> Exit {
    let told = match error.print() {
        // Help and version are data.
        Err(told) if !error.use_stderr() => output::written(Err(told)),
        _ => Ok(()),
    };
    let exit = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::Usage,
    };
    let json =
        |arg: &std::ffi::OsStr| arg == "--json" || arg.as_encoded_bytes().starts_with(b"--json=");
    let told = match exit {
        Exit::Usage if std::env::args_os().any(|arg| json(&arg)) => {
            told.and(output::usage_document(&message(error)))
        }
        _ => told,
    };
    match told {
        Err(failure) if exit == Exit::Done => {
            let screen = Screen::default();
            screen.write(&format!("error: {}\n", failure.message));
            failure.exit
        }
        _ => exit,
    }
}

/// What is wrong with a command line, without the usage, which is for people.
fn message(error: &clap::Error) -> String {
    if let ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =
        error.kind()
    {
        return "a command is missing".to_owned();
    }
    let text = error.to_string();
    // What follows the first blank line is the usage.
    let told = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = told.split_whitespace().skip(1).collect();
    words.join(" ")
}
