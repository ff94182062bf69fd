//! What goes wrong during a run, or happens in the middle of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use obsidian_sync::{Uid, VaultVersion};
use obsync_core::progress::{Event, Progress};
use obsync_devserver::{Action, Fault, Point};
use tokio_util::sync::CancellationToken;

use crate::devices::{Devices, pick};
use crate::place::Place;

pub(super) fn fault(version: VaultVersion, (pair, of, after, times): (u8, u8, u8, u8)) -> Fault {
    let text = |text: &str| text.to_owned();
    let second = Duration::from_secs(1);
    let trickle = || Action::Trickle(1, second);
    let other = Uid(1 + u64::from(of) % version.0.max(1));
    let pairs = [
        (Point::Accept, Action::Drop),
        (Point::Accept, Action::Hang),
        (Point::Upgrade, Action::Drop),
        (Point::Upgrade, Action::Cut),
        (Point::Upgrade, Action::Hang),
        (Point::Upgrade, Action::Garbage),
        (Point::Upgrade, Action::Status(503)),
        (Point::Upgrade, Action::Html(504)),
        (Point::Upgrade, Action::TooMany(2)),
        (Point::Init, Action::Drop),
        (Point::Init, Action::Hang),
        (Point::Init, Action::Garbage),
        (Point::Init, Action::Error(text("not now"))),
        (Point::Init, Action::overloaded()),
        (Point::Backlog, Action::Drop),
        (Point::Backlog, Action::Cut),
        (Point::Backlog, Action::Hang),
        (Point::Backlog, Action::Garbage),
        (Point::Backlog, Action::Delay(second * 70)),
        (Point::Backlog, trickle()),
        (Point::Ready, Action::Drop),
        (Point::Ready, Action::Hang),
        (Point::Ready, Action::Garbage),
        (Point::Pull, Action::Drop),
        (Point::Pull, Action::Cut),
        (Point::Pull, Action::Hang),
        (Point::Pull, Action::Garbage),
        (Point::Pull, Action::Error(text("no"))),
        (Point::Pull, Action::FlipBit),
        (Point::Pull, Action::Short(1 + usize::from(of))),
        (Point::Pull, Action::Long(1 + usize::from(of))),
        (Point::Pull, Action::Swap(other)),
        (Point::Pull, Action::Gone),
        (Point::Pull, Action::ClaimSize(u64::MAX - u64::from(of))),
        (Point::Pull, Action::ClaimPieces(u64::MAX - u64::from(of))),
        (Point::Pull, trickle()),
        (Point::Piece, Action::Drop),
        (Point::Piece, Action::Cut),
        (Point::Piece, Action::Hang),
        (Point::Piece, Action::Garbage),
        (Point::Piece, trickle()),
        (Point::Frame, Action::Drop),
        (Point::Frame, Action::Garbage),
        (Point::Frame, Action::Delay(second * 5)),
    ];
    let (point, action) = pairs[usize::from(pair) % pairs.len()].clone();
    Fault::new(point, action)
        .after(u64::from(after))
        .times(u64::from(times))
}

/// Counts the events of a run down to the one at which something happens.
pub(super) struct Countdown(AtomicU64);

impl Countdown {
    pub(super) fn from(events: u8) -> Self {
        Self(AtomicU64::new(u64::from(events)))
    }

    /// One event more; whether the number is used up.
    fn is_over(&self) -> bool {
        let take = |left: u64| left.checked_sub(1);
        let left = &self.0;
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_err()
    }
}

/// Tells a run to stop at the n-th event.
pub(super) struct StopAt {
    pub(super) left: Countdown,
    pub(super) stop: CancellationToken,
}

impl Progress for StopAt {
    fn event(&self, _: Event<'_>) {
        if self.left.is_over() {
            self.stop.cancel();
        }
    }
}

/// What happens in the middle of a run, with its content made up.
pub(super) enum Act {
    Put(&'static str, Bytes),
    Delete(u8),
    Write(&'static str, Bytes),
    Edit(u8, Bytes),
    Remove(u8),
}

/// Lets devices and a person go on with their work at the n-th event.
pub(super) struct Meanwhile {
    pub(super) left: Countdown,
    pub(super) acts: Mutex<Vec<Act>>,
    pub(super) devices: Devices,
    pub(super) place: Arc<dyn Place>,
    /// What the person did, in order.
    pub(super) done: Mutex<Vec<Done>>,
}

/// What a person did at a path.
pub(super) struct Done {
    pub(super) path: String,
    /// What was there, maybe under this name only since the run began.
    pub(super) was: Option<Bytes>,
    pub(super) is: Option<Bytes>,
}

impl Meanwhile {
    fn person(&self, act: Act) -> Option<Done> {
        let here = |of| pick(self.place.files().into_keys().collect(), of);
        let (path, is) = match act {
            Act::Write(path, content) => (path.to_owned(), Some(content)),
            Act::Edit(of, content) => (here(of)?, Some(content)),
            Act::Remove(of) => (here(of)?, None),
            Act::Put(..) | Act::Delete(_) => return None,
        };
        let was = self.place.files().remove(&path);
        match &is {
            Some(content) => self.place.replace(&path, content),
            None => self.place.remove(&path),
        }
        // Where something is in the way, nothing was written.
        let there = self.place.files().remove(&path);
        (there == is).then_some(Done { path, was, is })
    }
}

impl Progress for Meanwhile {
    fn event(&self, _: Event<'_>) {
        if !self.left.is_over() {
            return;
        }
        for act in std::mem::take(&mut *self.acts.lock().unwrap()) {
            match act {
                Act::Put(path, content) => self.devices.put(path, &content),
                Act::Delete(of) => self.devices.delete(of),
                act => self.done.lock().unwrap().extend(self.person(act)),
            }
        }
    }
}

/// While this lives, time flies to the next deadline whenever nothing else happens.
pub(super) struct Flight;

impl Flight {
    pub(super) fn begin() -> Self {
        tokio::time::pause();
        Self
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}
