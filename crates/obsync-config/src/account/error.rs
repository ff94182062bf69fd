//! What can go wrong with the account, by what a person does next.

use std::path::PathBuf;

use jiff::Timestamp;
use url::Url;

use crate::error::ConfigError;
use crate::origin::Origin;
use crate::private_file::FileError;

/// A failure around sign-in and token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// There is no token that may be used, and no credentials to get one.
    #[error("not signed in{}", .why.tail())]
    NotSignedIn {
        /// Why not.
        why: SignedOut,
    },
    /// A token that was given, or that a sign-in just brought, was refused.
    #[error("the service refused the token {}", whence(.given.as_deref()))]
    TokenRefused {
        /// Where it was given; `None` for one from a sign-in of this run.
        given: Option<Box<Origin>>,
        /// What the service said.
        #[source]
        source: obsidian_sync::Error,
    },
    /// Sign-in is paused after the service was overloaded.
    #[error("the service was overloaded at sign-in; obsync will not try again before {until:.0}")]
    CoolingDown {
        /// When it may be tried again.
        until: Timestamp,
        /// What the service said, if it was now.
        #[source]
        source: Option<obsidian_sync::Error>,
    },
    /// E-mail address or password are wrong.
    #[error("the service refused the account's e-mail address ({email}) or password")]
    WrongCredentials {
        /// The address that was used.
        email: String,
        /// What the service said.
        #[source]
        source: obsidian_sync::Error,
    },
    /// The account wants a code, and there is neither a secret nor somebody to ask.
    #[error("the account has two-factor sign-in, and neither a secret nor a code was given")]
    TwoFactorNeeded,
    /// The code was refused.
    #[error("the service refused the two-factor code")]
    TwoFactorRefused {
        /// Whether the code was made from a secret, not typed.
        from_secret: bool,
        /// What the service said.
        #[source]
        source: obsidian_sync::Error,
    },
    /// Another process has been signing in for too long.
    #[error("another obsync process has been signing in for {seconds} s (it holds {})", .path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// How long this one waited.
        seconds: u64,
    },
    /// A login that brought a token which can't be kept.
    #[error("signed in as {email}, but the token can't be kept")]
    NotKept {
        /// Whose it is.
        email: String,
        /// Why not.
        #[source]
        source: FileError,
    },
    /// The service, or the way to it.
    #[error(transparent)]
    Service(#[from] obsidian_sync::Error),
    /// A credential that can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of the state folder.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why nobody is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedOut {
    /// No token is stored.
    Never,
    /// The stored token was refused: it was signed out elsewhere, or revoked.
    Refused,
    /// The stored token belongs to another API, to which alone it may go.
    OtherApi(Url),
    /// The stored token belongs to another account than the settings name.
    OtherAccount {
        /// Whose it is.
        stored: String,
        /// Whom the settings name.
        wanted: String,
    },
}

impl SignedOut {
    fn tail(&self) -> String {
        match self {
            Self::Never => String::new(),
            Self::Refused => ": the service no longer accepts the stored token".to_owned(),
            Self::OtherApi(url) => format!(": the stored token is for {url} alone"),
            Self::OtherAccount { stored, wanted } => {
                format!(" as {wanted}: the stored token is of {stored}")
            }
        }
    }
}

impl AccountError {
    /// A stable word for the kind, for JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotSignedIn { .. } => "not_signed_in",
            Self::TokenRefused { .. } => "unauthorized",
            Self::CoolingDown { .. } => "cooling_down",
            Self::WrongCredentials { .. } => "wrong_credentials",
            Self::TwoFactorNeeded => "two_factor_required",
            Self::TwoFactorRefused { .. } => "two_factor_refused",
            Self::Busy { .. } => "busy",
            Self::Service(error) => error.kind().word(),
            Self::Config(error) => error.word(),
            Self::File(_) | Self::NotKept { .. } => "state_folder",
        }
    }

    /// Ways out, for people.
    pub fn hints(&self) -> Vec<String> {
        let hints: &[&str] = match self {
            Self::NotSignedIn {
                why: SignedOut::OtherApi(url),
            } => {
                return vec![
                    "run 'obsync login' to sign in here too; the other token stays".to_owned(),
                    format!("'OBSIDIAN_API_URL={url} obsync logout --local' deletes the other one"),
                ];
            }
            Self::NotKept { .. } => {
                &["make room, or the state folder writable; OBSYNC_STATE_DIR names another one"]
            }
            Self::NotSignedIn { .. } => &[
                "run 'obsync login'",
                "unattended: give OBSIDIAN_EMAIL and OBSIDIAN_PASSWORD, or OBSIDIAN_AUTH_TOKEN",
            ],
            Self::TokenRefused { given: Some(_), .. } => {
                &["give a token that is still valid, or unset it and run 'obsync login'"]
            }
            Self::CoolingDown { .. } => &[
                "each further sign-in would prolong it; a stored token or OBSIDIAN_AUTH_TOKEN needs none",
            ],
            Self::WrongCredentials { .. } => {
                &["this is about the account's password, not about a vault's encryption password"]
            }
            Self::TwoFactorNeeded => {
                &["give the secret as OBSIDIAN_TOTP_SECRET, or run 'obsync login' on a terminal"]
            }
            Self::TwoFactorRefused {
                from_secret: true, ..
            } => &[
                "is this machine's clock right? codes depend on it",
                "is it this account's two-factor secret? compare 'obsync totp' with your authenticator",
            ],
            Self::TwoFactorRefused {
                from_secret: false, ..
            } => &["codes last about 30 seconds; run 'obsync login' again with a fresh one"],
            Self::Config(error) => return error.hints().to_vec(),
            _ => &[],
        };
        hints.iter().map(|&hint| hint.to_owned()).collect()
    }
}

fn whence(given: Option<&Origin>) -> String {
    match given {
        Some(origin) => format!("of {origin}"),
        None => "that it had just given".to_owned(),
    }
}
