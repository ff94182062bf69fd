//! What the function answers: how each vault went, as JSON with a fixed form.
//!
//! A caller that sends the event again while `status` is `partial` always comes to an end: a vault
//! is `partial` only if this run got further than the one before it, or another vault of the event
//! did while this one waited; or `busy` while another run works on it. What got no further is
//! `failed`, and says why. Why this comes to an end is told where turns are taken.

mod error;
mod function_error;
mod kinds;
mod run;
mod status;

use serde::Serialize;

pub use error::VaultError;
pub use function_error::FunctionError;
pub use kinds::{KINDS, Kind, error_type};
pub use status::{StatusAnswer, VaultState};

use obsidian_sync::VaultVersion;

/// Whatever the function answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// To events that sync.
    Sync(Answer),
    /// To `status`.
    Status(StatusAnswer),
    /// To a batch of a queue.
    Queue(BatchItemFailures),
}

/// The answer to an event that syncs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The whole: see [`Answer::new`].
    pub status: VaultStatus,
    /// One for each vault, in the order of the event.
    pub vaults: Vec<VaultAnswer>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// How a vault, or all of them, went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VaultStatus {
    /// Nothing is left to do.
    Complete,
    /// Progress is saved: send the event again.
    Partial,
    /// Another run works on it.
    Busy,
    /// Sending the event again may help or not: see the error.
    Failed,
}

/// How one vault went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VaultAnswer {
    /// Its id; what the event called it, where no such vault was found.
    pub vault_id: String,
    /// Its name; likewise.
    pub name: String,
    /// How it went.
    pub status: VaultStatus,
    /// Files fetched from the service.
    pub files_downloaded: u64,
    /// Files moved or copied in the bucket instead of being fetched.
    pub files_moved: u64,
    /// Files deleted.
    pub files_deleted: u64,
    /// Files that could not be brought, and are tried again next time.
    pub files_failed: u64,
    /// Records that can't be brought at all.
    pub files_skipped: u64,
    /// Plaintext bytes fetched.
    pub bytes: u64,
    /// Everything up to here is applied or listed; `null` if the run did not come to look.
    pub cursor: Option<VaultVersion>,
    /// How many records or files still wait.
    pub remaining: u64,
    /// What went wrong, if anything did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<VaultError>,
}

impl VaultAnswer {
    /// A vault that could not be worked on.
    pub fn failed(vault_id: impl Into<String>, name: impl Into<String>, error: VaultError) -> Self {
        let status = match error.kind {
            "busy" => VaultStatus::Busy,
            _ => VaultStatus::Failed,
        };
        Self {
            vault_id: vault_id.into(),
            name: name.into(),
            status,
            files_downloaded: 0,
            files_moved: 0,
            files_deleted: 0,
            files_failed: 0,
            files_skipped: 0,
            bytes: 0,
            cursor: None,
            remaining: 0,
            error: Some(error),
        }
    }
}

impl Answer {
    /// The answer for these vaults. It is `partial` if any is partial or busy, else `failed` if any
    /// failed, else `complete`.
    pub fn new(vaults: Vec<VaultAnswer>, duration_ms: u64) -> Self {
        Self {
            status: overall(&vaults),
            vaults,
            duration_ms,
        }
    }

    /// The answer to an event of one vault, whose failure is the function's: retries, dead-letter
    /// queues and alarms need that.
    ///
    /// # Errors
    /// The vault's failure.
    pub fn of_single(self) -> Result<Self, FunctionError> {
        match self.vaults.first() {
            Some(vault) if vault.status == VaultStatus::Failed => {
                Err(FunctionError::of_vault(vault))
            }
            _ => Ok(self),
        }
    }
}

/// The status of several vaults together.
pub fn overall(vaults: &[VaultAnswer]) -> VaultStatus {
    let any = |status| vaults.iter().any(|vault| vault.status == status);
    if any(VaultStatus::Partial) || any(VaultStatus::Busy) {
        VaultStatus::Partial
    } else if any(VaultStatus::Failed) {
        VaultStatus::Failed
    } else {
        VaultStatus::Complete
    }
}

/// Which messages of a queue failed; SQS delivers only these again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailures {
    /// Their ids.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One message that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// Its id.
    pub item_identifier: String,
}

impl FromIterator<String> for BatchItemFailures {
    fn from_iter<I: IntoIterator<Item = String>>(ids: I) -> Self {
        let failures = ids
            .into_iter()
            .map(|item_identifier| BatchItemFailure { item_identifier });
        Self {
            batch_item_failures: failures.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn vault(status: VaultStatus) -> VaultAnswer {
        let mut answer = VaultAnswer::failed("id", "n", VaultError::new("network", "x"));
        answer.status = status;
        answer
    }

    #[test]
    fn the_whole_is_partial_before_it_is_failed() {
        use VaultStatus::{Busy, Complete, Failed, Partial};
        for (vaults, whole) in [
            (&[][..], Complete),
            (&[Complete, Complete], Complete),
            (&[Complete, Failed], Failed),
            (&[Failed, Partial], Partial),
            (&[Busy, Failed], Partial),
            (&[Busy], Partial),
        ] {
            let answers = vaults.iter().copied().map(vault).collect();
            assert_eq!(Answer::new(answers, 1).status, whole, "{vaults:?}");
        }
    }

    #[test]
    fn the_form_is_the_promised_one() {
        let mut complete = vault(VaultStatus::Complete);
        complete.error = None;
        complete.cursor = Some(VaultVersion(42));
        let answer = Response::Sync(Answer::new(
            vec![complete, vault(VaultStatus::Failed)],
            1234,
        ));
        assert_eq!(
            serde_json::to_value(&answer).unwrap(),
            json!({
                "status": "failed",
                "vaults": [
                    {
                        "vault_id": "id", "name": "n", "status": "complete",
                        "files_downloaded": 0, "files_moved": 0, "files_deleted": 0,
                        "files_failed": 0, "files_skipped": 0, "bytes": 0, "cursor": 42,
                        "remaining": 0,
                    },
                    {
                        "vault_id": "id", "name": "n", "status": "failed",
                        "files_downloaded": 0, "files_moved": 0, "files_deleted": 0,
                        "files_failed": 0, "files_skipped": 0, "bytes": 0, "cursor": null,
                        "remaining": 0,
                        "error": {"kind": "network", "message": "x", "retryable": true},
                    },
                ],
                "duration_ms": 1234,
            })
        );
        let failures = ["m1".to_owned(), "m2".to_owned()];
        let failures = Response::Queue(failures.into_iter().collect());
        assert_eq!(
            serde_json::to_value(&failures).unwrap(),
            json!({"batchItemFailures": [{"itemIdentifier": "m1"}, {"itemIdentifier": "m2"}]})
        );
        let none = Response::Queue(BatchItemFailures::default());
        let none = serde_json::to_value(&none).unwrap();
        assert_eq!(none, json!({"batchItemFailures": []}));
    }

    #[test]
    fn only_a_failed_single_vault_is_a_function_error() {
        use VaultStatus::{Busy, Complete, Failed, Partial};
        for (status, error) in [
            (Complete, false),
            (Partial, false),
            (Busy, false),
            (Failed, true),
        ] {
            let answer = Answer::new(vec![vault(status)], 1);
            assert_eq!(answer.of_single().is_err(), error, "{status:?}");
        }
    }
}
