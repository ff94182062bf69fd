//! Faults on request: what goes wrong, where, and how often.
//!
//! A [`Fault`] is an [`Action`] at a [`Point`], limited by [`Fault::times`] and its siblings. The
//! code that answers asks at each point; here is only the book-keeping.

mod fault;
mod parse;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use obsidian_sync::Uid;

pub use self::fault::{Action, Fault, Point};
use crate::error::Error;

/// Where the service is, as it asks whether something goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub point: Point,
    pub uid: Option<Uid>,
    pub path: Option<&'a str>,
    pub sockets: usize,
}

/// Names a fault that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultId(u64);

#[derive(Debug)]
struct Armed {
    id: FaultId,
    fault: Fault,
    seen: u64,
    struck: u64,
}

#[derive(Debug, Default)]
struct Inner {
    armed: Vec<Armed>,
    next: u64,
    latency: Duration,
}

/// The faults that are set, and the simulated latency. All can change while clients are connected.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Inner>);

impl Faults {
    /// Sets a fault beside those that are set already. Where several fit, the oldest strikes.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the action makes no sense at the point.
    pub fn set(&self, fault: Fault) -> Result<FaultId, Error> {
        if !fault.action.fits(fault.point) {
            let Fault { point, action, .. } = fault;
            return Err(Error::Invalid(format!(
                "a fault {action:?} can't happen at {point:?}"
            )));
        }
        let mut inner = self.lock();
        inner.next += 1;
        let id = FaultId(inner.next);
        inner.armed.push(Armed {
            id,
            fault,
            seen: 0,
            struck: 0,
        });
        Ok(id)
    }

    /// Takes one fault away. How often it struck is returned, 0 for one that is gone already.
    pub fn remove(&self, id: FaultId) -> u64 {
        let mut inner = self.lock();
        let index = inner.armed.iter().position(|armed| armed.id == id);
        index.map_or(0, |index| inner.armed.remove(index).struck)
    }

    /// How often a fault has struck.
    pub fn struck(&self, id: FaultId) -> u64 {
        self.lock()
            .armed
            .iter()
            .find(|armed| armed.id == id)
            .map_or(0, |armed| armed.struck)
    }

    /// Takes all faults away; latency stays.
    pub fn clear(&self) {
        self.lock().armed.clear();
    }

    /// Simulates a round trip: every answer comes so much later, a new connection's first answer
    /// twice that (TCP's own handshake). Connections and pieces do not wait for one another.
    pub fn set_latency(&self, round_trip: Duration) {
        self.lock().latency = round_trip;
    }

    /// The simulated round trip.
    pub fn latency(&self) -> Duration {
        self.lock().latency
    }

    /// What goes wrong here, if anything.
    pub(crate) fn strike(&self, place: &Place<'_>) -> Option<Action> {
        for armed in &mut self.lock().armed {
            let Armed {
                fault,
                seen,
                struck,
                ..
            } = armed;
            if !fault.is_about(place) {
                continue;
            }
            *seen += 1;
            let counted = *seen > fault.after && (*seen - fault.after) % fault.every == 0;
            if counted && fault.times.is_none_or(|times| *struck < times) {
                *struck += 1;
                return Some(fault.action.clone());
            }
        }
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(point: Point) -> Place<'static> {
        Place {
            point,
            uid: Some(Uid(5)),
            path: Some("/vault/list"),
            sockets: 3,
        }
    }

    fn pattern(fault: Fault) -> String {
        let faults = Faults::default();
        faults.set(fault).unwrap();
        (0..8)
            .map(|_| {
                if faults.strike(&place(Point::Piece)).is_some() {
                    'x'
                } else {
                    '.'
                }
            })
            .collect()
    }

    #[test]
    fn limits_count() {
        let fault = Fault::new(Point::Piece, Action::Drop);
        assert_eq!(pattern(fault.clone()), "xxxxxxxx");
        assert_eq!(pattern(fault.clone().times(2)), "xx......");
        assert_eq!(pattern(fault.clone().after(3).once()), "...x....");
        assert_eq!(pattern(fault.clone().every(3)), "..x..x..");
        assert_eq!(
            pattern(fault.clone().after(1).every(2).times(2)),
            "..x.x..."
        );
        assert_eq!(pattern(fault.clone().uid(Uid(4))), "........");
        assert_eq!(pattern(fault.clone().uid(Uid(5)).once()), "x.......");
        assert_eq!(pattern(fault.clone().path("/other")), "........");
        assert_eq!(pattern(fault.clone().above(3)), "........");
        assert_eq!(pattern(fault.above(2).once()), "x.......");
    }

    #[test]
    fn the_oldest_that_strikes_wins_and_can_be_taken_away() {
        let faults = Faults::default();
        let first = faults
            .set(Fault::new(Point::Pull, Action::FlipBit).once())
            .unwrap();
        faults.set(Fault::new(Point::Pull, Action::Gone)).unwrap();
        assert_eq!(faults.strike(&place(Point::Pull)), Some(Action::FlipBit));
        assert_eq!(faults.strike(&place(Point::Pull)), Some(Action::Gone));
        assert_eq!(faults.struck(first), 1);
        assert_eq!(faults.remove(first), 1);
        assert_eq!(faults.remove(first), 0);
        faults.clear();
        assert_eq!(faults.strike(&place(Point::Pull)), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let faults = Faults::default();
        for (point, action) in [
            (Point::Accept, Action::Html(504)),
            (Point::Init, Action::FlipBit),
            (Point::Piece, Action::Error("x".to_owned())),
            (Point::Push, Action::Cut),
        ] {
            let error = faults.set(Fault::new(point, action)).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{error}");
        }
    }
}
