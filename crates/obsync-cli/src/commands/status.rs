//! `status`: where things stand, from the states alone: those here, or one in a bucket.

use std::time::Duration;

use jiff::Timestamp;
use obsidian_sync::Millis;
use obsync_core::{Counts, Header, RunStatus, StateStore, StoreError, Unapplied, UnappliedKind};
use obsync_local::{SqliteStateStore, destination};
use serde_json::{Value, json};

use crate::args::Status;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::home::{Bucket, Site};
use crate::local_states::{LocalState, local_state, local_states, not_synced};
use crate::output::{Answer, bytes, count, table};

pub(crate) async fn run(context: &Context, args: &Status) -> Result<Answer, Failure> {
    let site = match &args.dest {
        Some(dest) => Some(Site::new(dest, args.s3, context).await?),
        None => None,
    };
    let dest = match (site, &args.vault) {
        (Some(Site::S3(bucket)), Some(vault)) => return in_bucket(context, vault, &bucket).await,
        (Some(Site::Folder(dest)), _) => Some(destination(&dest)),
        _ => None,
    };
    let dir = context.state_dir();
    let states = match (dest, &args.vault) {
        (Some(dest), Some(vault)) => vec![local_state(&dir, vault, &dest).await?],
        (_, vault) => local_states(&dir, vault.as_deref()).await?,
    };
    let (mut list, mut data) = (Vec::new(), String::new());
    let mut failure = None;
    for state in &states {
        if !data.is_empty() {
            data.push('\n');
        }
        let whose = Whose::of(state);
        match read(&SqliteStateStore::open_read_only(&state.paths)).await {
            Ok(facts) => {
                list.push(facts.json(&whose));
                data.push_str(&facts.text(&whose));
            }
            Err(error) => {
                let error = Failure::from(error);
                list.push(json!({
                    "vault_id": whose.id, "name": whose.name, "dest": whose.dest,
                    "known": false, "error": error.json(),
                }));
                let rows = [
                    whose.heading(),
                    vec!["state".to_owned(), error.message.clone()],
                ];
                data.push_str(&table(&rows));
                failure = Some(error);
            }
        }
    }
    let status = if failure.is_some() { "failed" } else { "ok" };
    let mut answer = Answer::new(json!({ "status": status, "vaults": list })).data(data);
    if states.is_empty() {
        answer = answer.say("nothing was synced from here yet");
    }
    answer.exit = failure.as_ref().map_or(Exit::Done, |failure| failure.exit);
    answer.failure = failure;
    Ok(answer)
}

/// One vault's state in a bucket. Only the account knows the vault's id, by which it is named.
async fn in_bucket(context: &Context, vault: &str, bucket: &Bucket) -> Result<Answer, Failure> {
    let (found, home) = bucket.find(context, vault).await?;
    let dest = home.files.location();
    let facts = read(&*home.state).await?;
    if facts.runs == RunStatus::default() && facts.header == Header::default() {
        return Err(not_synced(vault, &dest));
    }
    let whose = Whose {
        id: found.id.as_str(),
        name: &found.name,
        dest: &dest,
    };
    let json = json!({ "status": "ok", "vaults": [facts.json(&whose)] });
    Ok(Answer::new(json).data(facts.text(&whose)))
}

/// What a state is of.
struct Whose<'a> {
    id: &'a str,
    name: &'a str,
    dest: &'a str,
}

impl<'a> Whose<'a> {
    fn of(state: &'a LocalState) -> Self {
        Self {
            id: state.id(),
            name: state.name(),
            dest: state.dest(),
        }
    }

    fn heading(&self) -> Vec<String> {
        vec![self.name.to_owned(), format!("→ {}", self.dest)]
    }
}

/// What a state and the note on its runs tell.
struct Facts {
    header: Header,
    counts: Counts,
    unapplied: Vec<Unapplied>,
    runs: RunStatus,
}

async fn read(store: &dyn StateStore) -> Result<Facts, StoreError> {
    Ok(Facts {
        header: store.header().await?,
        counts: store.counts().await?,
        unapplied: store.unapplied().await?,
        runs: store.status().await?,
    })
}

impl Facts {
    fn json(&self, whose: &Whose<'_>) -> Value {
        let time = |at: Option<Millis>| at.map(|at| timestamp(at).to_string());
        let unapplied: Vec<Value> = self
            .unapplied
            .iter()
            .map(|item| {
                json!({
                    "path": item.name, "uid": item.uid, "kind": item.kind,
                    "message": item.message, "attempts": item.attempts,
                })
            })
            .collect();
        let mut json = json!({
            "vault_id": whose.id, "name": whose.name, "dest": whose.dest, "known": true,
            "cursor": self.header.cursor, "files": self.counts.files, "bytes": self.counts.bytes,
            "last_run": time(self.runs.last_run), "last_change": time(self.runs.last_change),
            "last_success": time(self.runs.last_success), "pending": self.runs.pending,
            "problems": unapplied,
        });
        if let Some(progress) = &self.runs.progress {
            json["progress"] = json!(progress);
        }
        if let Some(error) = &self.runs.last_error {
            json["last_error"] = json!({
                "at": timestamp(error.at).to_string(), "kind": error.kind,
                "message": error.message,
            });
        }
        json
    }

    fn text(&self, whose: &Whose<'_>) -> String {
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = vec![
            whose.heading(),
            row("  id", whose.id.to_owned()),
            row(
                "  last success",
                self.runs.last_success.map_or("never".to_owned(), ago),
            ),
            row(
                "  last change",
                self.runs.last_change.map_or("never".to_owned(), ago),
            ),
            row("  cursor", self.header.cursor.to_string()),
            row(
                "  files",
                format!("{}, {}", self.counts.files, bytes(self.counts.bytes)),
            ),
            row("  pending", count(self.runs.pending, "file")),
        ];
        if let Some(error) = &self.runs.last_error {
            rows.push(row(
                "  last error",
                format!("{}: {}", ago(error.at), error.message),
            ));
        }
        rows.extend(self.unapplied.iter().map(|item| {
            let what = match item.kind {
                UnappliedKind::Unfinished => "  under way",
                UnappliedKind::Failed | UnappliedKind::Skipped => "  not brought",
            };
            row(what, format!("{}: {}", item.name, item.message))
        }));
        table(&rows)
    }
}

fn timestamp(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at.0).unwrap_or_default()
}

/// A time, with how long ago it was.
fn ago(at: Millis) -> String {
    let at = timestamp(at);
    let passed = Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or_default();
    format!("{at:.0} ({} ago)", indicatif::HumanDuration(passed))
}
