//! `verify`: is the copy right? With `--repair`, what is not is mended.

use obsync_core::report::Report;
use obsync_core::verify::{Difference, DifferenceKind, Verification, VerifyOptions};
use obsync_core::{SyncError, SyncRun};
use serde_json::{Value, json};

use super::sync::{ending, let_go, numbers, summary};
use crate::args::{Global, Verify};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::home::Access;
use crate::options::sync_options;
use crate::output::{Answer, Word, count};
use crate::run::{Known, Wanted};

const KINDS: [DifferenceKind; 4] = [
    DifferenceKind::Missing,
    DifferenceKind::Different,
    DifferenceKind::Unreadable,
    DifferenceKind::Extra,
];

pub(crate) async fn run(
    context: &Context,
    args: &Verify,
    global: &Global,
) -> Result<Answer, Failure> {
    let mut known = Known::new(&args.target);
    let result = async {
        let wanted = Wanted {
            target: &args.target,
            options: sync_options(&context.settings, context.device(), true)?,
            global,
            access: match args.repair {
                true => Access::Write,
                false => Access::Read,
            },
        };
        let mut run = known.run(context, wanted).await?;
        let options = VerifyOptions {
            read_data: args.read_data,
        };
        let found = compare(&run, options).await?;
        match args.repair {
            true => mend(context, &mut run, options, &found).await,
            false => Ok(told(&found)),
        }
    }
    .await;
    Ok(known.tell(result))
}

async fn compare(run: &SyncRun, options: VerifyOptions) -> Result<Verification, Failure> {
    run.verify(options).await.map_err(|error| match error {
        SyncError::Stopped => {
            let message = "stopped before every file was compared";
            Failure::new(Exit::Partial, "stopped", message)
        }
        error => error.into(),
    })
}

/// Mends what can be mended, and compares again: what is told then is how things are now.
async fn mend(
    context: &Context,
    run: &mut SyncRun,
    options: VerifyOptions,
    before: &Verification,
) -> Result<Answer, Failure> {
    if !before.needs_repair() {
        let mut answer = told(before);
        answer.json.insert("repair".to_owned(), Value::Null);
        answer.json.insert("mended".to_owned(), json!([]));
        return Ok(answer);
    }
    let report = run.repair(before).await;
    let_go(context, run).await;
    let report = match report {
        Ok(report) => report,
        // Nothing was changed: what was found still holds.
        Err(error) => {
            let mut answer = told(before);
            let failure = Failure::from(error);
            answer.json.extend(failure.status());
            answer.exit = failure.exit;
            answer.failure = Some(failure);
            return Ok(answer);
        }
    };
    Ok(match compare(run, options).await {
        Ok(after) => mended(before, &after, report),
        Err(failure) => unsure(failure, &report),
    })
}

/// After a repair that could not be compared again: what it did is known, how things are now is not.
fn unsure(failure: Failure, report: &Report) -> Answer {
    let mut answer = Answer::new(Value::Object(failure.status()));
    answer.json.insert("repair".to_owned(), numbers(report));
    answer.json.insert("mended".to_owned(), Value::Null);
    answer.words = summary(report);
    answer.exit = failure.exit;
    answer.failure = Some(failure);
    answer
}

fn mended(before: &Verification, after: &Verification, report: Report) -> Answer {
    let mended = before.mended(after);
    let mut answer = told(after);
    let lines: String = mended.iter().map(|one| line("mended", one)).collect();
    answer.data.insert_str(0, &lines);
    answer.json.insert("repair".to_owned(), numbers(&report));
    answer.json.insert("mended".to_owned(), json!(mended));
    let mut words = summary(&report);
    if !mended.is_empty() {
        words.push(format!("{} mended", count(mended.len() as u64, "file")).into());
    }
    answer.words.splice(0..0, words);
    let (exit, failure) = ending(report);
    // The run's own word, where it could not do all: it says what to do next.
    if exit != Exit::Done {
        answer.exit = exit;
        answer.failure = failure.or(answer.failure);
    } else if let Some(failure) = &mut answer.failure {
        failure.hints.clear();
        failure
            .hints
            .push("what could not be mended is listed above with the reason".to_owned());
    }
    answer
}

/// What differs is the data.
fn told(found: &Verification) -> Answer {
    let right = found.is_right();
    let counts: serde_json::Map<String, Value> = KINDS
        .iter()
        .map(|kind| (kind.word().to_owned(), found.count(*kind).into()))
        .chain([
            ("correct".to_owned(), found.correct.into()),
            ("stale".to_owned(), found.stale.len().into()),
            ("skipped".to_owned(), found.skipped.into()),
        ])
        .collect();
    let mut answer = Answer::new(json!({
        "status": if right { "ok" } else { "different" },
        "version": found.version, "counts": counts, "differences": found.differences,
        "notes": found.notes,
    }));
    let lines = found.differences.iter();
    answer.data = lines.map(|one| line(one.kind.word(), one)).collect();
    answer.words = found.notes.iter().map(Word::warning).collect();
    if !found.stale.is_empty() {
        answer = answer.say(format!(
            "the sync state lists {} otherwise than it is here; 'obsync sync … --full' or \
             '--repair' notes it",
            count(found.stale.len() as u64, "right file")
        ));
    }
    let files = count(found.correct, "file");
    if right {
        let extra = match found.count(DifferenceKind::Extra) {
            0 => String::new(),
            extra => format!("; {} more than the vault has", count(extra, "file")),
        };
        return answer.say(format!("the copy is right: {files}{extra}"));
    }
    let wrong = found.differences.iter().filter(|one| !one.harmless).count();
    let message = format!(
        "{} not as in the vault; {files} right",
        count(wrong as u64, "file")
    );
    answer.exit = Exit::Failed;
    answer.failure = Some(
        Failure::new(Exit::Failed, "different", message)
            .hint("changes since the last sync count too; 'obsync sync' brings them")
            .hint(
                "'obsync verify … --repair' mends the rest: what was edited here is kept as a \
                 conflicted copy, or with --mode mirror in the trash",
            ),
    );
    answer
}

fn line(what: &str, one: &Difference) -> String {
    let line = format!("{what}  {}  ({})", one.path, one.message);
    format!("{}\n", obsync_core::escape_name(&line))
}
