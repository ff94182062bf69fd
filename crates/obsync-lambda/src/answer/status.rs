//! The answer to `status`: where vaults stand, from their states alone.

use jiff::Timestamp;
use obsidian_sync::{Millis, VaultVersion};
use obsync_core::{Counts, Header, RunStatus};
use serde::Serialize;

use super::VaultError;

/// The answer to `status`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusAnswer {
    status: &'static str,
    /// One for each vault.
    pub vaults: Vec<VaultState>,
}

impl StatusAnswer {
    /// The answer for these vaults.
    pub fn new(vaults: Vec<VaultState>) -> Self {
        Self {
            status: "ok",
            vaults,
        }
    }
}

/// Where one vault stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct VaultState {
    /// Its id.
    pub vault_id: String,
    /// Its name.
    pub name: String,
    /// Whether it was ever synced here, and its state could be read.
    pub known: bool,
    /// Everything up to here is applied or listed.
    pub cursor: VaultVersion,
    /// How many files are there.
    pub files: u64,
    /// Their plaintext bytes.
    pub bytes: u64,
    /// When a run last changed a file.
    pub last_change: Option<Timestamp>,
    /// When a run last ended with nothing left to do.
    pub last_success: Option<Timestamp>,
    /// How many files the last run left undone.
    pub pending: u64,
    /// How far the last run came, if it left something undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What went wrong last, until a run succeeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

/// How far a run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Files brought, moved or deleted.
    pub done: u64,
    /// Files that it had to bring, move or delete.
    pub planned: u64,
}

/// What went wrong last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// A stable word.
    pub kind: String,
    /// For people.
    pub message: String,
}

impl VaultState {
    /// From what the state holds.
    pub fn new(
        vault_id: &str,
        name: &str,
        header: &Header,
        counts: Counts,
        runs: &RunStatus,
    ) -> Self {
        let progress = runs.progress.map(|progress| Progress {
            done: progress.done,
            planned: progress.planned,
        });
        let last_error = runs.last_error.as_ref().map(|error| LastError {
            at: timestamp(error.at),
            kind: error.kind.clone(),
            message: obsync_core::escape_name(&error.message),
        });
        Self {
            vault_id: vault_id.to_owned(),
            name: name.to_owned(),
            known: *header != Header::default() || *runs != RunStatus::default(),
            cursor: header.cursor,
            files: counts.files,
            bytes: counts.bytes,
            last_change: runs.last_change.map(timestamp),
            last_success: runs.last_success.map(timestamp),
            pending: runs.pending,
            progress,
            last_error,
        }
    }

    /// A vault of which nothing can be told, and why.
    pub fn unreadable(vault_id: &str, name: &str, error: VaultError, now: Millis) -> Self {
        Self {
            vault_id: vault_id.to_owned(),
            name: name.to_owned(),
            last_error: Some(LastError {
                at: timestamp(now),
                kind: error.kind.to_owned(),
                message: error.message,
            }),
            ..Self::default()
        }
    }
}

fn timestamp(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOON: Millis = Millis(1_705_314_600_000);

    #[test]
    fn the_form_is_the_promised_one() {
        let header = Header {
            cursor: VaultVersion(9),
            ..Header::default()
        };
        let counts = Counts {
            files: 3,
            bytes: 4096,
        };
        let runs = RunStatus {
            last_success: Some(NOON),
            pending: 2,
            progress: Some(obsync_core::Advance {
                done: 1,
                planned: 3,
            }),
            last_error: Some(obsync_core::LastError {
                at: Millis(NOON.0 + 500),
                kind: "network".into(),
                message: "no\nway".into(),
            }),
            ..RunStatus::default()
        };
        let known = VaultState::new("id1", "Notes", &header, counts, &runs);
        let none = RunStatus::default();
        let unknown = VaultState::new("id2", "New", &Header::default(), Counts::default(), &none);
        let error = VaultError::new("permission_denied", "s3:GetObject is denied");
        let unreadable = VaultState::unreadable("id3", "Shut", error, NOON);
        let answer = StatusAnswer::new(vec![known, unknown, unreadable]);
        assert_eq!(
            serde_json::to_value(&answer).unwrap(),
            json!({"status": "ok", "vaults": [
                {
                    "vault_id": "id1", "name": "Notes", "known": true, "cursor": 9, "files": 3,
                    "bytes": 4096, "last_change": null, "last_success": "2024-01-15T10:30:00Z",
                    "pending": 2, "progress": {"done": 1, "planned": 3},
                    "last_error": {
                        "at": "2024-01-15T10:30:00.5Z", "kind": "network", "message": "no\\nway",
                    },
                },
                {
                    "vault_id": "id2", "name": "New", "known": false, "cursor": 0, "files": 0,
                    "bytes": 0, "last_change": null, "last_success": null, "pending": 0,
                },
                {
                    "vault_id": "id3", "name": "Shut", "known": false, "cursor": 0, "files": 0,
                    "bytes": 0, "last_change": null, "last_success": null, "pending": 0,
                    "last_error": {
                        "at": "2024-01-15T10:30:00Z", "kind": "permission_denied",
                        "message": "s3:GetObject is denied",
                    },
                },
            ]})
        );
    }
}
