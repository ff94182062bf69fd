//! Putting staged content in its place, whatever stands there by then.

use std::sync::{Arc, Mutex, PoisonError};

use obsidian_sync::Millis;

use crate::path::VaultPath;
use crate::plan::{Mode, Over, Target, aside_name, conflict_name};
use crate::progress::{Event, Progress};
use crate::store::{Expect, Found, Retire, Staged, Stamp, StoreError, StoreErrorKind, VaultStore};

/// Publishes files by the rules of a mode.
pub(crate) struct Placer {
    pub(crate) store: Arc<dyn VaultStore>,
    pub(crate) progress: Arc<dyn Progress>,
    pub(crate) mode: Mode,
    pub(crate) device: String,
    /// When the run began: conflicted copies of one run bear one time.
    pub(crate) now: Millis,
    /// Whose places the vault's content took, and where the local content is now.
    pub(crate) kept: Mutex<Vec<(VaultPath, VaultPath)>>,
}

/// Somebody may write to the same file again and again; we give up before they do.
const MOST_SURPRISES: usize = 4;
/// How many numbered names are tried for local content.
const MOST_NAMES: u32 = 100;

impl Placer {
    /// Makes staged content visible at its target. What stands there and is not the vault's own is
    /// kept: under a conflicted name (`pull`) or in the trash (`mirror`).
    pub(crate) async fn place(
        &self,
        target: &Target,
        mut staged: Staged,
    ) -> Result<Stamp, StoreError> {
        let mut over = target.over.clone();
        for _ in 0..MOST_SURPRISES {
            let (expect, retire) = match (&over, self.mode) {
                (Over::Nothing, _) => (Expect::Absent, Retire::Discard),
                (Over::Ours(stamp), mode) => (Expect::Is(stamp.clone()), mode.retire()),
                (Over::Local(stamp), Mode::Mirror) => (Expect::Is(stamp.clone()), Retire::Trash),
                (Over::Local(_), Mode::Pull) => {
                    self.keep_conflicted(&target.path).await?;
                    (Expect::Absent, Retire::Discard)
                }
            };
            match self.store.publish(staged, &expect, retire).await {
                Ok(stamp) => return Ok(stamp),
                Err(failure) => match (failure.error.kind, failure.staged) {
                    (StoreErrorKind::Changed, Some(again)) => {
                        staged = again;
                        over = self.look(&target.path).await?;
                    }
                    _ => return Err(failure.error),
                },
            }
        }
        let message = format!(
            "{} keeps changing while it is written",
            target.path.display()
        );
        Err(StoreError::new(StoreErrorKind::Changed, message))
    }

    /// Moves a local file that stands where the vault has a folder to a free name beside it.
    pub(crate) async fn set_aside(&self, path: &VaultPath) -> Result<(), StoreError> {
        self.keep(path, |attempt| aside_name(path, attempt)).await
    }

    async fn keep_conflicted(&self, path: &VaultPath) -> Result<(), StoreError> {
        self.keep(path, |attempt| {
            conflict_name(path, &self.device, self.now, attempt)
        })
        .await
    }

    async fn keep(
        &self,
        path: &VaultPath,
        name: impl Fn(u32) -> VaultPath,
    ) -> Result<(), StoreError> {
        let mut attempt = 0;
        loop {
            let kept_as = name(attempt);
            match self.store.set_aside(path, &kept_as).await {
                Ok(()) => {
                    self.progress.event(Event::Kept {
                        path,
                        kept_as: &kept_as,
                    });
                    let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.push((path.clone(), kept_as));
                    return Ok(());
                }
                Err(error) if error.kind == StoreErrorKind::Changed && attempt < MOST_NAMES => {
                    // Either the name is taken, or there is nothing left to keep.
                    if self.store.inspect(path, None).await? == Found::Absent {
                        return Ok(());
                    }
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn look(&self, path: &VaultPath) -> Result<Over, StoreError> {
        let in_the_way = |what: &str| {
            let message = format!("{what} is in the way of {}", path.display());
            Err(StoreError::new(StoreErrorKind::InTheWay, message))
        };
        match self.store.inspect(path, None).await? {
            Found::Absent => Ok(Over::Nothing),
            Found::File { stamp, .. } => Ok(Over::Local(stamp)),
            Found::Folder => in_the_way("a folder"),
            Found::Foreign(what) => in_the_way(&what),
        }
    }
}
