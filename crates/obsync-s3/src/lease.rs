//! [`Lease`]: one writer at a time (invariant 5).
//!
//! A document beside the state: who writes, and a fencing number that grows with each taking. It is
//! written anew while it is held; 30 seconds after the last time anyone may take it over. That time
//! is S3's own, both ends of it: no machine's clock is asked whether another is dead. What keeps a
//! stale writer out of the state is the fencing number there (see `state`).

use std::sync::{Arc, Mutex, PoisonError};

use object_store::PutPayload;
use obsync_core::clock::Clock;
use obsync_core::{StoreError, StoreErrorKind};
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;
use tokio::time::{Duration, sleep};
use tracing::Instrument as _;

use crate::register::{Register, Version, WriteFault};

/// How long a lease lasts after it was last written.
const TERM: Duration = Duration::from_secs(30);
/// How long a holder relies on it, by its own clock: a request takes time.
const RELIED: i64 = 25_000;
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Document {
    schema: u32,
    /// Who holds it; `None` when it was released.
    owner: Option<String>,
    fence: u64,
    /// Counts the renewals, so that no two documents are alike: whoever takes a lease over that was
    /// renewed just then must find it changed.
    renewals: u64,
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
    Held(Held),
    /// Another run took it over.
    Lost,
}

#[derive(Debug, Clone)]
struct Held {
    document: Document,
    version: Version,
    /// Until when it is relied on, in milliseconds by this machine's clock.
    until: i64,
}

/// A lease as it was found.
struct Found {
    document: Document,
    version: Version,
    /// How long ago it was written; `None` if the service does not tell the time.
    age: Option<Duration>,
}

/// A lease just taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) fence: u64,
    /// The fencing number of the one before, if that was not released: its run died, or lives and is
    /// slow.
    pub(crate) unreleased: Option<u64>,
}

/// Whose a lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody's, or our own.
    None,
    /// A run's that is at work.
    Living,
    /// A run's that died, with this fencing number.
    Dead(u64),
}

impl Lease {
    pub(crate) fn new(register: &Register, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            // A request that hangs must leave time for another.
            register: register.within(TERM / 3),
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
        let found = self.read().await?;
        Ok(found.is_some_and(|found| found.document.owner.is_some() && !found.is_over()))
    }

    /// Whose it is, as S3 knows it.
    pub(crate) async fn holder(&self) -> Result<Holder, StoreError> {
        if matches!(self.state(), State::Held(_)) {
            return Ok(Holder::None);
        }
        Ok(match self.read().await? {
            Some(found) if found.document.owner.is_some() => match self.is_living(&found) {
                true => Holder::Living,
                // Also what this process could not let go of.
                false => Holder::Dead(found.document.fence),
            },
            _ => Holder::None,
        })
    }

    fn is_living(&self, found: &Found) -> bool {
        let owner = found.document.owner.as_deref();
        owner.is_some_and(|owner| owner != self.0.owner) && !found.is_over()
    }

    /// The fencing number, if the lease is held; renewed first if it is about to run out.
    pub(crate) async fn held(&self) -> Result<Option<u64>, StoreError> {
        match self.state() {
            State::Free => Ok(None),
            State::Lost => Err(taken_over()),
            State::Held(held) => {
                if self.0.clock.now().0 >= held.until {
                    self.renew().await?;
                }
                Ok(Some(held.document.fence))
            }
        }
    }

    /// Takes the lease. Its fencing number is at least `lowest`.
    pub(crate) async fn take(&self, lowest: u64) -> Result<Taken, StoreError> {
        let _turn = self.0.turn.lock().await;
        let before = self.read().await?;
        if let Some(before) = &before
            && self.is_living(before)
        {
            let what = match before.age {
                Some(age) => format!(
                    "another run works on this vault; if it died, it can be taken over in {} s",
                    TERM.saturating_sub(age).as_secs() + 1
                ),
                None => format!(
                    "another run works on this vault; the service does not tell the time, so if that \
                     run died, delete {}",
                    self.0.register.location()
                ),
            };
            return Err(StoreError::new(StoreErrorKind::Busy, what));
        }
        let (document, version) = before
            .map(|before| (before.document, before.version))
            .unzip();
        let fence = document.as_ref().map_or(0, |before| before.fence);
        let unreleased = document
            .filter(|before| before.owner.is_some())
            .map(|before| before.fence);
        let taken = Document {
            schema: 1,
            owner: Some(self.0.owner.clone()),
            fence: fence.saturating_add(1).max(lowest),
            renewals: 0,
        };
        let fence = taken.fence;
        match self.write(taken.clone(), version.as_ref()).await {
            Ok(()) => self.0.register.try_conditions(text_of(&taken)).await,
            Err(WriteFault::Changed) => {
                let what = "another run has just begun to work on this vault";
                return Err(StoreError::new(StoreErrorKind::Busy, what));
            }
            Err(WriteFault::Failed(error)) => return Err(error),
        }
        self.keep_renewing();
        Ok(Taken { fence, unreleased })
    }

    /// Asks S3 whether it is still ours.
    pub(crate) async fn confirm(&self) -> Result<(), StoreError> {
        let State::Held(held) = self.state() else {
            return Err(taken_over());
        };
        match self.read().await? {
            Some(found) if found.is(&held.document) => Ok(()),
            _ => Err(self.lost()),
        }
    }

    /// Lets others in. Only what is held is released.
    pub(crate) async fn release(&self) -> Result<(), StoreError> {
        // A renewal that is under way comes to its end first.
        let _turn = self.0.turn.lock().await;
        self.stop_renewing();
        let State::Held(held) = self.state() else {
            self.set(State::Free);
            return Ok(());
        };
        let released = Document {
            owner: None,
            ..held.document.clone()
        };
        let released = self.write_next(released, &held).await;
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
        let State::Held(held) = self.state() else {
            return Err(taken_over());
        };
        match self.write_next(held.document.clone(), &held).await {
            Ok(()) => Ok(()),
            Err(WriteFault::Changed) => Err(self.lost()),
            Err(WriteFault::Failed(error)) => Err(error),
        }
    }

    /// Writes what comes after `held`. A renewal that was given up on its way may have landed: what is
    /// there is then ours all the same.
    async fn write_next(&self, mut next: Document, held: &Held) -> Result<(), WriteFault> {
        next.renewals += 1;
        match self.write(next.clone(), Some(&held.version)).await {
            Err(WriteFault::Changed) => {}
            written => return written,
        }
        let found = self.read().await.map_err(WriteFault::Failed)?;
        let Some(found) = found.filter(|found| found.is(&held.document)) else {
            return Err(WriteFault::Changed);
        };
        next.renewals = found.document.renewals + 1;
        self.write(next, Some(&found.version)).await
    }

    fn keep_renewing(&self) {
        let lease = Arc::downgrade(&self.0);
        let renewing = async move {
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
        };
        // What it says is about the run that took the lease.
        let task = tokio::spawn(renewing.in_current_span());
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

    async fn read(&self) -> Result<Option<Found>, StoreError> {
        let Some(read) = self.0.register.read().await? else {
            return Ok(None);
        };
        let document: Document = serde_json::from_slice(&read.bytes).map_err(|error| {
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
        let version = Version {
            stamp: read.stamp,
            id: read.version,
        };
        Ok(Some(Found {
            document,
            version,
            age: read.age,
        }))
    }

    async fn write(&self, document: Document, before: Option<&Version>) -> Result<(), WriteFault> {
        // From before the request: it can only be relied on for less.
        let until = self.0.clock.now().0 + RELIED;
        let version = self.0.register.write(text_of(&document), before).await?;
        self.set(State::Held(Held {
            document,
            version,
            until,
        }));
        Ok(())
    }
}

impl Found {
    /// Whether it has run out. Times are told in whole seconds, so more than the term must have
    /// passed.
    fn is_over(&self) -> bool {
        self.age.is_some_and(|age| age > TERM)
    }

    fn is(&self, held: &Document) -> bool {
        self.document.fence == held.fence && self.document.owner == held.owner
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

fn text_of(document: &Document) -> PutPayload {
    let text = serde_json::to_vec(document).expect("a lease is plain JSON");
    text.into()
}

fn taken_over() -> StoreError {
    let what = "another run has taken over this vault; what this one did is safe there";
    StoreError::new(StoreErrorKind::Busy, what)
}
