//! What a run tells while it works, and at its end, as log lines.

use std::sync::Arc;

use obsync_core::escape_name;
use obsync_core::progress::{Event, Progress};
use obsync_core::report::{ProblemKind, Report};

use crate::answer::{VaultAnswer, VaultStatus};
use crate::metrics::Counters;

/// How many problems of one run are logged; the state has all of them.
const MOST: usize = 50;

/// Logs what a person looks for afterwards, and counts for the metrics.
#[derive(Debug)]
pub(crate) struct Told(pub(crate) Arc<Counters>);

impl Progress for Told {
    fn event(&self, event: Event<'_>) {
        self.0.event(event);
        match event {
            Event::Planned {
                downloads,
                bytes,
                moves,
                deletions,
            } => tracing::info!(downloads, bytes, moves, deletions, "planned"),
            Event::Note(note) => tracing::info!("{note}"),
            Event::Connections(open) => tracing::debug!(open, "connections"),
            Event::Downloaded(path) => tracing::debug!(path = %path.display(), "downloaded"),
            Event::Moved(path) => tracing::debug!(path = %path.display(), "moved"),
            Event::Deleted(path) => tracing::debug!(path = %path.display(), "deleted"),
            _ => {}
        }
    }
}

/// Logs what was not brought, or was kept, each once.
pub(crate) fn summary(report: &Report) {
    for problem in report.problems.iter().take(MOST) {
        let (path, message) = (escape_name(&problem.path), &problem.message);
        match problem.kind {
            ProblemKind::Failed => tracing::warn!(%path, "not brought: {message}"),
            ProblemKind::Kept => tracing::warn!(%path, "kept: {message}"),
            ProblemKind::Skipped => tracing::info!(%path, "skipped: {message}"),
        }
    }
    if let Some(more) = report.problems.len().checked_sub(MOST + 1) {
        tracing::warn!(more = more + 1, "more problems are not listed here");
    }
}

/// Logs how a vault's turn ended.
pub(crate) fn end(answer: &VaultAnswer) {
    let (downloaded, moved, deleted) = (
        answer.files_downloaded,
        answer.files_moved,
        answer.files_deleted,
    );
    let (failed, remaining) = (answer.files_failed, answer.remaining);
    let error = answer.error.as_ref();
    let (kind, message) = error.map_or(("", ""), |error| (error.kind, error.message.as_str()));
    match answer.status {
        VaultStatus::Complete => {
            tracing::info!(downloaded, moved, deleted, failed, "synced");
        }
        VaultStatus::Partial => {
            tracing::info!(
                downloaded,
                moved,
                deleted,
                failed,
                remaining,
                kind,
                "partly synced"
            );
        }
        VaultStatus::Busy => tracing::info!("not synced: {message}"),
        VaultStatus::Failed => {
            tracing::error!(
                downloaded,
                moved,
                deleted,
                failed,
                remaining,
                kind,
                "{message}"
            );
        }
    }
}
