//! From what a run did to its report.

use obsidian_sync::VaultVersion;

use crate::apply::Tally;
use crate::error::SyncError;
use crate::place::Placer;
use crate::report::{Problem, ProblemKind, Report, Status};

/// What one run knows at its end.
#[derive(Default)]
pub(super) struct Summary {
    pub(super) tally: Tally,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<String>,
    pub(super) hidden: u64,
    pub(super) planned: u64,
    pub(super) cursor: VaultVersion,
    pub(super) remaining: u64,
    pub(super) advanced: bool,
    pub(super) error: Option<SyncError>,
}

/// In the order in which a report tells them.
pub(super) fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| (a.kind, &a.path).cmp(&(b.kind, &b.path)));
}

impl Summary {
    pub(super) fn report(self) -> Report {
        let Self {
            tally,
            mut problems,
            notes,
            hidden,
            planned,
            cursor,
            remaining,
            advanced,
            error,
        } = self;
        let count = |kind| {
            let those = problems.iter().filter(|problem| problem.kind == kind);
            those.count() as u64
        };
        let (files_failed, files_skipped) =
            (count(ProblemKind::Failed), count(ProblemKind::Skipped));
        problems.extend(tally.kept);
        sort(&mut problems);
        let status = match &error {
            Some(SyncError::Store(_)) => Status::Failed,
            Some(SyncError::Remote(error)) if is_final(error) => Status::Failed,
            Some(_) => Status::Partial,
            // Nothing is complete while something waits, whatever kept it.
            None if files_failed > 0 || remaining > 0 => Status::Partial,
            None => Status::Complete,
        };
        Report {
            status,
            files_downloaded: tally.downloaded,
            files_moved: tally.moved,
            files_deleted: tally.deleted,
            files_failed,
            files_skipped,
            files_hidden: hidden,
            files_planned: planned,
            bytes: tally.bytes,
            cursor,
            remaining,
            advanced: advanced || tally.downloaded + tally.moved + tally.deleted > 0,
            problems,
            notes,
            error,
        }
    }
}

/// Local content that made way for the vault's, as problems of the report.
pub(super) fn kept_copies(placer: &Placer) -> Vec<Problem> {
    let kept = placer
        .kept
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    kept.iter()
        .map(|(path, kept_as)| Problem {
            path: path.as_str().to_owned(),
            uid: obsidian_sync::Uid(0),
            kind: ProblemKind::Kept,
            message: format!(
                "changed on both sides: your text is now in '{}'",
                kept_as.display()
            ),
        })
        .collect()
}

fn is_final(error: &obsidian_sync::Error) -> bool {
    error.retry_kind() == obsidian_sync::RetryKind::Never
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_complete_while_something_waits() {
        let status = |remaining| {
            let summary = Summary {
                remaining,
                ..Summary::default()
            };
            summary.report().status
        };
        assert_eq!(status(0), Status::Complete);
        assert_eq!(status(1), Status::Partial);
    }
}
