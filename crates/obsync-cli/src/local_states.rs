//! The sync states on this machine, found without asking the service.

use obsidian_sync::VaultId;
use obsync_config::suggest::did_you_mean;
use obsync_core::StoreError;
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

    /// Whether its place is that of states for a destination. What it says of itself may be unreadable,
    /// or be from a time when the folder was not there yet.
    pub(crate) fn is_for(&self, dir: &StateDir, dest: &str) -> bool {
        let about = About::new(&VaultId::new(""), "", dest);
        self.paths.db.file_name() == dir.state(&about).db.file_name()
    }
}

/// Why there is no state as it was asked for.
pub(crate) enum Missing {
    /// None can be looked at.
    Unreadable(StoreError),
    /// None is of this vault, or not of it alone.
    Unknown(Failure),
}

impl From<StoreError> for Missing {
    fn from(error: StoreError) -> Self {
        Self::Unreadable(error)
    }
}

impl From<Missing> for Failure {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Unreadable(error) => error.into(),
            Missing::Unknown(failure) => failure,
        }
    }
}

/// A vault that has no state for a destination.
pub(crate) fn not_synced(vault: &str, dest: &str) -> Failure {
    Failure::usage(format!("the vault '{vault}' was not synced to {dest}"))
        .hint("'obsync status' lists what was synced to folders from here")
}

/// The state of a vault for a destination, also one that can't be read: its place tells what it is of.
pub(crate) async fn local_state(
    dir: &StateDir,
    wanted: &str,
    dest: &str,
) -> Result<LocalState, Missing> {
    let missing = match local_states(dir, Some(wanted)).await {
        Ok(mut states) => {
            states.retain(|state| state.is_for(dir, dest));
            match states.pop() {
                Some(state) => return Ok(state),
                None => not_synced(wanted, dest),
            }
        }
        Err(Missing::Unknown(failure)) => failure,
        Err(missing) => return Err(missing),
    };
    // A damaged one may be of the vault that is meant, under its name; nobody can tell.
    let unread = local_states(dir, None).await?.into_iter();
    let unread = unread.filter(|state| state.about.is_none() && state.is_for(dir, dest));
    let hints = unread.filter_map(|state| {
        let id = state.paths.db.parent()?.file_name()?.to_str()?;
        Some(format!(
            "the sync state of vault {id} for this folder can't be read; give that id to reset it"
        ))
    });
    Err(Missing::Unknown(hints.fold(missing, Failure::hint)))
}

/// All states, or those of the vault that goes by an id or a name.
pub(crate) async fn local_states(
    dir: &StateDir,
    wanted: Option<&str>,
) -> Result<Vec<LocalState>, Missing> {
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
    let mut ids: Vec<&str> = states
        .iter()
        .filter(|state| state.name() == wanted)
        .map(LocalState::id)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    // A folder is found by its id even if nothing in it can be read; the id goes first.
    let mut of = dir.known(Some(&VaultId::new(wanted)))?;
    if of.is_empty() {
        of = match ids.as_slice() {
            [id] => dir.known(Some(&VaultId::new(*id)))?,
            [] => {
                let failure = Failure::usage(format!("no vault '{wanted}' was synced from here"));
                let hint = did_you_mean(wanted, states.iter().map(LocalState::name));
                let failure = hint.into_iter().fold(failure, Failure::hint);
                return Err(Missing::Unknown(
                    failure.hint("'obsync status' lists what was"),
                ));
            }
            _ => {
                let failure = Failure::usage(format!("{} vaults are named '{wanted}'", ids.len()));
                let those = ids.join(", ");
                return Err(Missing::Unknown(
                    failure.hint(format!("use the id of the one that is meant: {those}")),
                ));
            }
        };
    }
    states.retain(|state| of.contains(&state.paths));
    Ok(states)
}
