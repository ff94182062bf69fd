//! `sync`: one run, or with `--dry-run` what it would do.

use std::time::{Duration, Instant};

use obsidian_sync::VaultVersion;
use obsync_core::report::{ProblemKind, Report, Status};
use obsync_core::{Preview, StoreErrorKind, SyncRun};
use serde_json::{Value, json};

use crate::args::{Global, Sync};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::home::Access;
use crate::options::sync_options;
use crate::output::{Answer, Word, bytes, table};
use crate::run::{Known, Wanted};

/// How long the end of a run may take that could not end well.
const LETTING_GO: Duration = Duration::from_secs(10);

pub(crate) async fn run(
    context: &Context,
    args: &Sync,
    global: &Global,
) -> Result<Answer, Failure> {
    let began = Instant::now();
    let mut known = Known::new(&args.target);
    let result = async {
        let wanted = Wanted {
            target: &args.target,
            options: sync_options(&context.settings, context.device(), args.full)?,
            global,
            access: match args.dry_run {
                true => Access::Read,
                false => Access::Write,
            },
        };
        let run = known.run(context, wanted).await?;
        if args.dry_run {
            Ok(planned(run.preview().await?))
        } else {
            Ok(sync(context, &run, began).await)
        }
    }
    .await;
    let result = match result {
        Ok(mut answer) => {
            answer.heading = Some(format!("'{}' → {}", known.vault_name(), known.dest()));
            answer
        }
        Err(failure) => undone(failure, None, began),
    };
    Ok(known.tell(Ok(result)))
}

/// What there is to tell of a run that changed nothing; `cursor` is the stored one, where the state was
/// reached.
fn undone(failure: Failure, cursor: Option<VaultVersion>, began: Instant) -> Answer {
    let mut json = numbers(&nothing());
    json["cursor"] = json!(cursor);
    json["duration_ms"] = millis(began);
    let mut answer = Answer::new(json);
    answer.json.extend(failure.status());
    answer.exit = failure.exit;
    answer.failure = Some(failure);
    answer
}

/// The report of a run that had nothing to do.
fn nothing() -> Report {
    Report {
        status: Status::Complete,
        files_downloaded: 0,
        files_moved: 0,
        files_deleted: 0,
        files_failed: 0,
        files_skipped: 0,
        files_hidden: 0,
        files_planned: 0,
        bytes: 0,
        cursor: VaultVersion(0),
        remaining: 0,
        advanced: false,
        problems: Vec::new(),
        notes: Vec::new(),
        error: None,
    }
}

fn millis(began: Instant) -> Value {
    u64::try_from(began.elapsed().as_millis())
        .unwrap_or(u64::MAX)
        .into()
}

/// What a run would do, as data: it is what was asked for.
fn planned(preview: Preview) -> Answer {
    let rows: Vec<Vec<String>> = preview
        .steps
        .iter()
        .map(|step| {
            let from = step.from.as_ref().map(|from| format!("(from {from})"));
            let size = step.bytes.map(|size| format!("({})", bytes(size)));
            let note = step.note.clone();
            let more: Vec<String> = [from, size, note].into_iter().flatten().collect();
            vec![step.action.to_owned(), step.path.clone(), more.join(" ")]
        })
        .collect();
    let mut answer = Answer::new(json!({
        "status": "planned", "steps": preview.steps, "notes": preview.notes,
    }))
    .data(table(&rows));
    answer.words = preview.notes.into_iter().map(Word::warning).collect();
    if rows.is_empty() {
        answer = answer.say("there is nothing to do");
    }
    if let Some(tripped) = preview.guard {
        let failure = Failure::from(obsync_core::SyncError::from(tripped));
        answer.exit = failure.exit;
        answer.failure = Some(failure);
    }
    answer
}

async fn sync(context: &Context, run: &SyncRun, began: Instant) -> Answer {
    let report = run.run().await;
    let_go(context, run).await;
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            let header = run.state.header().await.ok();
            return undone(error.into(), header.map(|header| header.cursor), began);
        }
    };
    let mut json = numbers(&report);
    json["duration_ms"] = millis(began);
    let mut answer = Answer::new(json);
    answer.words = summary(&report);
    let (exit, failure) = ending(report);
    (answer.exit, answer.failure) = (exit, failure);
    answer
}

/// The exit status of a run that may have changed something, and what ended it early.
pub(super) fn ending(report: Report) -> (Exit, Option<Failure>) {
    let exit = match report.status {
        Status::Complete => Exit::Done,
        Status::Partial => Exit::Partial,
        Status::Failed => Exit::Failed,
    };
    let failure = report.error.map(Failure::from);
    let told = failure.as_ref().filter(|_| exit == Exit::Failed);
    (told.map_or(exit, |failure| failure.exit), failure)
}

/// The run as JSON documents have it.
pub(super) fn numbers(report: &Report) -> Value {
    json!({
        "status": report.status,
        "files_downloaded": report.files_downloaded,
        "files_moved": report.files_moved,
        "files_deleted": report.files_deleted,
        "files_failed": report.files_failed,
        "files_skipped": report.files_skipped,
        "files_hidden": report.files_hidden,
        "bytes": report.bytes,
        "cursor": report.cursor,
        "remaining": report.remaining,
        "problems": report.problems,
        "notes": report.notes,
    })
}

/// Lets other runs in at once, also after an early end. A run that ended well has done so.
pub(super) async fn let_go(context: &Context, run: &SyncRun) {
    let told = match tokio::time::timeout(LETTING_GO, run.state.checkpoint()).await {
        Ok(Ok(())) => return,
        // Another run is in already.
        Ok(Err(error)) if error.kind == StoreErrorKind::Busy => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    context.printer.warning(&format!(
        "the destination is kept from other runs a little longer: {told}"
    ));
}

/// The run in words: numbers, then each problem once. What is skipped is the same in each run, and
/// nothing to warn of again and again.
pub(super) fn summary(report: &Report) -> Vec<Word> {
    let mut lines: Vec<Word> = report.notes.iter().map(Word::warning).collect();
    for problem in &report.problems {
        let line = |what| format!("  {what}: {}: {}", problem.path, problem.message);
        lines.push(match problem.kind {
            ProblemKind::Failed => Word::warning(line("failed")),
            ProblemKind::Kept => Word::warning(line("kept")),
            ProblemKind::Skipped => line("skipped").into(),
        });
    }
    let numbers = [
        (report.files_downloaded, "downloaded"),
        (report.files_moved, "moved"),
        (report.files_deleted, "deleted"),
        (report.files_failed, "failed"),
        (report.files_skipped, "skipped"),
        (report.files_hidden, "left out by the settings"),
        (report.remaining, "still to come"),
    ];
    let told: Vec<String> = numbers
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    let status = match report.status {
        Status::Complete => "done",
        Status::Partial => "partly done, run again",
        Status::Failed => "failed",
    };
    let changed = report.files_downloaded + report.files_moved + report.files_deleted > 0;
    let ended = match (told.is_empty(), changed, report.status) {
        (true, _, Status::Complete) => "up to date".to_owned(),
        (false, false, Status::Complete) => format!("up to date ({})", told.join(", ")),
        (true, _, _) => status.to_owned(),
        _ => format!("{status}: {} ({})", told.join(", "), bytes(report.bytes)),
    };
    lines.push(ended.into());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use obsidian_sync::Uid;
    use obsync_core::report::Problem;

    fn report(status: Status) -> Report {
        Report {
            status,
            ..nothing()
        }
    }

    fn words(lines: &[&str]) -> Vec<Word> {
        lines.iter().copied().map(Word::from).collect()
    }

    #[test]
    fn the_summary_names_what_was_not_brought_and_why() {
        assert_eq!(summary(&report(Status::Complete)), words(&["up to date"]));

        let skipped = Problem {
            path: "../x".into(),
            uid: Uid(3),
            kind: ProblemKind::Skipped,
            message: "the name has a '.' or '..' segment".into(),
        };
        let idle = Report {
            files_skipped: 1,
            problems: vec![skipped],
            ..report(Status::Complete)
        };
        assert_eq!(
            summary(&idle),
            words(&[
                "  skipped: ../x: the name has a '.' or '..' segment",
                "up to date (1 skipped)"
            ])
        );

        let partial = Report {
            files_downloaded: 2,
            files_failed: 1,
            bytes: 2048,
            ..report(Status::Partial)
        };
        assert_eq!(
            summary(&partial),
            words(&["partly done, run again: 2 downloaded, 1 failed (2.00 KiB)"])
        );
    }
}
