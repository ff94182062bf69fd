//! The watchdog: holds intake back while the process as a whole holds too much memory.
//!
//! The [`Budget`] bounds what a run takes in; state, connections and the allocator's own slack come
//! on top of it and are only seen from outside, as the process's resident size.

use crate::budget::Budget;

/// Above this share of the limit, in percent, intake is held back.
const HIGH: u64 = 80;
/// Below this share, in percent, it goes on.
const LOW: u64 = 60;

/// Watches a process's resident size against a limit.
#[derive(Debug)]
pub struct Watchdog {
    limit: u64,
    budget: Budget,
}

/// What an observation led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything stays as it was.
    Unchanged,
    /// From now on intake is held back.
    Paused,
    /// From now on it goes on.
    Resumed,
}

impl Watchdog {
    /// Watches over what may enter `budget`, in a process that may hold `limit` bytes.
    pub fn new(limit: u64, budget: Budget) -> Self {
        Self { limit, budget }
    }

    /// Takes note of the process's resident size in bytes.
    pub fn observe(&self, resident: u64) -> Verdict {
        let at = |percent: u64| self.limit / 100 * percent;
        match self.budget.is_paused() {
            false if resident > at(HIGH) => {
                self.budget.pause();
                Verdict::Paused
            }
            true if resident < at(LOW) => {
                self.budget.resume();
                Verdict::Resumed
            }
            _ => Verdict::Unchanged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_back_above_the_high_mark_until_below_the_low_one() {
        let budget = Budget::new(1000);
        let watchdog = Watchdog::new(1000, budget.clone());
        for (resident, verdict, paused) in [
            (800, Verdict::Unchanged, false),
            (801, Verdict::Paused, true),
            (900, Verdict::Unchanged, true),
            (601, Verdict::Unchanged, true),
            (599, Verdict::Resumed, false),
            (700, Verdict::Unchanged, false),
        ] {
            assert_eq!(watchdog.observe(resident), verdict, "{resident}");
            assert_eq!(budget.is_paused(), paused, "{resident}");
        }
    }
}
