//! Kinds of failure → exit status, heading and hints. The one place that maps them.

use std::error::Error as StdError;
use std::process::ExitCode;

use obsidian_sync::Kind;
use obsync_config::vaults::VaultChoiceError;
use obsync_config::{AccountError, ConfigError, ConfigErrorKind, OpenError};
use obsync_core::error::SyncError;
use obsync_core::guard::Tripped;
use obsync_core::{StoreError, StoreErrorKind};
use serde_json::{Map, Value, json};

/// The exit statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All is done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line, a setting or a file named there is wrong.
    Usage = 2,
    /// Authentication or a password is missing or wrong.
    Auth = 3,
    /// Partly done: run again.
    Partial = 4,
    /// Another run holds the lock.
    Locked = 5,
    /// A guard stopped the run before it did harm.
    Guard = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure as a person and a program see it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit status.
    pub(crate) exit: Exit,
    /// A stable word.
    pub(crate) kind: &'static str,
    /// What happened, to what.
    pub(crate) message: String,
    /// Why, outermost first.
    pub(crate) causes: Vec<String>,
    /// Ways out.
    pub(crate) hints: Vec<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            exit,
            kind,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Wrong usage.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    fn of(exit: Exit, kind: &'static str, error: &(dyn StdError + 'static)) -> Self {
        let mut failure = Self::new(exit, kind, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            source = cause.source();
            let text = cause.to_string();
            // Many an error repeats its cause in its own message.
            let told = std::iter::once(&failure.message).chain(&failure.causes);
            if !told.into_iter().any(|told| told.contains(&text)) {
                failure.causes.push(text);
            }
        }
        failure
    }

    fn hints(mut self, hints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.hints.extend(hints.into_iter().map(Into::into));
        self
    }

    /// What stands before the message.
    pub(crate) fn heading(&self) -> &'static str {
        match self.exit {
            Exit::Guard => "stopped",
            _ => "error",
        }
    }

    /// The "status" of a JSON document that has nothing else to tell.
    pub(crate) fn status(&self) -> Map<String, Value> {
        let status = match self.exit {
            // What was done before it was stopped is kept.
            Exit::Partial => "partial",
            _ => "failed",
        };
        Map::from_iter([("status".to_owned(), status.into())])
    }

    /// The "error" of a JSON document.
    pub(crate) fn json(&self) -> Value {
        let mut message = self.message.clone();
        for cause in &self.causes {
            message = format!("{message}: {cause}");
        }
        let mut error = json!({ "kind": self.kind, "message": message });
        if !self.hints.is_empty() {
            error["hint"] = self.hints.join("\n").into();
        }
        error
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let exit = match error.kind() {
            ConfigErrorKind::Invalid | ConfigErrorKind::Unreadable => Exit::Usage,
            ConfigErrorKind::Missing => Exit::Auth,
        };
        let hints = error.hints().to_vec();
        Self::of(exit, error.word(), &error).hints(hints)
    }
}

impl From<VaultChoiceError> for Failure {
    fn from(error: VaultChoiceError) -> Self {
        Self::of(Exit::Usage, error.word(), &error).hints(error.hints())
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        let exit = match error {
            AccountError::Service(error) => return error.into(),
            AccountError::Config(error) => return error.into(),
            AccountError::NotSignedIn { .. }
            | AccountError::TokenRefused { .. }
            | AccountError::WrongCredentials { .. }
            | AccountError::TwoFactorNeeded
            | AccountError::TwoFactorRefused { .. } => Exit::Auth,
            AccountError::Busy { .. } => Exit::Locked,
            _ => Exit::Failed,
        };
        let hints = error.hints();
        Self::of(exit, error.word(), &error).hints(hints)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Choice(error) => error.into(),
            OpenError::Config(error) => error.into(),
            OpenError::Account(error) => error.into(),
        }
    }
}

impl From<obsidian_sync::Error> for Failure {
    fn from(error: obsidian_sync::Error) -> Self {
        SyncError::Remote(error).into()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        SyncError::Store(error).into()
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        let (exit, hints): (Exit, &[&str]) = match &error {
            SyncError::Remote(error) => of_service(error.kind()),
            SyncError::Store(error) => of_store(error.kind),
            SyncError::Guard(tripped) => of_guard(tripped),
            SyncError::Filter(_) => (Exit::Usage, &[]),
            SyncError::Stopped => (Exit::Partial, &[]),
        };
        let mut failure = Self::of(exit, error.kind(), &error);
        let source = match &error {
            SyncError::Store(error) => error.source(),
            _ => None,
        };
        if source.is_some_and(|source| source.is::<std::io::Error>()) {
            // Its reason is in the message already, in plainer words.
            failure.causes.clear();
        }
        failure.hints(hints.iter().copied())
    }
}

fn of_service(kind: Kind) -> (Exit, &'static [&'static str]) {
    match kind {
        Kind::Unauthorized => (Exit::Auth, &["run 'obsync login'"]),
        Kind::WrongCredentials | Kind::TwoFactorRequired | Kind::TwoFactorRefused => {
            (Exit::Auth, &[])
        }
        Kind::WrongVaultPassword => (
            Exit::Auth,
            &[
                "this is about the vault's own encryption password, set when the vault was made; \
                 the account's password is another one",
            ],
        ),
        Kind::SubscriptionExpired => (
            Exit::Failed,
            &["renew the Obsidian Sync subscription; what was copied stays"],
        ),
        Kind::VaultNotFound => (
            Exit::Failed,
            &["'obsync vaults' lists the vaults that are there"],
        ),
        Kind::Overloaded => (
            Exit::Failed,
            &["the service sheds load; try again in an hour"],
        ),
        Kind::Edge | Kind::Network | Kind::Timeout => (
            Exit::Failed,
            &["is this machine online? is the service up? trying again later loses nothing"],
        ),
        Kind::UnsupportedEncryption => (Exit::Failed, &["a newer obsync may know it"]),
        Kind::InvalidInput => (Exit::Usage, &[]),
        _ => (Exit::Failed, &[]),
    }
}

fn of_store(kind: StoreErrorKind) -> (Exit, &'static [&'static str]) {
    match kind {
        StoreErrorKind::Busy => (Exit::Locked, &[]),
        StoreErrorKind::Full => (
            Exit::Failed,
            &["make room and run again: what has arrived stays, the rest follows"],
        ),
        _ => (Exit::Failed, &[]),
    }
}

fn of_guard(tripped: &Tripped) -> (Exit, &'static [&'static str]) {
    let hints: &[&str] = match tripped {
        Tripped::TooManyDeletions { .. } => &[
            "'obsync sync … --dry-run' shows what would go",
            "if that is meant, run once with a higher --max-delete, such as --max-delete 100%",
        ],
        Tripped::Emptied { .. } => &[
            "if it was emptied on purpose, 'obsync reset VAULT --dest DIR' forgets its state, and \
             the next sync brings everything again",
        ],
        Tripped::Swapped { .. } => &[
            "if it is meant to be the copy now, 'obsync reset VAULT --dest DIR' forgets its state, \
             and the next sync compares everything",
        ],
        Tripped::OtherVault { .. } => &["use a folder of its own for each vault"],
    };
    (Exit::Guard, hints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_statuses_are_those_that_were_promised() {
        let service = |kind| Failure::from(obsidian_sync::Error::new(kind, "x")).exit as u8;
        let store = |kind| Failure::from(StoreError::new(kind, "x")).exit as u8;
        assert_eq!(service(Kind::Network), 1);
        assert_eq!(service(Kind::SubscriptionExpired), 1);
        assert_eq!(service(Kind::InvalidInput), 2);
        assert_eq!(service(Kind::WrongVaultPassword), 3);
        assert_eq!(service(Kind::Unauthorized), 3);
        assert_eq!(Failure::from(SyncError::Stopped).exit as u8, 4);
        assert_eq!(store(StoreErrorKind::Busy), 5);
        assert_eq!(store(StoreErrorKind::Full), 1);
        let emptied = Tripped::Emptied {
            location: "/x".into(),
            files: 3,
        };
        assert_eq!(Failure::from(SyncError::from(emptied)).exit as u8, 6);
    }

    #[test]
    fn causes_are_told_once() {
        let cause = std::io::Error::other("connection refused");
        let error = obsidian_sync::Error::new(Kind::Network, "can't connect").with_source(cause);
        let failure = Failure::from(error);
        assert_eq!(failure.causes, ["connection refused"]);
        assert_eq!(
            failure.json()["message"],
            "can't connect: connection refused"
        );
        assert_eq!(failure.json()["kind"], "network");

        let cause = std::io::Error::from_raw_os_error(20);
        let error = StoreError::new(StoreErrorKind::InTheWay, "a file stands in the way");
        assert_eq!(Failure::from(error.with_source(cause)).causes, [""; 0]);

        let cause = std::io::Error::other("refused");
        let error = obsidian_sync::Error::new(Kind::Network, "was refused").with_source(cause);
        assert_eq!(Failure::from(error).causes, [""; 0]);
    }
}
