//! When the state is written: at most once a second, and never for more than a tenth of the time.

use tokio::time::{Duration, Instant};

/// The shortest time between two writes.
const SHORTEST: Duration = Duration::from_secs(1);
/// How many times the last write's duration must pass before the next.
const SHARE: u32 = 10;

#[derive(Debug)]
pub(super) struct Pace {
    last: Instant,
    took: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            last: Instant::now(),
            took: Duration::ZERO,
        }
    }
}

impl Pace {
    /// A write begins.
    pub(super) fn begin(&self) -> Instant {
        Instant::now()
    }

    /// It ended well.
    pub(super) fn end(&mut self, begun: Instant) {
        self.last = Instant::now();
        self.took = self.last - begun;
    }

    /// Whether enough time has passed since.
    pub(super) fn is_due(&self) -> bool {
        self.last.elapsed() >= SHORTEST.max(self.took * SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_write_waits_ten_times_as_long() {
        let mut pace = Pace::default();
        assert!(!pace.is_due());
        tokio::time::advance(SHORTEST).await;
        assert!(pace.is_due());
        let begun = pace.begin();
        tokio::time::advance(Duration::from_millis(700)).await;
        pace.end(begun);
        tokio::time::advance(Duration::from_millis(6_900)).await;
        assert!(!pace.is_due());
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(pace.is_due());
    }
}
