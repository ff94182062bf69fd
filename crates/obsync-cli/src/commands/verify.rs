//! `verify`: is the copy right?

use obsync_core::verify::Verification;
use serde_json::json;

use crate::args::{Global, Verify};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::home::Access;
use crate::options::sync_options;
use crate::output::{Answer, count};
use crate::run::{Known, Wanted};

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
            access: Access::Read,
        };
        let run = known.run(context, wanted).await?;
        Ok(told(&run.verify().await?))
    }
    .await;
    Ok(known.tell(result))
}

/// Differences are the data; extra files are no fault, since `pull` keeps them.
fn told(found: &Verification) -> Answer {
    let lists = [
        ("missing", &found.missing),
        ("different", &found.different),
        ("extra", &found.extra),
    ];
    let mut data = String::new();
    for (what, paths) in lists {
        for path in paths {
            data.push_str(&format!("{what}  {}\n", obsync_core::escape_name(path)));
        }
    }
    for (path, why) in &found.unreadable {
        let line = format!("unreadable  {path}: {why}");
        data.push_str(&format!("{}\n", obsync_core::escape_name(&line)));
    }
    let right = found.is_right();
    let mut answer = Answer::new(json!({
        "status": if right { "ok" } else { "different" },
        "version": found.version, "correct": found.correct, "missing": found.missing,
        "different": found.different, "extra": found.extra, "unreadable": found.unreadable,
        "skipped": found.skipped,
    }))
    .data(data);
    let files = count(found.correct, "file");
    if right {
        let extra = match found.extra.len() as u64 {
            0 => String::new(),
            extra => format!("; {} more than the vault has", count(extra, "file")),
        };
        return answer.say(format!("the copy is right: {files}{extra}"));
    }
    let wrong = found.missing.len() + found.different.len() + found.unreadable.len();
    let message = format!(
        "{} not as in the vault; {files} right",
        count(wrong as u64, "file")
    );
    answer.exit = Exit::Failed;
    answer.failure = Some(
        Failure::new(Exit::Failed, "different", message)
            .hint("changes since the last sync count too; 'obsync sync' brings them")
            .hint(
                "'obsync sync … --full' brings what is missing; --mode mirror also what was edited",
            ),
    );
    answer
}
