//! What can go wrong, by what the caller does next.
//!
//! Rules: every public call of this crate returns [`Error`]. Its [`Kind`] says what happened in
//! terms of what to do; [`Error::retry_kind`] says whether the same call may pass on another try.
//! Messages never hold a secret or a decrypted name.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// A failure of a protocol call.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    retry_after: Option<Duration>,
    status: Option<u16>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A failure, named by what the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The token was refused: sign in again.
    Unauthorized,
    /// The e-mail address or the account password is wrong.
    WrongCredentials,
    /// The account wants a two-factor code.
    TwoFactorRequired,
    /// The two-factor code was refused: wrong secret, or a clock that is off.
    TwoFactorRefused,
    /// The vault's encryption password is wrong.
    WrongVaultPassword,
    /// The Obsidian Sync subscription has expired. Final.
    SubscriptionExpired,
    /// The vault is gone, or not this account's. Final.
    VaultNotFound,
    /// The service sheds load ("Server overloaded", 429). Come back much later.
    Overloaded,
    /// The edge in front of the service answered (HTML, 502, 504 …) instead of the service.
    Edge,
    /// The network failed: resolve, connect, TLS, a reset.
    Network,
    /// A deadline passed.
    Timeout,
    /// The service refused this one request with a message.
    Refused,
    /// The content of this record is gone from the service.
    Gone,
    /// The service named a host to which a token must not go.
    ForbiddenHost,
    /// What arrived does not follow the protocol, or is past a sane limit.
    Protocol,
    /// Content or a name failed its cryptographic check.
    Corrupt,
    /// The vault uses an encryption scheme that this crate does not know.
    UnsupportedEncryption,
    /// The caller's input is unusable (a URL, an empty e-mail address).
    InvalidInput,
}

impl Kind {
    /// A stable word for it, for JSON, status files and alarms.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::WrongCredentials => "wrong_credentials",
            Self::TwoFactorRequired => "two_factor_required",
            Self::TwoFactorRefused => "two_factor_refused",
            Self::WrongVaultPassword => "wrong_vault_password",
            Self::SubscriptionExpired => "subscription_expired",
            Self::VaultNotFound => "vault_not_found",
            Self::Overloaded => "overloaded",
            Self::Edge => "edge",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Gone => "gone",
            Self::ForbiddenHost => "forbidden_host",
            Self::Protocol => "protocol",
            Self::Corrupt => "corrupt",
            Self::UnsupportedEncryption => "unsupported_encryption",
            Self::InvalidInput => "invalid_input",
        }
    }
}

/// Whether the same call may pass on another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryKind {
    /// Trying again can't help.
    Never,
    /// Try again on the same connection; only this request failed.
    Request,
    /// Try again on a new connection, after a backoff.
    Reconnect,
    /// Try again after a long pause; the duration is the service's own word where it gave one.
    Later(Option<Duration>),
}

impl Error {
    /// Makes an error of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            status: None,
            source: None,
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds how long the service asked to wait.
    #[must_use]
    pub fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// Adds the HTTP status of the answer.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The HTTP status of the answer, where that was what went wrong. "Server overloaded" comes
    /// with 200 and has none; a 429 is the same [`Kind::Overloaded`] and has one.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// How long the service asked to wait, where it did.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What the caller does next.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the same call may pass on another try.
    pub fn retry_kind(&self) -> RetryKind {
        match self.kind {
            Kind::Network | Kind::Timeout | Kind::Edge | Kind::Protocol => RetryKind::Reconnect,
            Kind::Overloaded => RetryKind::Later(self.retry_after),
            Kind::Refused | Kind::Corrupt => RetryKind::Request,
            Kind::Unauthorized
            | Kind::WrongCredentials
            | Kind::TwoFactorRequired
            | Kind::TwoFactorRefused
            | Kind::WrongVaultPassword
            | Kind::SubscriptionExpired
            | Kind::VaultNotFound
            | Kind::Gone
            | Kind::ForbiddenHost
            | Kind::UnsupportedEncryption
            | Kind::InvalidInput => RetryKind::Never,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What the words of a refusal mean, where they are ones that this crate knows.
///
/// Only the first two are promised; the others are educated guesses, and nothing depends on them but
/// how an error reads and when the caller tries again.
pub(crate) fn kind_of_words(words: &str) -> Option<Kind> {
    const KNOWN: [(&str, Kind); 8] = [
        (
            "your subscription to obsidian sync has expired",
            Kind::SubscriptionExpired,
        ),
        ("vault not found", Kind::VaultNotFound),
        ("overloaded", Kind::Overloaded),
        ("too many requests", Kind::Overloaded),
        ("token", Kind::Unauthorized),
        ("not logged in", Kind::Unauthorized),
        ("log in again", Kind::Unauthorized),
        ("unauthorized", Kind::Unauthorized),
    ];
    let words = words.to_lowercase();
    KNOWN
        .iter()
        .find(|(known, _)| words.contains(known))
        .map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_have_a_kind() {
        for (words, kind) in [
            (
                "Your subscription to Obsidian Sync has expired. Renew it.",
                Some(Kind::SubscriptionExpired),
            ),
            ("Vault not found.", Some(Kind::VaultNotFound)),
            (
                "Server overloaded, please try again later.",
                Some(Kind::Overloaded),
            ),
            ("Invalid token", Some(Kind::Unauthorized)),
            ("You are not logged in.", Some(Kind::Unauthorized)),
            ("Something else", None),
            ("", None),
        ] {
            assert_eq!(kind_of_words(words), kind, "{words}");
        }
    }

    #[test]
    fn retrying_follows_the_kind() {
        let wait = Some(Duration::from_secs(7));
        let overloaded = Error::new(Kind::Overloaded, "busy").with_retry_after(wait);
        assert_eq!(overloaded.retry_kind(), RetryKind::Later(wait));
        assert_eq!(
            Error::new(Kind::Timeout, "slow").retry_kind(),
            RetryKind::Reconnect
        );
        assert_eq!(
            Error::new(Kind::Refused, "no").retry_kind(),
            RetryKind::Request
        );
        assert_eq!(
            Error::new(Kind::Gone, "gone").retry_kind(),
            RetryKind::Never
        );
    }
}
