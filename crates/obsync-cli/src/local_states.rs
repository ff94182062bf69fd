//! The sync states on this machine, found without asking the service.

use obsidian_sync::VaultId;
use obsync_config::suggest::did_you_mean;
use obsync_local::{About, SqliteStateStore, StateDir, StatePaths};

use crate::exit::Failure;

/// One state, and what it says it is of.
pub(crate) struct LocalState {
    pub(crate) paths: StatePaths,
    about: Option<About>,
}

impl LocalState {
    pub(crate) fn id(&self) -> &str {
        self.about.as_ref().map_or("?", |about| &about.vault_id)
    }

    /// The vault's name when it was last seen.
    pub(crate) fn name(&self) -> &str {
        self.about.as_ref().map_or("?", |about| &about.vault_name)
    }

    pub(crate) fn dest(&self) -> &str {
        self.about.as_ref().map_or("?", |about| &about.destination)
    }
}

/// A vault that has no state for a destination.
pub(crate) fn not_synced(vault: &str, dest: &str) -> Failure {
    Failure::usage(format!("the vault '{vault}' was not synced to {dest}"))
        .hint("'obsync status' lists what was synced to folders from here")
}

/// All states, or those of the vault that goes by an id or a name.
pub(crate) async fn local_states(
    dir: &StateDir,
    wanted: Option<&str>,
) -> Result<Vec<LocalState>, Failure> {
    let mut states = Vec::new();
    for paths in dir.known(None)? {
        // One that can't be read is told of by whoever reads on.
        let about = SqliteStateStore::open_read_only(&paths)
            .about()
            .await
            .unwrap_or_default();
        states.push(LocalState { paths, about });
    }
    let Some(wanted) = wanted else {
        return Ok(states);
    };
    // The id's own folder is found even if nothing in it can be read.
    let by_id = dir.known(Some(&VaultId::new(wanted)))?;
    if !by_id.is_empty() {
        states.retain(|state| by_id.contains(&state.paths));
        return Ok(states);
    }
    let names: Vec<String> = states.iter().map(|state| state.name().to_owned()).collect();
    states.retain(|state| state.name() == wanted);
    let mut ids: Vec<&str> = states.iter().map(LocalState::id).collect();
    ids.sort_unstable();
    ids.dedup();
    match ids.len() {
        0 => {
            let failure = Failure::usage(format!("no vault '{wanted}' was synced from here"));
            let hint = did_you_mean(wanted, names.iter().map(String::as_str));
            Err(hint
                .into_iter()
                .fold(failure, Failure::hint)
                .hint("'obsync status' lists what was"))
        }
        1 => Ok(states),
        _ => Err(
            Failure::usage(format!("{} vaults are named '{wanted}'", ids.len())).hint(format!(
                "use the id of the one that is meant: {}",
                ids.join(", ")
            )),
        ),
    }
}
