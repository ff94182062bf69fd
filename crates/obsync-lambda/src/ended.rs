//! [`Ended`]: how a vault's turn ended, and what the caller is told of it.

use obsidian_sync::Vault;
use obsync_config::OpenError;
use obsync_core::SyncError;
use obsync_core::report::Report;

use crate::access::Refusal as _;
use crate::answer::{VaultAnswer, VaultError, VaultStatus};
use crate::rota::Missed;

/// How a vault's turn ended.
pub(crate) struct Ended {
    /// The id or name that it was asked for by.
    pub(crate) wanted: String,
    /// The vault, if it got as far as being found.
    pub(crate) vault: Option<Vault>,
    pub(crate) outcome: Result<Report, Fault>,
    /// Where it did not come to its turn, because the time went to others.
    pub(crate) missed: Option<Missed>,
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
    /// Whether a run that had begun ended for credentials that may have been changed meanwhile.
    pub(crate) fn is_refused(&self) -> bool {
        match &self.outcome {
            Ok(report) => {
                let error = report.error.as_ref().map(VaultError::from);
                error.is_some_and(|error| error.is_refusal())
            }
            Err(fault) => fault.is_refusal(),
        }
    }

    /// Whether it went wrong. That another run is at work is not wrong.
    pub(crate) fn is_wrong(&self) -> bool {
        match &self.outcome {
            Err(Fault::Error(error)) => error.kind != "busy",
            Err(Fault::GaveUp(_)) => true,
            Err(Fault::Stopped) | Ok(_) => false,
        }
    }

    /// As the caller is told.
    pub(crate) fn answer(&self) -> VaultAnswer {
        let wanted = self.wanted.as_str();
        let (id, name) = match &self.vault {
            Some(vault) => (vault.id.as_str(), vault.name.as_str()),
            None => (wanted, wanted),
        };
        match (&self.outcome, self.missed) {
            (Ok(report), _) => VaultAnswer::of_report(id, name, report),
            (Err(Fault::Error(error) | Fault::GaveUp(error)), _) => {
                VaultAnswer::failed(id, name, error.clone())
            }
            (Err(Fault::Stopped), Some(missed)) => missed_turn(id, name, missed),
            (Err(Fault::Stopped), None) => VaultAnswer::of_error(id, name, &SyncError::Stopped),
        }
    }
}

/// See [`crate::rota`] for why this comes to an end.
fn missed_turn(id: &str, name: &str, missed: Missed) -> VaultAnswer {
    let (status, message) = match missed {
        Missed::ToGoodUse => (
            VaultStatus::Partial,
            "its turn did not come in time: send the event again",
        ),
        Missed::InVain => (
            VaultStatus::Failed,
            "its turn did not come in time, and those before it got no further: see what holds them \
             up, send fewer vaults at once, or give the function a longer timeout",
        ),
    };
    let error = VaultError::new("stopped", message);
    VaultAnswer {
        status,
        ..VaultAnswer::failed(id, name, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obsidian_sync::{Kind, VaultVersion};
    use obsync_core::report::Status;

    fn ended(outcome: Result<Report, Fault>, missed: Option<Missed>) -> Ended {
        Ended {
            wanted: "Notes".to_owned(),
            vault: None,
            outcome,
            missed,
        }
    }

    #[test]
    fn a_vault_whose_turn_did_not_come_is_sent_again_while_others_get_further() {
        for (missed, status, kind) in [
            (Some(Missed::ToGoodUse), VaultStatus::Partial, "stopped"),
            (Some(Missed::InVain), VaultStatus::Failed, "stopped"),
            (None, VaultStatus::Failed, "timeout"),
        ] {
            let answer = ended(Err(Fault::Stopped), missed).answer();
            assert_eq!(answer.status, status, "{missed:?}");
            assert_eq!(answer.error.unwrap().kind, kind);
            assert_eq!((&*answer.vault_id, &*answer.name), ("Notes", "Notes"));
        }
    }

    #[test]
    fn credentials_may_be_refused_in_the_middle_of_a_run() {
        let report = |kind| Report {
            status: Status::Partial,
            files_downloaded: 1,
            files_moved: 0,
            files_deleted: 0,
            files_failed: 0,
            files_skipped: 0,
            files_hidden: 0,
            files_planned: 2,
            bytes: 1,
            cursor: VaultVersion(1),
            remaining: 1,
            advanced: true,
            problems: Vec::new(),
            notes: Vec::new(),
            error: Some(obsidian_sync::Error::new(kind, "x").into()),
        };
        assert!(ended(Ok(report(Kind::Unauthorized)), None).is_refused());
        assert!(!ended(Ok(report(Kind::Network)), None).is_refused());
    }

    #[test]
    fn being_busy_is_not_wrong() {
        let fault = |kind| ended(Err(VaultError::new(kind, "x").into()), None);
        assert!(!fault("busy").is_wrong());
        assert!(fault("destination").is_wrong());
        assert!(fault("unauthorized").is_refused() && !fault("busy").is_refused());
    }
}
