//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use obsync_devserver::Fault;

/// A local Obsidian Sync service: a test double.
///
/// It speaks the real protocol with real encryption on a port of this machine. It is there for
/// obsync's tests and benches, and for people who want to try obsync without an account.
///
/// It is not for real notes: it stores passwords as they are, trusts everybody on this machine, and
/// misbehaves on request.
#[derive(Parser)]
#[command(name = "obsync-devserver", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve until Ctrl-C or SIGTERM
    ///
    /// Once it listens, it prints one line of JSON to stdout: the URL for OBSIDIAN_API_URL, the
    /// accounts and the vaults. A test double, with which you may also try obsync without an
    /// account; not for real notes.
    Serve(Serve),
}

/// What to serve, and how.
#[derive(Args)]
pub(crate) struct Serve {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Write the URL to this file as soon as it listens
    #[arg(long, value_name = "FILE")]
    pub(crate) url_file: Option<PathBuf>,
    /// Keep everything in this folder; without it all is gone at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Add an account, made up for this; the first one owns the vaults
    #[arg(
        long,
        value_name = "EMAIL:PASSWORD[:TOTP-SECRET]",
        default_value = "demo@example.com:demo"
    )]
    pub(crate) account: Vec<Account>,
    /// Add a vault with the files of a directory, unless the data folder has one of this name
    #[arg(long, value_name = "NAME=DIR")]
    pub(crate) vault: Vec<Seed>,
    /// Add a vault with the built-in sample notes
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "Garden")]
    pub(crate) sample: Option<String>,
    /// How new vaults are encrypted: by a password of the user's (version 3, 2 or 0), or managed
    #[arg(long, value_enum, default_value_t = Encryption::V3)]
    pub(crate) encryption: Encryption,
    /// End-to-end password of new vaults
    #[arg(long, value_name = "PASSWORD", default_value = "demo vault")]
    pub(crate) vault_password: String,
    /// Simulated round trip
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) latency_ms: u64,
    /// Let something go wrong: POINT:ACTION[=VALUE][,LIMIT=N]..., such as pull:flip,times=2
    #[arg(long, value_name = "FAULT")]
    pub(crate) fault: Vec<Fault>,
    /// Largest file taken, encrypted
    #[arg(long, value_name = "BYTES")]
    pub(crate) per_file_max: Option<u64>,
    /// Do not insist on the order of sign-in and the form of User-Agent
    #[arg(long)]
    pub(crate) lenient: bool,
    /// Log each connection's end to stderr
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encryption {
    #[value(name = "0")]
    V0,
    #[value(name = "2")]
    V2,
    #[value(name = "3")]
    V3,
    Managed,
}

#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) totp: Option<String>,
}

impl std::str::FromStr for Account {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(email), Some(password), totp) if email.contains('@') && !password.is_empty() => {
                Ok(Self {
                    email,
                    password,
                    totp,
                })
            }
            _ => Err("expected EMAIL:PASSWORD or EMAIL:PASSWORD:TOTP-SECRET".to_owned()),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Seed {
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
}

impl std::str::FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, directory) = text.split_once('=').ok_or("expected NAME=DIR")?;
        Ok(Self {
            name: name.to_owned(),
            directory: directory.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_says_what_this_is() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        let help = command.render_long_help().to_string();
        assert!(
            help.contains("test double") && help.contains("not for real notes"),
            "{help}"
        );
    }

    #[test]
    fn accounts_and_vaults_are_read() {
        let account: Account = "a@b.c:pw:GEZD".parse().unwrap();
        assert_eq!(
            (account.password.as_str(), account.totp.as_deref()),
            ("pw", Some("GEZD"))
        );
        assert!("a@b.c".parse::<Account>().is_err());
        let seed: Seed = "My notes=/tmp/x=y".parse().unwrap();
        assert_eq!(
            (seed.name.as_str(), seed.directory.as_path()),
            ("My notes", Path::new("/tmp/x=y"))
        );
    }
}
