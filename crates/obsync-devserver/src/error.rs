//! What can go wrong when a test or the binary handles the service from inside.
//!
//! What clients are told on the wire is not here: that is part of the protocol (`api`, `socket`).

use std::path::{Path, PathBuf};

use obsidian_sync::VaultId;

/// A failure of a call on [`Service`](crate::Service) or [`DevServer`](crate::DevServer).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No account has this e-mail address.
    #[error("there is no account {0}: add it first")]
    NoAccount(String),
    /// The e-mail address is taken.
    #[error("there is already an account {0}")]
    AccountExists(String),
    /// No vault has this id.
    #[error("there is no vault {0}")]
    NoVault(VaultId),
    /// The vault was made by a client with an end-to-end password, which the service never learns.
    #[error("the key of vault {0} is not known here: call unlock with its password first")]
    Locked(VaultId),
    /// The password does not fit the vault.
    #[error("this is not the password of vault {0}")]
    WrongPassword(VaultId),
    /// Nothing lives at the path.
    #[error("vault {vault} has nothing at {path:?}")]
    NoFile {
        /// The vault.
        vault: VaultId,
        /// The path that was asked for.
        path: String,
    },
    /// The caller's input can't be used.
    #[error("{0}")]
    Invalid(String),
    /// A file or a socket failed.
    #[error("could not {what} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        what: &'static str,
        /// The file or address.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file of the data folder does not hold what it should.
    #[error("{} is damaged: {message}; move the data folder away to start afresh", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Encryption or decryption failed.
    #[error(transparent)]
    Crypto(#[from] obsidian_sync::Error),
}

impl Error {
    pub(crate) fn io(
        what: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { what, path, source }
    }
}
