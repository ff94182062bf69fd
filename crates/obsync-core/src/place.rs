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
        let mut last = None;
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
            let failure = match self.store.publish(staged, &expect, retire).await {
                Ok(stamp) => return Ok(stamp),
                Err(failure) => failure,
            };
            match (failure.error.kind, failure.staged) {
                (StoreErrorKind::Changed, Some(again)) => {
                    staged = again;
                    last = Some(failure.error);
                }
                _ => {
                    let done = self.done_all_the_same(target, &over, &failure.error).await;
                    return done.ok_or(failure.error);
                }
            }
            over = match self.look(target, &over).await? {
                Seen::Target(stamp) => return Ok(stamp),
                Seen::Over(over) => over,
            };
        }
        Err(last.unwrap_or_else(|| {
            let path = target.path.display();
            let message = format!("{path} keeps changing while it is written");
            StoreError::new(StoreErrorKind::Changed, message)
        }))
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

    /// The stamp of a target that is in its place although its store told an error: only the reply
    /// was lost.
    pub(crate) async fn done_all_the_same(
        &self,
        target: &Target,
        over: &Over,
        error: &StoreError,
    ) -> Option<Stamp> {
        // Who may not write any more has no say about what is there either.
        if let StoreErrorKind::Busy | StoreErrorKind::Unusable = error.kind {
            return None;
        }
        match self.look(target, over).await {
            Ok(Seen::Target(stamp)) => Some(stamp),
            _ => None,
        }
    }

    /// Looks at what stands at a target after a publish that did not go as expected.
    async fn look(&self, target: &Target, expected: &Over) -> Result<Seen, StoreError> {
        let path = &target.path;
        let in_the_way = |what: &str| {
            let message = format!("{what} is in the way of {}", path.display());
            Err(StoreError::new(StoreErrorKind::InTheWay, message))
        };
        let (stamp, size) = match self.store.inspect(path, None).await? {
            Found::Absent => return Ok(Seen::Over(Over::Nothing)),
            Found::File { stamp, size } => (stamp, size),
            Found::Folder => return in_the_way("a folder"),
            Found::Foreign(what) => return in_the_way(&what),
        };
        match expected {
            // Still what it was: the store minds something else, such as the source of a copy.
            Over::Ours(known) | Over::Local(known) if *known == stamp => {
                return Ok(Seen::Over(expected.clone()));
            }
            _ => {}
        }
        // Ours, if the reply to a write was lost; and if somebody else wrote the same, just as good.
        if size == target.size()
            && let Ok(Some((hash, stamp))) = self.store.hash(path).await
            && hash == target.file.hash
        {
            return Ok(Seen::Target(stamp));
        }
        Ok(Seen::Over(Over::Local(stamp)))
    }
}

/// What stands at a target.
enum Seen {
    /// The very content that was to come there.
    Target(Stamp),
    /// Something that it replaces, or nothing.
    Over(Over),
}
