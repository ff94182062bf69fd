//! `reset`: forget the sync state, so that the next sync compares everything.

use obsync_local::{SqliteStateStore, destination};
use serde_json::json;

use crate::args::Reset;
use crate::context::{Context, folder};
use crate::exit::Failure;
use crate::local_states::local_states;
use crate::output::Answer;

pub(crate) async fn run(context: &Context, args: &Reset) -> Result<Answer, Failure> {
    let mut states = local_states(&context.state_dir(), Some(&args.vault)).await?;
    if let Some(dest) = &args.dest {
        let dest = destination(&folder(dest)?);
        states.retain(|state| state.dest() == dest);
        if states.is_empty() {
            let message = format!("the vault '{}' was not synced to {dest}", args.vault);
            return Err(Failure::usage(message).hint("'obsync status' lists what was"));
        }
    }
    let mut forgotten = Vec::new();
    for state in &states {
        if SqliteStateStore::reset(&state.paths)? {
            forgotten.push(state.dest().to_owned());
        }
    }
    let words: Vec<String> = forgotten
        .iter()
        .map(|dest| format!("forgot the sync state for {dest}"))
        .collect();
    let answer = Answer::new(json!({ "status": "ok", "destinations": forgotten }));
    Ok(words
        .into_iter()
        .fold(answer, Answer::say)
        .say("all files stay; the next sync compares everything"))
}
