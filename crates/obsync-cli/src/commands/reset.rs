//! `reset`: forget the sync state, so that the next sync compares everything.

use obsync_core::{Batch, Header, RunStatus, StateStore, StoreError};
use obsync_local::{SqliteStateStore, destination};
use serde_json::json;

use crate::args::Reset;
use crate::context::Context;
use crate::exit::Failure;
use crate::home::{Bucket, Site};
use crate::local_states::{local_state, local_states, not_synced};
use crate::output::Answer;

pub(crate) async fn run(context: &Context, args: &Reset) -> Result<Answer, Failure> {
    let site = match &args.dest {
        Some(dest) => Some(Site::new(dest, args.s3, context).await?),
        None => None,
    };
    let forgotten = match site {
        Some(Site::S3(bucket)) => vec![in_bucket(context, args, &bucket).await?],
        Some(Site::Folder(dest)) => here(context, args, Some(&destination(&dest))).await?,
        None => here(context, args, None).await?,
    };
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

/// The states on this machine, or the one for a destination.
async fn here(context: &Context, args: &Reset, dest: Option<&str>) -> Result<Vec<String>, Failure> {
    let dir = context.state_dir();
    let states = match dest {
        Some(dest) => vec![local_state(&dir, &args.vault, dest).await?],
        None => local_states(&dir, Some(&args.vault)).await?,
    };
    let mut forgotten = Vec::new();
    for state in &states {
        if SqliteStateStore::reset(&state.paths)? {
            forgotten.push(dest.unwrap_or(state.dest()).to_owned());
        }
    }
    Ok(forgotten)
}

async fn in_bucket(context: &Context, args: &Reset, bucket: &Bucket) -> Result<String, Failure> {
    let (_, home) = bucket.find(context, &args.vault).await?;
    let dest = home.files.location();
    let state = &*home.state;
    if state.header().await? == Header::default() {
        return Err(not_synced(&args.vault, &dest));
    }
    let forgotten = forget(state).await;
    // Other runs may come in, however it went.
    let let_go = state.checkpoint().await;
    forgotten.and(let_go)?;
    state.set_status(&RunStatus::default()).await?;
    Ok(dest)
}

/// Empties a state where it is: whatever keeps others out, and whatever is chosen once, stays.
async fn forget(state: &dyn StateStore) -> Result<(), StoreError> {
    let unapplied = state.unapplied().await?;
    let batch = Batch {
        header: Some(Header::default()),
        forget: state.load().await?.entries.into_keys().collect(),
        settle: true,
        unlist: unapplied.into_iter().map(|item| item.name).collect(),
        ..Batch::default()
    };
    state.commit(batch).await
}
