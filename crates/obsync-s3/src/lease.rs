//! [`Lease`]: one writer at a time (invariant 5).
//!
//! A document beside the state: who writes, until when, and a fencing number that grows with each
//! taking. It is renewed while it is held; 30 seconds after the last renewal anyone may take it
//! over. Clocks only decide how long others wait; what keeps a stale writer out of the state is
//! the fencing number there (see `state`).

use std::sync::{Arc, Mutex, PoisonError};

use obsync_core::clock::Clock;
use obsync_core::{StoreError, StoreErrorKind};
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;
use tokio::time::{Duration, sleep};

use crate::register::{Register, Version, WriteFault};

/// How long a lease lasts after it was taken or renewed, in milliseconds.
const TERM: i64 = 30_000;
/// How long before its end it no longer counts as ours: a request takes time.
const MARGIN: i64 = 5_000;
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Document {
    schema: u32,
    /// Who holds it; `None` when it was released.
    owner: Option<String>,
    /// When it runs out, by the holder's clock.
    expires: i64,
    fence: u64,
}

/// Clones are one lease.
#[derive(Clone)]
pub(crate) struct Lease(Arc<Inner>);

struct Inner {
    register: Register,
    clock: Arc<dyn Clock>,
    owner: String,
    state: Mutex<State>,
    /// Taken for each exchange with S3.
    turn: tokio::sync::Mutex<()>,
    renewal: Mutex<Option<AbortHandle>>,
}

#[derive(Debug, Clone)]
enum State {
    Free,
    Held {
        document: Document,
        version: Version,
    },
    /// Another run took it over.
    Lost,
}

/// A lease just taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) fence: u64,
    /// The one before was not released: its run died, or lives and is slow.
    pub(crate) unreleased: bool,
}

impl Lease {
    pub(crate) fn new(register: Register, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            register,
            clock,
            owner: format!("{:032x}", rand::random::<u128>()),
            state: Mutex::new(State::Free),
            turn: tokio::sync::Mutex::default(),
            renewal: Mutex::default(),
        }))
    }

    fn state(&self) -> State {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: State) {
        *self.0.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Whether this process neither holds it nor lost it.
    pub(crate) fn is_free(&self) -> bool {
        matches!(self.state(), State::Free)
    }

    /// Whether anyone holds it, as S3 knows it.
    pub(crate) async fn is_held_by_anyone(&self) -> Result<bool, StoreError> {
        let now = self.0.clock.now().0;
        let found = self.read().await?;
        Ok(found.is_some_and(|(document, _)| document.owner.is_some() && now < document.expires))
    }

    /// The fencing number, if the lease is held; renewed first if it is about to run out.
    pub(crate) async fn held(&self) -> Result<Option<u64>, StoreError> {
        match self.state() {
            State::Free => Ok(None),
            State::Lost => Err(taken_over()),
            State::Held { document, .. } => {
                if self.0.clock.now().0 < document.expires - MARGIN {
                    return Ok(Some(document.fence));
                }
                self.renew().await?;
                Ok(Some(document.fence))
            }
        }
    }

    /// Takes the lease. Its fencing number is at least `lowest`.
    pub(crate) async fn take(&self, lowest: u64) -> Result<Taken, StoreError> {
        let _turn = self.0.turn.lock().await;
        let (before, version) = match self.read().await? {
            Some((document, version)) => (Some(document), Some(version)),
            None => (None, None),
        };
        let now = self.0.clock.now().0;
        let owner = before.as_ref().and_then(|before| before.owner.as_deref());
        let unreleased = owner.is_some();
        if let Some(before) = &before
            && owner.is_some_and(|owner| owner != self.0.owner)
            && now < before.expires
        {
            // A clock far ahead must not keep others out for longer than a term.
            let wait = (before.expires - now).clamp(1, TERM);
            let what = format!(
                "another run works on this vault; if it died, it can be taken over in {} s",
                (wait + 999) / 1000
            );
            if before.expires - now <= TERM {
                return Err(StoreError::new(StoreErrorKind::Busy, what));
            }
        }
        let fence = before
            .map_or(0, |before| before.fence)
            .saturating_add(1)
            .max(lowest);
        match self
            .write(Some(self.0.owner.clone()), fence, version.as_ref())
            .await
        {
            Ok(()) => {}
            Err(WriteFault::Changed) => {
                let what = "another run has just begun to work on this vault";
                return Err(StoreError::new(StoreErrorKind::Busy, what));
            }
            Err(WriteFault::Failed(error)) => return Err(error),
        }
        self.keep_renewing();
        Ok(Taken { fence, unreleased })
    }

    /// Whether the run that held it last did not release it.
    pub(crate) async fn is_unreleased(&self) -> Result<bool, StoreError> {
        if matches!(self.state(), State::Held { .. }) {
            return Ok(false);
        }
        let found = self.read().await?;
        Ok(found.is_some_and(|(document, _)| document.owner.is_some()))
    }

    /// Asks S3 whether it is still ours.
    pub(crate) async fn confirm(&self) -> Result<(), StoreError> {
        let State::Held { document, .. } = self.state() else {
            return Err(taken_over());
        };
        match self.read().await? {
            Some((found, _)) if found.fence == document.fence && found.owner == document.owner => {
                Ok(())
            }
            _ => Err(self.lost()),
        }
    }

    /// Lets others in. Only what is held is released.
    pub(crate) async fn release(&self) -> Result<(), StoreError> {
        self.stop_renewing();
        let _turn = self.0.turn.lock().await;
        let State::Held { document, version } = self.state() else {
            self.set(State::Free);
            return Ok(());
        };
        let released = self.write(None, document.fence, Some(&version)).await;
        self.set(State::Free);
        match released {
            // Somebody took it over meanwhile: no longer ours to release.
            Ok(()) | Err(WriteFault::Changed) => Ok(()),
            Err(WriteFault::Failed(error)) => Err(error),
        }
    }

    /// Lets it run out, as a run that dies would: the next one then looks for what was left.
    pub(crate) fn abandon(&self) {
        self.stop_renewing();
        self.set(State::Free);
    }

    async fn renew(&self) -> Result<(), StoreError> {
        let _turn = self.0.turn.lock().await;
        let State::Held { document, version } = self.state() else {
            return Err(taken_over());
        };
        let owner = document.owner.clone();
        match self.write(owner, document.fence, Some(&version)).await {
            Ok(()) => Ok(()),
            Err(WriteFault::Changed) => Err(self.lost()),
            Err(WriteFault::Failed(error)) => Err(error),
        }
    }

    fn keep_renewing(&self) {
        let lease = Arc::downgrade(&self.0);
        let task = tokio::spawn(async move {
            loop {
                sleep(RENEWAL).await;
                // The task lives no longer than the lease that it renews.
                let Some(inner) = lease.upgrade() else {
                    return;
                };
                if let Err(error) = Lease(inner).renew().await {
                    if error.kind == StoreErrorKind::Busy {
                        return;
                    }
                    tracing::warn!(%error, "the lease could not be renewed");
                }
            }
        });
        let mut renewal = self
            .0
            .renewal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = renewal.replace(task.abort_handle()) {
            before.abort();
        }
    }

    fn stop_renewing(&self) {
        let mut renewal = self
            .0
            .renewal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = renewal.take() {
            task.abort();
        }
    }

    pub(crate) fn lost(&self) -> StoreError {
        self.set(State::Lost);
        taken_over()
    }

    async fn read(&self) -> Result<Option<(Document, Version)>, StoreError> {
        let Some((bytes, version)) = self.0.register.read().await? else {
            return Ok(None);
        };
        let document: Document = serde_json::from_slice(&bytes).map_err(|error| {
            let what = format!(
                "the lease {} makes no sense: delete it if no run is at work",
                self.0.register.location()
            );
            StoreError::new(StoreErrorKind::Unusable, what).with_source(error)
        })?;
        if document.schema != 1 {
            let what = format!(
                "the lease {} is of a newer obsync: update this one",
                self.0.register.location()
            );
            return Err(StoreError::new(StoreErrorKind::Unusable, what));
        }
        Ok(Some((document, version)))
    }

    async fn write(
        &self,
        owner: Option<String>,
        fence: u64,
        before: Option<&Version>,
    ) -> Result<(), WriteFault> {
        let document = Document {
            schema: 1,
            owner,
            // From before the request: it can only run out early.
            expires: self.0.clock.now().0 + TERM,
            fence,
        };
        let text = serde_json::to_vec(&document).expect("a lease is plain JSON");
        let version = self.0.register.write(text.into(), before).await?;
        self.set(State::Held { document, version });
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let renewal = self
            .renewal
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = renewal.take() {
            task.abort();
        }
    }
}

fn taken_over() -> StoreError {
    let what = "another run has taken over this vault; what this one did is safe there";
    StoreError::new(StoreErrorKind::Busy, what)
}
