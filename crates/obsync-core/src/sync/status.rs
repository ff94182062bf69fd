//! What is noted of a run beside the state.

use super::SyncRun;
use crate::error::SyncError;
use crate::report::{ProblemKind, Report, Status};
use crate::state::{Advance, LastError, RunStatus};
use crate::store::StoreErrorKind;

impl SyncRun {
    pub(super) async fn status_of(
        &self,
        began: obsidian_sync::Millis,
        result: &Result<Report, SyncError>,
    ) -> RunStatus {
        // A status that can't be read is replaced: it only reports.
        let mut status = self.state.status().await.unwrap_or_default();
        let now = self.clock.now();
        status.schema = 1;
        status.vault_id = self.vault.as_str().to_owned();
        status.vault_name.clone_from(&self.vault_name);
        status.destination = self.store.location();
        status.last_run = Some(began);
        if let Ok(report) = result {
            status.pending = report.files_failed + report.remaining;
            let done = report.files_downloaded + report.files_moved + report.files_deleted;
            if done > 0 {
                status.last_change = Some(now);
            }
            status.progress = (report.remaining > 0).then_some(Advance {
                done,
                planned: report.files_planned,
            });
            if report.status == Status::Complete {
                status.last_success = Some(now);
                status.last_error = None;
            }
        }
        if let Some((kind, message)) = trouble(result) {
            status.last_error = Some(LastError {
                at: now,
                kind: kind.to_owned(),
                message,
            });
        }
        status
    }
}

/// What went wrong, by a stable word and for people.
fn trouble(result: &Result<Report, SyncError>) -> Option<(&'static str, String)> {
    let report = match result {
        Ok(report) => report,
        Err(error) => return Some((error.kind(), error.to_string())),
    };
    let error = match &report.error {
        // That it has its limits is no trouble while the work goes on.
        Some(SyncError::Stopped) if report.advanced => None,
        error => error.as_ref(),
    };
    if let Some(error) = error {
        return Some((error.kind(), error.to_string()));
    }
    let mut problems = report.problems.iter();
    let failed = problems.find(|problem| problem.kind == ProblemKind::Failed)?;
    let name = crate::path::escape_name(&failed.path);
    Some(("files_failed", format!("{name}: {}", failed.message)))
}

/// Whether the run met another one.
pub(super) fn is_busy(result: &Result<Report, SyncError>) -> bool {
    let error = match result {
        Ok(report) => report.error.as_ref(),
        Err(error) => Some(error),
    };
    matches!(error, Some(SyncError::Store(error)) if error.kind == StoreErrorKind::Busy)
}
