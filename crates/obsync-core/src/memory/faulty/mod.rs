//! Stores that fail on purpose: before or after the n-th effect, once or, as a crash would, for good;
//! or once at a chosen operation. They can be slow, and count what goes on side by side.

mod pace;
mod state;
mod vault;

pub use state::FailingStateStore;
pub use vault::FailingVaultStore;

use std::fmt;
use std::sync::{Arc, Mutex};

use super::lock;
use crate::path::VaultPath;
use crate::store::{StoreError, StoreErrorKind};

/// An operation with an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each is the call of that name.
pub enum Op {
    SetIdentity,
    Stage,
    StageStream,
    Write,
    Finish,
    StageCopy,
    Publish,
    Rename,
    SetAside,
    RemoveFile,
    CreateFolder,
    RemoveFolder,
    Flush,
    Sweep,
    Commit,
    Checkpoint,
    SetStatus,
}

/// On which side of an effect a failure falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The effect does not happen.
    Before,
    /// The effect happens; its caller never learns of it.
    After,
}

/// How an effect that has begun ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum End {
    #[default]
    Well,
    /// It happens, and an error is told.
    Fail(StoreErrorKind),
    /// It happens, and nothing after it.
    Crash,
}

/// The plan of what fails, shared by all wrapped stores of one run. Clones share it.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    crash: Option<(u64, When)>,
    fail: Option<(u64, When, StoreErrorKind)>,
    crashed: bool,
    failed: bool,
    panic: Option<Op>,
    unreadable: Vec<String>,
    once: Vec<(Op, Option<String>, StoreErrorKind)>,
    trace: Vec<String>,
    pace: pace::Pace,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("effects", &self.effects())
            .finish_non_exhaustive()
    }
}

impl Faults {
    /// Fails nothing, and counts.
    pub fn none() -> Self {
        Self::default()
    }

    /// Crashes at the `n`-th effect, counted from 1 over all wrapped stores. From then on every
    /// call fails, as if the process were gone.
    pub fn crash(n: u64, when: When) -> Self {
        let faults = Self::default();
        lock(&faults.0).crash = Some((n, when));
        faults
    }

    /// Fails the `n`-th effect, counted from 1 over all wrapped stores; what comes after it goes well.
    pub fn fail_at(n: u64, when: When, kind: StoreErrorKind) -> Self {
        let faults = Self::default();
        lock(&faults.0).fail = Some((n, when, kind));
        faults
    }

    /// Fails the next `op`, of `path` or of any, once, before its effect.
    pub fn fail_next(&self, op: Op, path: Option<&str>, kind: StoreErrorKind) {
        lock(&self.0).once.push((op, path.map(str::to_owned), kind));
    }

    /// Lets nobody read the content of a file.
    pub fn unreadable(&self, path: &str) {
        lock(&self.0).unreadable.push(path.to_owned());
    }

    /// Panics at the next `op`: a bug in a store.
    pub fn panic_at(&self, op: Op) {
        lock(&self.0).panic = Some(op);
    }

    /// How many effects there were.
    pub fn effects(&self) -> u64 {
        lock(&self.0).trace.len() as u64
    }

    /// Whether the crash has come.
    pub fn crashed(&self) -> bool {
        lock(&self.0).crashed
    }

    /// Whether the failure of [`Faults::fail_at`] has come.
    pub fn failed(&self) -> bool {
        lock(&self.0).failed
    }

    /// The effects in order, as `Publish a.md`.
    pub fn trace(&self) -> Vec<String> {
        lock(&self.0).trace.clone()
    }

    /// Called by each reading call: a crashed process reads nothing either.
    fn alive(&self) -> Result<(), StoreError> {
        if lock(&self.0).crashed {
            Err(gone())
        } else {
            Ok(())
        }
    }

    /// Called by each call that reads content.
    fn readable(&self, path: &VaultPath) -> Result<(), StoreError> {
        self.alive()?;
        let unreadable = &lock(&self.0).unreadable;
        match unreadable.iter().any(|denied| denied == path.as_str()) {
            true => Err(injected(StoreErrorKind::Denied)),
            false => Ok(()),
        }
    }

    /// Called before each effect. The answer says how it ends.
    fn enter(&self, op: Op, path: Option<&VaultPath>) -> Result<End, StoreError> {
        let mut plan = lock(&self.0);
        if plan.crashed {
            return Err(gone());
        }
        assert!(plan.panic != Some(op), "injected panic");
        let path = path.map(VaultPath::as_str);
        plan.trace.push(
            format!("{op:?} {}", path.unwrap_or_default())
                .trim_end()
                .to_owned(),
        );
        let hit = |(at, of, _): &(Op, Option<String>, StoreErrorKind)| {
            *at == op && (of.is_none() || of.as_deref() == path)
        };
        if let Some(index) = plan.once.iter().position(hit) {
            let (_, _, kind) = plan.once.remove(index);
            return Err(injected(kind));
        }
        let now = plan.trace.len() as u64;
        match (plan.crash, plan.fail) {
            (Some((n, When::Before)), _) if n == now => {
                plan.crashed = true;
                Err(gone())
            }
            (Some((n, When::After)), _) if n == now => Ok(End::Crash),
            (_, Some((n, when, kind))) if n == now => {
                plan.failed = true;
                match when {
                    When::Before => Err(injected(kind)),
                    When::After => Ok(End::Fail(kind)),
                }
            }
            _ => Ok(End::Well),
        }
    }

    fn leave(&self, end: End) -> Result<(), StoreError> {
        match end {
            End::Well => Ok(()),
            End::Fail(kind) => Err(injected(kind)),
            End::Crash => {
                lock(&self.0).crashed = true;
                Err(gone())
            }
        }
    }
}

fn injected(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "injected failure")
}

fn gone() -> StoreError {
    StoreError::new(StoreErrorKind::Other, "injected crash")
}

/// Runs one effect between the two points where it can fail.
macro_rules! effect {
    ($faults:expr, $op:expr, $path:expr, $call:expr) => {{
        let end = $faults.enter($op, $path)?;
        let running = $faults.begin($op).await;
        let done = $call;
        drop(running);
        $faults.leave(end)?;
        done
    }};
}

use effect;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{MemoryStateStore, MemoryVaultStore};
    use crate::state::{Batch, StateStore as _, Unapplied, UnappliedKind};
    use crate::store::VaultStore as _;
    use obsidian_sync::Uid;

    fn batch() -> Batch {
        let unapplied = Unapplied {
            name: "a".to_owned(),
            uid: Uid(1),
            kind: UnappliedKind::Failed,
            message: String::new(),
            attempts: 1,
            record: None,
        };
        Batch {
            list: vec![unapplied],
            ..Batch::default()
        }
    }

    #[tokio::test]
    async fn a_crash_falls_before_or_after_its_effect_and_ends_all() {
        for (when, folders, commits) in [(When::Before, 1, 0), (When::After, 1, 1)] {
            let (vault, state) = (MemoryVaultStore::new(), MemoryStateStore::new());
            let faults = Faults::crash(2, when);
            let failing = FailingVaultStore::new(vault.clone(), faults.clone());
            let failing_state = FailingStateStore::new(state.clone(), faults.clone());
            let path = VaultPath::parse("d").unwrap();
            failing.create_folder(&path).await.unwrap();
            assert!(failing_state.commit(batch()).await.is_err());
            assert!(faults.crashed());
            assert!(failing.remove_folder(&path).await.is_err());
            assert!(failing_state.header().await.is_err());
            assert_eq!((vault.folders().len(), state.commits()), (folders, commits));
            assert_eq!(faults.trace(), ["CreateFolder d", "Commit"]);
        }
    }

    #[tokio::test]
    async fn a_failure_falls_before_or_after_its_effect_and_ends_nothing() {
        for (when, there) in [(When::Before, false), (When::After, true)] {
            let faults = Faults::fail_at(2, when, StoreErrorKind::Full);
            let vault = MemoryVaultStore::new();
            let failing = FailingVaultStore::new(vault.clone(), faults.clone());
            let [a, b, c] = ["a", "b", "c"].map(|name| VaultPath::parse(name).unwrap());
            failing.create_folder(&a).await.unwrap();
            let error = failing.create_folder(&b).await.unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Full);
            failing.create_folder(&c).await.unwrap();
            assert_eq!(vault.folders().contains(&"b".to_owned()), there);
            assert!(faults.failed() && !faults.crashed());
        }
    }

    #[tokio::test]
    async fn one_operation_fails_once() {
        let faults = Faults::none();
        let failing = FailingVaultStore::new(MemoryVaultStore::new(), faults.clone());
        faults.fail_next(Op::CreateFolder, Some("b"), StoreErrorKind::Full);
        let [a, b] = ["a", "b"].map(|name| VaultPath::parse(name).unwrap());
        failing.create_folder(&a).await.unwrap();
        assert_eq!(
            failing.create_folder(&b).await.unwrap_err().kind,
            StoreErrorKind::Full
        );
        failing.create_folder(&b).await.unwrap();
    }
}
