//! Every kind of failure: its word, whether the same event may pass on another try, and what a
//! person does about it.
//!
//! The words are stable: alarms, retry rules and state machines name them. A function error's type
//! is the word in another spelling, see [`error_type`].

/// One kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Its word, as in an answer's `error.kind`.
    pub word: &'static str,
    /// Whether sending the same event again may help.
    pub retryable: bool,
    /// What a person does about it; empty where the message says it.
    pub way_out: &'static str,
}

const fn kind(word: &'static str, retryable: bool, way_out: &'static str) -> Kind {
    Kind {
        word,
        retryable,
        way_out,
    }
}

const AGAIN: bool = true;
const FINAL: bool = false;

/// All kinds.
pub const KINDS: &[Kind] = &[
    // The event and the set-up.
    kind("invalid_event", FINAL, ""),
    kind("settings", FINAL, ""),
    kind("settings_unreadable", FINAL, ""),
    kind(
        "credentials_missing",
        FINAL,
        "put it into the event, into the secret that OBSYNC_SECRET_NAME names, or into the \
         function's environment",
    ),
    kind("secret_missing", FINAL, ""),
    kind("secret_denied", FINAL, ""),
    kind("secret_unusable", FINAL, ""),
    kind("secret_unavailable", AGAIN, ""),
    kind("filter", FINAL, ""),
    // The account.
    kind(
        "not_signed_in",
        FINAL,
        "give OBSIDIAN_EMAIL and OBSIDIAN_PASSWORD, or OBSIDIAN_AUTH_TOKEN, to the function, or \
         the first two in the secret that OBSYNC_SECRET_NAME names",
    ),
    kind("unauthorized", FINAL, "give a token that is still valid"),
    kind(
        "wrong_credentials",
        FINAL,
        "this is about the account's password, not a vault's",
    ),
    kind(
        "two_factor_required",
        FINAL,
        "give the account's two-factor secret as OBSIDIAN_TOTP_SECRET or as auth.totp_secret in \
         the secret that OBSYNC_SECRET_NAME names",
    ),
    kind(
        "two_factor_refused",
        FINAL,
        "is it this account's two-factor secret?",
    ),
    kind("cooling_down", AGAIN, ""),
    kind("sign_in_busy", AGAIN, ""),
    kind("state_folder", FINAL, ""),
    kind("account", FINAL, ""),
    // The vault.
    kind("vault_unknown", FINAL, ""),
    kind("vault_ambiguous", FINAL, ""),
    kind("vault_not_found", FINAL, ""),
    kind(
        "wrong_vault_password",
        FINAL,
        "this is about the vault's own encryption password; the account's is another one",
    ),
    kind(
        "subscription_expired",
        FINAL,
        "renew it; what was copied stays",
    ),
    kind(
        "unsupported_encryption",
        FINAL,
        "a newer obsync may know it",
    ),
    kind("invalid_input", FINAL, ""),
    // The service and the way to it.
    kind(
        "overloaded",
        AGAIN,
        "the service sheds load: try again in an hour",
    ),
    kind("edge", AGAIN, ""),
    kind("network", AGAIN, ""),
    kind("timeout", AGAIN, ""),
    kind("refused", AGAIN, ""),
    kind("gone", FINAL, ""),
    kind("forbidden_host", FINAL, ""),
    kind("protocol", AGAIN, ""),
    kind("corrupt", AGAIN, ""),
    kind("remote", FINAL, ""),
    // The bucket.
    kind(
        "destination_full",
        AGAIN,
        "make room; what has arrived stays, the rest follows",
    ),
    kind("permission_denied", FINAL, ""),
    kind("state_unusable", FINAL, ""),
    kind("busy", AGAIN, ""),
    kind("destination", AGAIN, ""),
    // The run.
    kind(
        "guard",
        FINAL,
        "'obsync sync … --s3 --dry-run' on another machine shows what would go; where it is meant, \
         sync once from there with a higher --max-delete",
    ),
    kind("stopped", AGAIN, ""),
    kind("files_failed", AGAIN, ""),
    kind("incomplete", AGAIN, ""),
    kind("internal", AGAIN, ""),
];

/// The kind with a word.
pub(super) fn find(word: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.word == word)
}

/// A kind's word as the type of a function error: `wrong_vault_password` is
/// `Obsync.WrongVaultPassword`.
pub fn error_type(word: &str) -> String {
    let mut name = "Obsync.".to_owned();
    for part in word.split('_') {
        let mut letters = part.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_error_types_are_unique() {
        for (at, kind) in KINDS.iter().enumerate() {
            let others = &KINDS[at + 1..];
            let same = |other: &&Kind| error_type(other.word) == error_type(kind.word);
            assert!(!others.iter().any(|other| same(&other)), "{}", kind.word);
        }
    }

    #[test]
    fn error_types_are_stable() {
        for (word, error_type_) in [
            ("wrong_vault_password", "Obsync.WrongVaultPassword"),
            ("invalid_event", "Obsync.InvalidEvent"),
            ("network", "Obsync.Network"),
            ("files_failed", "Obsync.FilesFailed"),
        ] {
            assert_eq!(error_type(word), error_type_);
        }
    }

    #[test]
    fn the_retryable_ones_are_those_that_retry_rules_name() {
        let again: Vec<&str> = KINDS
            .iter()
            .filter(|k| k.retryable)
            .map(|k| k.word)
            .collect();
        assert_eq!(
            again,
            [
                "secret_unavailable",
                "cooling_down",
                "sign_in_busy",
                "overloaded",
                "edge",
                "network",
                "timeout",
                "refused",
                "protocol",
                "corrupt",
                "destination_full",
                "busy",
                "destination",
                "stopped",
                "files_failed",
                "incomplete",
                "internal",
            ]
        );
    }
}
