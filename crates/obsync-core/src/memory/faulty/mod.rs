//! Stores that fail on purpose: before or after the n-th effect, as a crash would, or once at a
//! chosen operation.

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// On which side of an effect a crash falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The effect does not happen.
    Before,
    /// The effect happens; its caller never learns of it.
    After,
}

/// The plan of what fails, shared by all wrapped stores of one run. Clones share it.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    crash: Option<(u64, When)>,
    crashed: bool,
    once: Vec<(Op, Option<String>, StoreErrorKind)>,
    trace: Vec<String>,
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

    /// Fails the next `op`, of `path` or of any, once, before its effect.
    pub fn fail_next(&self, op: Op, path: Option<&str>, kind: StoreErrorKind) {
        lock(&self.0).once.push((op, path.map(str::to_owned), kind));
    }

    /// How many effects there were.
    pub fn effects(&self) -> u64 {
        lock(&self.0).trace.len() as u64
    }

    /// Whether the crash has come.
    pub fn crashed(&self) -> bool {
        lock(&self.0).crashed
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

    /// Called before each effect. The answer says whether to crash after it.
    fn enter(&self, op: Op, path: Option<&VaultPath>) -> Result<bool, StoreError> {
        let mut plan = lock(&self.0);
        if plan.crashed {
            return Err(gone());
        }
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
            return Err(StoreError::new(kind, format!("injected at {op:?}")));
        }
        match plan.crash {
            Some((n, When::Before)) if n == plan.trace.len() as u64 => {
                plan.crashed = true;
                Err(gone())
            }
            Some((n, When::After)) if n == plan.trace.len() as u64 => Ok(true),
            _ => Ok(false),
        }
    }

    fn leave(&self, crash: bool) -> Result<(), StoreError> {
        if crash {
            lock(&self.0).crashed = true;
            return Err(gone());
        }
        Ok(())
    }
}

fn gone() -> StoreError {
    StoreError::new(StoreErrorKind::Other, "injected crash")
}

/// Runs one effect between its two crash points.
macro_rules! effect {
    ($faults:expr, $op:expr, $path:expr, $call:expr) => {{
        let crash = $faults.enter($op, $path)?;
        let done = $call;
        $faults.leave(crash)?;
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
