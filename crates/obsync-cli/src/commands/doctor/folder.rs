//! A folder as a destination, and the sync states on this machine.

use std::path::Path;

use obsidian_sync::{Vault, VaultId};
use obsync_core::guard::{Destination, check_destination};
use obsync_core::{
    Counts, Folding, Header, StateStore as _, StoreError, StoreErrorKind, SyncError,
    VaultStore as _,
};
use obsync_local::{
    About, FolderOptions, FolderStore, RunLock, SqliteStateStore, StatePaths, destination,
};

use super::checks::Checks;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::local_states::{Missing, local_states};
use crate::output::{bytes, count};

/// What a destination is looked at for.
pub(super) struct Looked<'a> {
    pub(super) context: &'a Context,
    /// The vault as the command line names it.
    pub(super) wanted: Option<&'a str>,
    /// The vault as the service knows it.
    pub(super) vault: Option<&'a Vault>,
}

impl Looked<'_> {
    pub(super) async fn folder(&self, checks: &mut Checks, dest: &Path) {
        let found = async {
            let store = FolderStore::open(dest, FolderOptions::default())?;
            let found = store.check().await?;
            Ok::<_, StoreError>((store, found))
        };
        let (store, found) = match found.await {
            Ok(found) => found,
            Err(error) => {
                checks.fail("destination", error);
                let why = "the destination can't be used";
                return checks.skip_all(&["names", "space", "lock", "state", "copy"], why);
            }
        };
        let path = store.location();
        checks.ok(
            "destination",
            match found.exists {
                true => format!("{path} can be written"),
                false => format!("{path} is not there yet, and can be created"),
            },
        );
        names(checks, found.folding);
        let paths = self.state(dest).await;
        let state = match &paths {
            None => None,
            Some((_, paths)) => Some(read(paths).await),
        };
        let counts = match &state {
            Some(Ok((_, counts))) => *counts,
            _ => Counts::default(),
        };
        let wanted = self.vault.map_or(0, |vault| vault.size);
        space(checks, found.free, wanted, counts.bytes);
        lock(checks, &store, paths.as_ref().map(|(_, paths)| paths));
        let header = match state {
            None => return checks.skip_all(&["state", "copy"], "the vault is not known"),
            Some(Err(error)) => {
                checks.fail("state", unusable(error));
                return checks.skip("copy", "the sync state can't be read");
            }
            Some(Ok((header, counts))) => {
                checks.ok("state", state_words(&header, counts));
                header
            }
        };
        if let Some((vault, _)) = paths {
            copy(checks, &store, &vault, &header, counts).await;
        }
    }

    /// The vault's id and its state for a destination; without the service, by what is kept here.
    async fn state(&self, dest: &Path) -> Option<(VaultId, StatePaths)> {
        let dest = destination(dest);
        let dir = self.context.state_dir();
        if let Some(vault) = self.vault {
            let about = About::new(&vault.id, &vault.name, dest);
            return Some((vault.id.clone(), dir.state(&about)));
        }
        let states = local_states(&dir, self.wanted).await.ok()?;
        let mut here = states.into_iter().filter(|state| state.is_for(&dir, &dest));
        let found = here.next()?;
        // Several vaults' states for one folder: which is meant, nobody says.
        match here.next() {
            None => Some((VaultId::new(found.id()), found.paths)),
            Some(_) => None,
        }
    }
}

/// `wanted` is the vault's size, `here` what of it has arrived; all in bytes.
fn space(checks: &mut Checks, free: Option<u64>, wanted: u64, here: u64) {
    let Some(free) = free else {
        return checks.warn(
            "space",
            "the file system does not tell how much is free",
            "",
        );
    };
    let missing = wanted.saturating_sub(here);
    if missing > free {
        let message = format!(
            "{} are free, and up to {} of the vault's {} are still to come",
            bytes(free),
            bytes(missing),
            bytes(wanted)
        );
        return checks.warn("space", message, "make room, or choose what is synced");
    }
    checks.ok("space", format!("{} are free", bytes(free)));
}

fn names(checks: &mut Checks, folding: Folding) {
    let which = match (folding.case, folding.unicode) {
        (false, false) => {
            return checks.ok("names", "names that differ in any way are different files");
        }
        (true, false) => "in upper and lower case",
        (false, true) => "in how accents are composed",
        (true, true) => "in case or in how accents are composed",
    };
    let message = format!("names that differ only {which} are one file there");
    checks.warn(
        "names",
        message,
        "of two such files in the vault, the newer is left out",
    );
}

/// Whether another run is at work. One that starts just now is not kept from it.
fn lock(checks: &mut Checks, store: &FolderStore, paths: Option<&StatePaths>) {
    let state = match paths {
        Some(paths) => {
            let what = format!("the copy in {}", store.path().display());
            RunLock::look(&paths.lock, &what)
        }
        None => Ok(()),
    };
    match state.and_then(|()| store.look_at_lock()) {
        Ok(()) => checks.ok("lock", "no other run is at work"),
        Err(error) if error.kind == StoreErrorKind::Busy => {
            checks.warn("lock", error.message, "wait for it, or stop it");
        }
        Err(error) => checks.fail("lock", error),
    }
}

async fn read(paths: &StatePaths) -> Result<(Header, Counts), StoreError> {
    let state = SqliteStateStore::open_read_only(paths);
    Ok((state.header().await?, state.counts().await?))
}

fn unusable(error: StoreError) -> Failure {
    Failure::new(Exit::Failed, "state_unusable", error.message).hint(
        "'obsync reset VAULT --dest DEST' forgets it; files stay, and equal ones are not fetched",
    )
}

pub(super) fn state_words(header: &Header, counts: Counts) -> String {
    match *header == Header::default() {
        true => "nothing was synced there yet".to_owned(),
        false => format!(
            "{} in the sync state, up to version {}",
            count(counts.files, "file"),
            header.cursor
        ),
    }
}

/// Whether what lies there is what the state is of.
async fn copy(
    checks: &mut Checks,
    store: &FolderStore,
    vault: &VaultId,
    header: &Header,
    counts: Counts,
) {
    let looked = async {
        let there = Destination {
            location: store.location(),
            mark: store.identity().await?,
            empty: store.is_empty().await?,
            expected: header.destination.as_deref(),
            files: counts.files,
        };
        Ok::<_, SyncError>(check_destination(vault, &there)?)
    };
    match looked.await {
        Ok(()) => checks.ok("copy", "the folder is the one that the sync state is of"),
        Err(error) => checks.fail("copy", error),
    }
}

/// All states here, or those of one vault: whether each can be read.
pub(super) async fn states(checks: &mut Checks, context: &Context, wanted: Option<&str>) {
    let states = match local_states(&context.state_dir(), wanted).await {
        Ok(states) => states,
        Err(Missing::Unknown(_)) => Vec::new(),
        Err(Missing::Unreadable(error)) => return checks.fail("state", error),
    };
    if states.is_empty() {
        return checks.ok("state", "nothing was synced to a folder from here yet");
    }
    for state in &states {
        let whose = format!("'{}' in {}", state.name(), state.dest());
        match read(&state.paths).await {
            Ok((header, counts)) => {
                checks.ok(
                    "state",
                    format!("{whose}: {}", state_words(&header, counts)),
                );
            }
            Err(error) => checks.fail("state", unusable(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(check: impl FnOnce(&mut Checks)) -> (String, String) {
        let mut checks = Checks::default();
        check(&mut checks);
        let json = checks.answer().json["checks"][0].clone();
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        (text("status"), text("message"))
    }

    #[test]
    fn room_for_what_is_still_to_come() {
        let state = |free, wanted, here| told(|checks| space(checks, free, wanted, here)).0;
        assert_eq!(state(Some(100), 100, 0), "ok");
        assert_eq!(state(Some(100), 150, 50), "ok");
        assert_eq!(state(Some(99), 150, 50), "warning");
        assert_eq!(state(None, 0, 0), "warning");
        let message = told(|checks| space(checks, Some(1024), 4096, 2048)).1;
        assert_eq!(
            message,
            "1.00 KiB are free, and up to 2.00 KiB of the vault's 4.00 KiB are still to come"
        );
    }

    #[test]
    fn names_that_fold_are_told() {
        for (case, unicode, state) in [
            (false, false, "ok"),
            (true, false, "warning"),
            (false, true, "warning"),
            (true, true, "warning"),
        ] {
            let found = told(|checks| names(checks, Folding { case, unicode }));
            assert_eq!(found.0, state);
        }
    }
}
