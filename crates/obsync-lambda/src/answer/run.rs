//! From what the engine reports to a vault's answer.

use obsync_core::report::{ProblemKind, Report, Status};
use obsync_core::{SyncError, escape_name};

use super::{VaultAnswer, VaultError, VaultStatus};

impl VaultAnswer {
    /// How a run went.
    pub fn of_run(vault_id: &str, name: &str, result: &Result<Report, SyncError>) -> Self {
        match result {
            Ok(report) => Self::of_report(vault_id, name, report),
            Err(error) => Self::of_error(vault_id, name, error),
        }
    }

    /// A run that ended before it changed anything.
    pub fn of_error(vault_id: &str, name: &str, error: &SyncError) -> Self {
        let error = match error {
            SyncError::Stopped => out_of_time(),
            error => VaultError::from(error),
        };
        Self::failed(vault_id, name, error)
    }

    /// A run that may have changed something.
    pub fn of_report(vault_id: &str, name: &str, report: &Report) -> Self {
        let (status, error) = judge(report);
        Self {
            vault_id: vault_id.to_owned(),
            name: name.to_owned(),
            status,
            files_downloaded: report.files_downloaded,
            files_moved: report.files_moved,
            files_deleted: report.files_deleted,
            files_failed: report.files_failed,
            files_skipped: report.files_skipped,
            bytes: report.bytes,
            cursor: Some(report.cursor),
            remaining: report.remaining,
            error,
        }
    }
}

fn judge(report: &Report) -> (VaultStatus, Option<VaultError>) {
    // Being told to stop is how a run that takes longer ends; anything else is a failure.
    let stopped = matches!(report.error, Some(SyncError::Stopped));
    let error = match &report.error {
        None | Some(SyncError::Stopped) => None,
        Some(error) => Some(VaultError::from(error)),
    };
    if error.as_ref().is_some_and(|error| error.kind == "busy") {
        return (VaultStatus::Busy, error);
    }
    if report.status == Status::Complete {
        return (VaultStatus::Complete, None);
    }
    let may_pass = error.as_ref().is_none_or(|error| error.retryable);
    if report.advanced && may_pass && (report.remaining > 0 || stopped) {
        return (VaultStatus::Partial, error);
    }
    let error = error.unwrap_or_else(|| {
        if stopped {
            out_of_time()
        } else if report.files_failed > 0 {
            files_failed(report)
        } else {
            let message = format!(
                "{} files or records still wait, and this run got no further than the one before",
                report.remaining
            );
            VaultError::new("incomplete", message)
        }
    });
    (VaultStatus::Failed, Some(error))
}

fn out_of_time() -> VaultError {
    VaultError::new(
        "timeout",
        "the time was over before this run got further than the one before it; give the function \
         a longer timeout (15 minutes at most), or more memory, with which it gets more CPU and \
         network",
    )
}

fn files_failed(report: &Report) -> VaultError {
    let count = report.files_failed;
    let failed = |kind| kind == ProblemKind::Failed;
    let first = report.problems.iter().find(|problem| failed(problem.kind));
    let first = first.map_or_else(String::new, |problem| {
        format!(": '{}': {}", escape_name(&problem.path), problem.message)
    });
    let files = if count == 1 { "file" } else { "files" };
    let more = match count.saturating_sub(1) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let message = format!("{count} {files} could not be brought{first}{more}");
    VaultError::new("files_failed", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use obsidian_sync::{Kind, Uid, VaultVersion};
    use obsync_core::report::Problem;
    use obsync_core::{StoreError, StoreErrorKind};

    fn report() -> Report {
        Report {
            status: Status::Complete,
            files_downloaded: 3,
            files_moved: 2,
            files_deleted: 1,
            files_failed: 0,
            files_skipped: 4,
            files_hidden: 0,
            files_planned: 6,
            bytes: 1000,
            cursor: VaultVersion(7),
            remaining: 0,
            advanced: true,
            problems: Vec::new(),
            notes: Vec::new(),
            error: None,
        }
    }

    fn remote(kind: Kind) -> Option<SyncError> {
        Some(obsidian_sync::Error::new(kind, "x").into())
    }

    fn store(kind: StoreErrorKind) -> Option<SyncError> {
        Some(StoreError::new(kind, "x").into())
    }

    #[test]
    fn numbers_are_handed_on() {
        let answer = VaultAnswer::of_run("id", "n", &Ok(report()));
        assert_eq!(answer.status, VaultStatus::Complete);
        assert_eq!(
            (
                answer.files_downloaded,
                answer.files_moved,
                answer.files_deleted,
                answer.files_skipped,
                answer.bytes,
                answer.cursor,
            ),
            (3, 2, 1, 4, 1000, Some(VaultVersion(7)))
        );
        assert_eq!(answer.error, None);
    }

    #[test]
    fn partial_is_only_what_got_further() {
        use Status as S;
        use VaultStatus::{Busy, Complete, Failed, Partial};
        let stopped = || Some(SyncError::Stopped);
        for (status, advanced, remaining, failed, error, expected, word) in [
            (S::Complete, true, 0, 0, None, Complete, None),
            (S::Complete, false, 0, 0, None, Complete, None),
            (S::Partial, true, 5, 0, stopped(), Partial, None),
            (S::Partial, true, 0, 0, stopped(), Partial, None),
            (S::Partial, true, 5, 1, stopped(), Partial, None),
            (S::Partial, false, 5, 0, stopped(), Failed, Some("timeout")),
            (S::Partial, false, 5, 1, stopped(), Failed, Some("timeout")),
            (S::Partial, true, 0, 2, None, Failed, Some("files_failed")),
            (S::Partial, false, 0, 2, None, Failed, Some("files_failed")),
            (S::Partial, true, 5, 2, None, Partial, None),
            (S::Partial, false, 5, 0, None, Failed, Some("incomplete")),
            (
                S::Partial,
                true,
                5,
                0,
                remote(Kind::Network),
                Partial,
                Some("network"),
            ),
            (
                S::Partial,
                false,
                5,
                0,
                remote(Kind::Network),
                Failed,
                Some("network"),
            ),
            (
                S::Failed,
                true,
                5,
                0,
                remote(Kind::SubscriptionExpired),
                Failed,
                Some("subscription_expired"),
            ),
            (
                S::Failed,
                true,
                5,
                0,
                store(StoreErrorKind::Denied),
                Failed,
                Some("permission_denied"),
            ),
            (
                S::Failed,
                true,
                5,
                0,
                store(StoreErrorKind::Other),
                Partial,
                Some("destination"),
            ),
            (
                S::Failed,
                true,
                5,
                0,
                store(StoreErrorKind::Busy),
                Busy,
                Some("busy"),
            ),
        ] {
            let case = format!("{status:?} {advanced} {remaining} {failed} {error:?}");
            let report = Report {
                status,
                advanced,
                remaining,
                files_failed: failed,
                error,
                ..report()
            };
            let answer = VaultAnswer::of_report("id", "n", &report);
            assert_eq!(answer.status, expected, "{case}");
            let told = answer.error.map(|error| error.kind);
            assert_eq!(told, word, "{case}");
        }
    }

    #[test]
    fn a_run_that_changed_nothing() {
        for (error, expected, word, retryable) in [
            (SyncError::Stopped, VaultStatus::Failed, "timeout", true),
            (
                StoreError::new(StoreErrorKind::Busy, "x").into(),
                VaultStatus::Busy,
                "busy",
                true,
            ),
            (
                obsidian_sync::Error::new(Kind::WrongVaultPassword, "x").into(),
                VaultStatus::Failed,
                "wrong_vault_password",
                false,
            ),
        ] {
            let answer = VaultAnswer::of_run("id", "n", &Err(error));
            let told = answer.error.unwrap();
            assert_eq!(answer.status, expected);
            assert_eq!((told.kind, told.retryable), (word, retryable));
        }
    }

    #[test]
    fn the_first_file_that_failed_is_named() {
        let problem = |path: &str, kind| Problem {
            path: path.to_owned(),
            uid: Uid(1),
            kind,
            message: "its content is gone".to_owned(),
        };
        let mut report = Report {
            status: Status::Partial,
            files_failed: 1,
            problems: vec![
                problem("kept.md", ProblemKind::Kept),
                problem("a\u{1b}b.md", ProblemKind::Failed),
                problem("c.md", ProblemKind::Failed),
            ],
            ..report()
        };
        let told = |report: &Report| {
            let answer = VaultAnswer::of_report("id", "n", report);
            answer.error.unwrap().message
        };
        assert_eq!(
            told(&report),
            "1 file could not be brought: 'a\\u{1b}b.md': its content is gone"
        );
        report.files_failed = 3;
        assert_eq!(
            told(&report),
            "3 files could not be brought: 'a\\u{1b}b.md': its content is gone (and 2 more)"
        );
    }
}
