//! One file per command: arguments in, one call, an [`Answer`] out.

mod config;
mod doctor;
mod generate;
mod login;
mod reset;
mod status;
mod sync;
mod totp;
mod vaults;
mod verify;

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::exit::Failure;
use crate::output::{Answer, Printer};

/// Runs the command of a command line.
pub(crate) async fn run(cli: &Cli, printer: &Printer) -> Result<Answer, Failure> {
    // These must work whatever the settings say.
    match &cli.command {
        Command::Config(which) => return config::run(which, cli, printer),
        Command::Completions { shell } => return Ok(generate::completions(*shell)),
        Command::Man => return generate::man(),
        Command::Doctor(args) => return Ok(doctor::run(args, cli, printer).await),
        _ => {}
    }
    let context = Context::new(cli, printer)?;
    match &cli.command {
        Command::Login(args) => login::login(&context, args).await,
        Command::Logout(args) => login::logout(&context, args).await,
        Command::Whoami => login::whoami(&context).await,
        Command::Totp(args) => totp::run(&context, args).await,
        Command::Vaults => vaults::run(&context).await,
        Command::Sync(args) => sync::run(&context, args, &cli.global).await,
        Command::Status(args) => status::run(&context, args).await,
        Command::Reset(args) => reset::run(&context, args).await,
        Command::Verify(args) => verify::run(&context, args, &cli.global).await,
        Command::Config(_) | Command::Completions { .. } | Command::Man | Command::Doctor(_) => {
            unreachable!("answered above")
        }
    }
}
