//! [`Ended`]: how a vault's turn ended, and what the caller is told of it.

use obsidian_sync::Vault;
use obsync_config::OpenError;
use obsync_core::SyncError;
use obsync_core::report::Report;

use crate::answer::{VaultAnswer, VaultError, VaultStatus};

/// How a vault's turn ended.
pub(crate) struct Ended {
    /// The id or name that it was asked for by.
    pub(crate) wanted: String,
    /// The vault, if it got as far as being found.
    pub(crate) vault: Option<Vault>,
    pub(crate) outcome: Result<Report, Fault>,
    /// Whether most of the time had gone to others before it began.
    pub(crate) late: bool,
}

/// Why a turn brought no report.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The time was over before anything was changed.
    Stopped,
    /// Nobody knows how far it came: it hung or panicked.
    GaveUp(VaultError),
    /// Anything else.
    Error(VaultError),
}

impl From<VaultError> for Fault {
    fn from(error: VaultError) -> Self {
        Self::Error(error)
    }
}

impl From<SyncError> for Fault {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Stopped => Self::Stopped,
            error => Self::Error(VaultError::from(&error)),
        }
    }
}

impl From<OpenError> for Fault {
    fn from(error: OpenError) -> Self {
        Self::Error(VaultError::from(&error))
    }
}

impl Ended {
    /// Whether it failed for credentials that may have been changed meanwhile.
    pub(crate) fn may_be_old_credentials(&self) -> bool {
        const WORDS: [&str; 7] = [
            "credentials_missing",
            "not_signed_in",
            "unauthorized",
            "wrong_credentials",
            "wrong_vault_password",
            "two_factor_required",
            "two_factor_refused",
        ];
        matches!(&self.outcome, Err(Fault::Error(error)) if WORDS.contains(&error.kind))
    }

    /// As the caller is told.
    pub(crate) fn answer(&self) -> VaultAnswer {
        let wanted = self.wanted.as_str();
        let (id, name) = match &self.vault {
            Some(vault) => (vault.id.as_str(), vault.name.as_str()),
            None => (wanted, wanted),
        };
        match &self.outcome {
            Ok(report) => VaultAnswer::of_report(id, name, report),
            Err(Fault::Error(error) | Fault::GaveUp(error)) => {
                VaultAnswer::failed(id, name, error.clone())
            }
            // Others had the time; they end some day, and then it is this one's turn.
            Err(Fault::Stopped) if self.late => {
                let message = "its turn did not come in time: send the event again";
                let error = VaultError::new("stopped", message);
                VaultAnswer {
                    status: VaultStatus::Partial,
                    ..VaultAnswer::failed(id, name, error)
                }
            }
            Err(Fault::Stopped) => VaultAnswer::of_error(id, name, &SyncError::Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_whose_turn_did_not_come_is_sent_again() {
        let ended = |late| Ended {
            wanted: "Notes".to_owned(),
            vault: None,
            outcome: Err(Fault::Stopped),
            late,
        };
        let answer = ended(true).answer();
        assert_eq!(answer.status, VaultStatus::Partial);
        assert_eq!(answer.error.unwrap().kind, "stopped");
        let answer = ended(false).answer();
        assert_eq!(answer.status, VaultStatus::Failed);
        assert_eq!(answer.error.unwrap().kind, "timeout");
        assert_eq!((&*answer.vault_id, &*answer.name), ("Notes", "Notes"));
    }
}
