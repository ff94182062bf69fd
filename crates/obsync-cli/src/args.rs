//! The command line's grammar. Values that are also settings stay text here: `obsync-config` reads
//! them by the rules that hold for all layers.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use obsidian_sync::Password;
use obsync_config::{Environment, Flags, PasswordFlag};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXIT_STATUSES: &str = "\
Exit status: 0 done; 1 failed; 2 wrong usage; 3 authentication or password missing or wrong;
4 partly done, run again; 5 another run holds the lock; 6 a guard stopped the run.";

/// Keep copies of Obsidian Sync vaults as plain files
#[derive(Debug, Parser)]
#[command(name = "obsync", version, styles = STYLES, after_help = EXIT_STATUSES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Config file [default: $XDG_CONFIG_HOME/obsync/config.json]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Print exactly one JSON document on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Progress on standard error; auto: bars on a terminal, plain lines elsewhere
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        default_value = "auto",
        hide_default_value = true
    )]
    pub(crate) progress: ProgressStyle,
    /// Say less: warnings and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more; twice for everything
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Log lines as text or json
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
}

/// How progress is shown.
// No help for each value: it would stretch every page of help to its long form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressStyle {
    Auto,
    Bar,
    Plain,
    Json,
    None,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign in and keep the token
    Login(Login),
    /// Sign out: revoke the token everywhere it is used, and delete it here
    Logout(Logout),
    /// Show who is signed in
    Whoami,
    /// Show the current two-factor code, from the secret in the settings
    Totp(Totp),
    /// List the account's vaults
    Vaults,
    /// Bring a vault's changes to a folder or a bucket
    Sync(Box<Sync>),
    /// Show where things stand, without asking the service for changes
    Status(Status),
    /// Forget the sync state of a vault, so that the next sync compares everything; files stay
    Reset(Reset),
    /// Compare a copy with the vault, file by file; change nothing unless told to
    Verify(Box<Verify>),
    /// Look for what is wrong with settings, network, account, vault and destination
    Doctor(Doctor),
    /// Show settings and where they come from
    #[command(subcommand)]
    Config(Config),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct Login {
    /// E-mail address of the account; asked for if it is given nowhere
    #[arg(long, value_name = "ADDRESS", value_hint = ValueHint::EmailAddress)]
    pub(crate) email: Option<String>,
    #[command(flatten)]
    pub(crate) password: AccountPassword,
}

/// Where the account's password comes from.
#[derive(Debug, Args)]
pub(crate) struct AccountPassword {
    /// File with the account's password; '-' for standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// Only delete the token here; it stays valid elsewhere
    #[arg(long)]
    pub(crate) local: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Totp {
    /// Go on with each next code until stopped
    #[arg(long)]
    pub(crate) watch: bool,
}

/// Which vault, where, and its password.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The vault: its id, or its name if no other has it
    pub(crate) vault: String,
    /// Where the vault's files go: a folder, or s3://bucket/prefix
    #[arg(long, value_name = "DEST", value_hint = ValueHint::DirPath,
        value_parser = OsStringValueParser::new().try_map(destination))]
    pub(crate) dest: PathBuf,
    /// To S3 as the environment's S3_* say; the last part of --dest names the folder there
    #[arg(long)]
    pub(crate) s3: bool,
    /// File with the vault's encryption password; '-' for standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) password_file: Option<PathBuf>,
    /// The vault's encryption password, for all to see: prefer --password-file
    #[arg(
        long, value_name = "PASSWORD", conflicts_with = "password_file", value_parser = password
    )]
    pub(crate) password: Option<Password>,
}

/// What of the vault.
#[derive(Debug, Args)]
#[command(next_help_heading = "What to sync")]
pub(crate) struct Selection {
    /// Only files that match; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// No file or folder that matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Not this folder, nor what is in it; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) exclude_folder: Vec<String>,
    /// Attachments besides notes: image,audio,video,pdf,unsupported, or none [default: all]
    #[arg(long, value_name = "GROUPS")]
    pub(crate) file_types: Option<String>,
    /// Groups of the vault's own configuration, such as app,hotkey, or none [default: all]
    #[arg(long, value_name = "GROUPS")]
    pub(crate) configs: Option<String>,
}

/// How a run goes about it.
#[derive(Debug, Args)]
pub(crate) struct Rules {
    /// pull keeps local edits and extra files; mirror makes the folder the vault [default: pull]
    #[arg(long, value_name = "MODE")]
    pub(crate) mode: Option<String>,
    /// Keep nothing of what mirror removes or replaces
    #[arg(long)]
    pub(crate) no_trash: bool,
    /// Stop before deleting more files than this, a number or a percentage [default: 50%]
    #[arg(long, value_name = "N|P%")]
    pub(crate) max_delete: Option<String>,
    /// Download connections, 1 to 16 [default: 4]
    #[arg(long, value_name = "N")]
    pub(crate) connections: Option<String>,
    /// Name under which this device appears [default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Sync {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Compare with the whole vault, not only with what changed
    #[arg(long)]
    pub(crate) full: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) rules: Rules,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Bring what is missing or different, by the rules of a sync, then compare again
    #[arg(long)]
    pub(crate) repair: bool,
    /// Read every byte also in S3, whatever its checksums say
    #[arg(long)]
    pub(crate) read_data: bool,
    #[command(flatten)]
    pub(crate) rules: Rules,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The vault to look at, too: its id, or its name if no other has it
    pub(crate) vault: Option<String>,
    /// The destination to look at, too: a folder, or s3://bucket/prefix
    #[arg(long, value_name = "DEST", value_hint = ValueHint::DirPath,
        value_parser = OsStringValueParser::new().try_map(destination))]
    pub(crate) dest: Option<PathBuf>,
    /// As with 'sync'
    #[arg(long, requires = "dest")]
    pub(crate) s3: bool,
    /// File with the vault's encryption password; '-' for standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "vault")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Only this vault: its id, or its name as it was last seen
    pub(crate) vault: Option<String>,
    /// Only what was synced there; needed for S3, whose state is in the bucket
    #[arg(long, value_name = "DEST", value_hint = ValueHint::DirPath, requires = "vault",
        value_parser = OsStringValueParser::new().try_map(destination))]
    pub(crate) dest: Option<PathBuf>,
    /// As with 'sync'
    #[arg(long, requires = "dest")]
    pub(crate) s3: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Reset {
    /// The vault: its id, or its name as it was last seen
    pub(crate) vault: String,
    /// Only the state for this destination [default: for every folder, and none in S3]
    #[arg(long, value_name = "DEST", value_hint = ValueHint::DirPath,
        value_parser = OsStringValueParser::new().try_map(destination))]
    pub(crate) dest: Option<PathBuf>,
    /// As with 'sync'
    #[arg(long, requires = "dest")]
    pub(crate) s3: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show each setting and where it comes from; secrets are only said to be set
    Show,
    /// Print a config file with every key
    Example,
    /// Print the config file's path
    Path,
}

impl Cli {
    /// Resolves `~/` in paths: no shell does so in `--dest=~/notes`.
    pub(crate) fn resolve(&mut self, environment: &Environment) {
        let mut paths = vec![&mut self.global.config];
        let mut dest = None;
        match &mut self.command {
            Command::Login(login) => paths.push(&mut login.password.password_file),
            Command::Sync(sync) => {
                paths.push(&mut sync.target.password_file);
                dest = Some(&mut sync.target.dest);
            }
            Command::Verify(verify) => {
                paths.push(&mut verify.target.password_file);
                dest = Some(&mut verify.target.dest);
            }
            Command::Doctor(doctor) => {
                paths.extend([&mut doctor.dest, &mut doctor.password_file]);
            }
            Command::Status(status) => paths.push(&mut status.dest),
            Command::Reset(reset) => paths.push(&mut reset.dest),
            _ => {}
        }
        for path in paths.into_iter().flatten().chain(dest) {
            *path = environment.at_home(&*path);
        }
    }

    /// What the command line says of settings.
    pub(crate) fn flags(&self) -> Flags {
        let mut flags = Flags {
            config: self.global.config.clone(),
            log_level: self.global.log_level().map(str::to_owned),
            log_format: self.global.log_format.clone(),
            ..Flags::default()
        };
        match &self.command {
            Command::Login(login) => flags.email.clone_from(&login.email),
            Command::Sync(sync) => {
                sync.selection.set(&mut flags);
                sync.rules.set(&mut flags);
            }
            Command::Verify(verify) => {
                verify.selection.set(&mut flags);
                verify.rules.set(&mut flags);
            }
            _ => {}
        }
        flags
    }

    /// The command's name, as JSON documents have it.
    pub(crate) fn name(&self) -> &'static str {
        match &self.command {
            Command::Login(_) => "login",
            Command::Logout(_) => "logout",
            Command::Whoami => "whoami",
            Command::Totp(_) => "totp",
            Command::Vaults => "vaults",
            Command::Sync(_) => "sync",
            Command::Status(_) => "status",
            Command::Reset(_) => "reset",
            Command::Verify(_) => "verify",
            Command::Doctor(_) => "doctor",
            Command::Config(Config::Show) => "config show",
            Command::Config(Config::Example) => "config example",
            Command::Config(Config::Path) => "config path",
            Command::Completions { .. } => "completions",
            Command::Man => "man",
        }
    }
}

impl Global {
    fn log_level(&self) -> Option<&'static str> {
        match (self.quiet, self.verbose) {
            (true, _) => Some("warn"),
            (false, 0) => None,
            (false, 1) => Some("debug"),
            (false, _) => Some("trace"),
        }
    }
}

impl Selection {
    fn set(&self, flags: &mut Flags) {
        flags.include.clone_from(&self.include);
        flags.exclude.clone_from(&self.exclude);
        flags.exclude_folders.clone_from(&self.exclude_folder);
        flags.file_types.clone_from(&self.file_types);
        flags.configs.clone_from(&self.configs);
    }
}

impl Rules {
    fn set(&self, flags: &mut Flags) {
        flags.mode.clone_from(&self.mode);
        flags.no_trash = self.no_trash;
        flags.max_delete.clone_from(&self.max_delete);
        flags.connections.clone_from(&self.connections);
        flags.device.clone_from(&self.device);
    }
}

impl Target {
    /// The password that the command line gives.
    pub(crate) fn password(&self) -> Option<PasswordFlag> {
        PasswordFlag::from_flags(self.password_file.clone(), self.password.clone())
    }
}

/// A destination as it was written. One that is nearly in S3 would become a folder of an odd name.
fn destination(text: OsString) -> Result<PathBuf, &'static str> {
    let bytes = text.as_encoded_bytes();
    let s3 = bytes
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"s3:"));
    if s3 && !bytes.starts_with(b"s3://") {
        return Err(
            "a place in S3 is s3://bucket/prefix; for a folder of this name, begin with ./",
        );
    }
    Ok(text.into())
}

/// A secret that does not print from here on.
fn password(text: &str) -> Result<Password, std::convert::Infallible> {
    Ok(Password::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_grammar_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_destination_that_is_nearly_in_s3_is_none() {
        for (text, good) in [
            ("s3://bucket/notes", true),
            ("./s3:/bucket", true),
            ("s3", true),
            ("s3:/bucket/notes", false),
            ("s3:bucket", false),
            ("S3://bucket/notes", false),
        ] {
            assert_eq!(destination(text.into()).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_path_below_home_needs_no_shell() {
        let environment = [("HOME", "/home/me")].into_iter().collect();
        let resolved = |line: &str| {
            let mut cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
            cli.resolve(&environment);
            format!("{:?}", cli.command)
        };
        for line in [
            "obsync sync v --dest=~/x --password-file=~/y",
            "obsync verify v --dest=~/x --password-file=~/y",
            "obsync doctor v --dest=~/x --password-file=~/y",
            "obsync status v --dest=~/x",
            "obsync reset v --dest=~/x",
            "obsync login --password-file=~/x",
        ] {
            let told = resolved(line);
            assert!(told.contains("/home/me/x") && !told.contains('~'), "{told}");
        }
        let told = resolved("obsync sync v --dest a/~/b --password-file -");
        assert!(
            told.contains("\"a/~/b\"") && told.contains("\"-\""),
            "{told}"
        );
    }

    #[test]
    fn each_flag_that_is_a_setting_arrives_as_one() {
        let line = "obsync sync v --dest d --mode mirror --include a --exclude b \
                    --exclude-folder c --file-types d --configs e --max-delete f --connections g \
                    --device h --no-trash --config i --log-format j -v";
        let flags = Cli::try_parse_from(line.split_whitespace())
            .unwrap()
            .flags();
        let expected = Flags {
            config: Some("i".into()),
            email: None,
            device: Some("h".into()),
            mode: Some("mirror".into()),
            include: vec!["a".into()],
            exclude: vec!["b".into()],
            exclude_folders: vec!["c".into()],
            file_types: Some("d".into()),
            configs: Some("e".into()),
            max_delete: Some("f".into()),
            connections: Some("g".into()),
            no_trash: true,
            log_level: Some("debug".into()),
            log_format: Some("j".into()),
        };
        assert_eq!(format!("{flags:?}"), format!("{expected:?}"));
    }
}
