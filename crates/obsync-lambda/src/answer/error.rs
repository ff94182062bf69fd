//! Failures of all parts, as an answer tells them.

use std::error::Error as StdError;

use obsync_config::vaults::VaultChoiceError;
use obsync_config::{AccountError, ConfigError, ConfigErrorKind, OpenError};
use obsync_core::{StoreError, SyncError, escape_name};
use serde::Serialize;

use super::kinds::find;
use crate::event::EventError;
use crate::secrets::SecretError;

/// What went wrong with a vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VaultError {
    /// A stable word; see [`super::KINDS`].
    pub kind: &'static str,
    /// For people: what happened, why, and what to do.
    pub message: String,
    /// Whether sending the same event again may help.
    pub retryable: bool,
}

impl VaultError {
    /// A failure of a kind in [`super::KINDS`]; the way out is added to the message.
    pub fn new(word: &'static str, message: impl Into<String>) -> Self {
        let kind = find(word);
        let mut message = message.into();
        if let Some(way_out) = kind.map(|kind| kind.way_out).filter(|way| !way.is_empty()) {
            message = format!("{message}; {way_out}");
        }
        Self {
            kind: word,
            message: escape_name(&message),
            retryable: kind.is_some_and(|kind| kind.retryable),
        }
    }

    /// With all causes in the message, each told once.
    fn of(word: &'static str, error: &(dyn StdError + 'static)) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        Self::new(word, message)
    }
}

impl From<&SyncError> for VaultError {
    fn from(error: &SyncError) -> Self {
        Self::of(error.kind(), error)
    }
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        Self::from(&SyncError::from(error))
    }
}

impl From<&obsidian_sync::Error> for VaultError {
    fn from(error: &obsidian_sync::Error) -> Self {
        // The engine has the words.
        let alike = obsidian_sync::Error::new(error.kind(), String::new());
        Self::of(SyncError::from(alike).kind(), error)
    }
}

impl From<&ConfigError> for VaultError {
    fn from(error: &ConfigError) -> Self {
        let word = match error.kind() {
            ConfigErrorKind::Invalid => "settings",
            ConfigErrorKind::Unreadable => "settings_unreadable",
            ConfigErrorKind::Missing => "credentials_missing",
        };
        Self::of(word, error)
    }
}

impl From<&VaultChoiceError> for VaultError {
    fn from(error: &VaultChoiceError) -> Self {
        match error {
            VaultChoiceError::Unknown { hints, .. } => {
                // The one hint that is not about a command is that a name is near.
                let near = hints.iter().find(|hint| hint.starts_with("did you mean"));
                let near = near.map(|near| format!("; {near}")).unwrap_or_default();
                Self::new("vault_unknown", format!("{error}{near}"))
            }
            VaultChoiceError::Ambiguous { ids, .. } => {
                let ids = ids.join(", ");
                let message = format!("{error}: use the id of the one that is meant: {ids}");
                Self::new("vault_ambiguous", message)
            }
        }
    }
}

impl From<&AccountError> for VaultError {
    fn from(error: &AccountError) -> Self {
        let word = match error {
            AccountError::Service(error) => return error.into(),
            AccountError::Config(error) => return error.into(),
            AccountError::NotSignedIn { .. } => "not_signed_in",
            AccountError::TokenRefused { .. } => "unauthorized",
            AccountError::WrongCredentials { .. } => "wrong_credentials",
            AccountError::TwoFactorNeeded => "two_factor_required",
            AccountError::TwoFactorRefused { .. } => "two_factor_refused",
            AccountError::CoolingDown { .. } => "cooling_down",
            AccountError::Busy { .. } => "sign_in_busy",
            AccountError::File(_) => "state_folder",
            _ => "account",
        };
        Self::of(word, error)
    }
}

impl From<&OpenError> for VaultError {
    fn from(error: &OpenError) -> Self {
        match error {
            OpenError::Choice(error) => error.into(),
            OpenError::Config(error) => error.into(),
            OpenError::Account(error) => error.into(),
        }
    }
}

impl From<&SecretError> for VaultError {
    fn from(error: &SecretError) -> Self {
        Self::of(error.word(), error)
    }
}

impl From<&EventError> for VaultError {
    fn from(error: &EventError) -> Self {
        Self::of("invalid_event", error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obsidian_sync::{Kind, RetryKind};
    use obsync_core::StoreErrorKind;

    #[test]
    fn what_the_service_says_is_retried_as_the_protocol_does() {
        for (kind, word) in [
            (Kind::Unauthorized, "unauthorized"),
            (Kind::WrongCredentials, "wrong_credentials"),
            (Kind::TwoFactorRequired, "two_factor_required"),
            (Kind::TwoFactorRefused, "two_factor_refused"),
            (Kind::WrongVaultPassword, "wrong_vault_password"),
            (Kind::SubscriptionExpired, "subscription_expired"),
            (Kind::VaultNotFound, "vault_not_found"),
            (Kind::Overloaded, "overloaded"),
            (Kind::Edge, "edge"),
            (Kind::Network, "network"),
            (Kind::Timeout, "timeout"),
            (Kind::Refused, "refused"),
            (Kind::Gone, "gone"),
            (Kind::ForbiddenHost, "forbidden_host"),
            (Kind::Protocol, "protocol"),
            (Kind::Corrupt, "corrupt"),
            (Kind::UnsupportedEncryption, "unsupported_encryption"),
            (Kind::InvalidInput, "invalid_input"),
        ] {
            let error = obsidian_sync::Error::new(kind, "x");
            let told = VaultError::from(&error);
            assert_eq!(told.kind, word);
            assert!(find(word).is_some(), "{word} is in the table");
            let again = error.retry_kind() != RetryKind::Never;
            assert_eq!(told.retryable, again, "{word}");
            assert_eq!(VaultError::from(&SyncError::from(error)), told);
        }
    }

    #[test]
    fn what_the_bucket_says() {
        for (kind, word, retryable) in [
            (StoreErrorKind::Full, "destination_full", true),
            (StoreErrorKind::Denied, "permission_denied", false),
            (StoreErrorKind::Unusable, "state_unusable", false),
            (StoreErrorKind::Busy, "busy", true),
            (StoreErrorKind::Changed, "destination", true),
            (StoreErrorKind::InTheWay, "destination", true),
            (StoreErrorKind::Unholdable, "destination", true),
            (StoreErrorKind::Other, "destination", true),
        ] {
            let told = VaultError::from(StoreError::new(kind, "x"));
            assert_eq!((told.kind, told.retryable), (word, retryable));
            assert!(find(word).is_some());
        }
    }

    #[test]
    fn what_the_settings_and_the_account_say() {
        let config = |kind| VaultError::from(&ConfigError::new(kind, "x")).kind;
        assert_eq!(config(ConfigErrorKind::Invalid), "settings");
        assert_eq!(config(ConfigErrorKind::Unreadable), "settings_unreadable");
        assert_eq!(config(ConfigErrorKind::Missing), "credentials_missing");
        let source = || obsidian_sync::Error::new(Kind::WrongCredentials, "Login failed");
        for (error, word) in [
            (AccountError::TwoFactorNeeded, "two_factor_required"),
            (
                AccountError::WrongCredentials {
                    email: "a@example.org".into(),
                    source: source(),
                },
                "wrong_credentials",
            ),
            (
                AccountError::TokenRefused {
                    given: None,
                    source: source(),
                },
                "unauthorized",
            ),
            (
                AccountError::CoolingDown {
                    until: jiff::Timestamp::UNIX_EPOCH,
                    source: None,
                },
                "cooling_down",
            ),
            (
                AccountError::Busy {
                    path: "/tmp/lock".into(),
                    seconds: 60,
                },
                "sign_in_busy",
            ),
            (
                AccountError::Service(obsidian_sync::Error::new(Kind::Network, "x")),
                "network",
            ),
            (AccountError::Config(ConfigError::invalid("x")), "settings"),
        ] {
            let told = VaultError::from(&OpenError::from(error));
            assert_eq!(told.kind, word);
            assert!(find(word).is_some(), "{word}");
        }
    }

    #[test]
    fn a_vault_that_is_not_found_tells_the_nearest() {
        let error = VaultChoiceError::Unknown {
            wanted: "notse\n".into(),
            hints: vec![
                "did you mean 'notes'?".into(),
                "'obsync vaults' lists them".into(),
            ],
        };
        let told = VaultError::from(&error);
        assert_eq!(
            told.message,
            "this account has no vault 'notse\\n'; did you mean 'notes'?"
        );
        let error = VaultChoiceError::Ambiguous {
            wanted: "Work".into(),
            ids: vec!["a (yours)".into(), "b (yours)".into()],
        };
        assert_eq!(
            VaultError::from(&error).message,
            "2 vaults are named 'Work': use the id of the one that is meant: a (yours), b (yours)"
        );
    }

    #[test]
    fn causes_are_told_once_and_the_way_out_last() {
        let cause = std::io::Error::other("connection refused");
        let error = obsidian_sync::Error::new(Kind::Overloaded, "can't connect");
        let told = VaultError::from(&error.with_source(cause));
        assert_eq!(
            told.message,
            "can't connect: connection refused; the service sheds load: try again in an hour"
        );
    }
}
