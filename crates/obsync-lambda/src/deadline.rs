//! When an invocation's work has to stop, and when its answer has to go out.

use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// What Lambda gives at most; also what is taken for granted where no deadline is told.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// The moments of one invocation, counted from when they were reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// No new download starts, and runs save their progress.
    pub stop: Duration,
    /// How long downloads that are on their way may take after that.
    pub finishing: Duration,
    /// How long a run's last commit may take after that.
    pub closing: Duration,
    /// The answer goes out, whatever still hangs.
    pub answer: Duration,
    /// What is kept back, where the buffer that was asked for is too long.
    pub clamped: Option<Duration>,
}

impl Times {
    /// Reckons them from the time until Lambda ends the invocation, the event's own limit and the
    /// buffer. Of the time that there is, never more than a quarter is kept back.
    pub fn new(left: Duration, limit: Option<Duration>, buffer: Duration) -> Self {
        let there = limit.map_or(left, |limit| limit.min(left));
        let kept = buffer.min(there / 4);
        Self {
            stop: there - kept,
            finishing: kept / 4,
            closing: kept / 2,
            answer: there - kept / 8,
            clamped: (kept < buffer).then_some(kept),
        }
    }
}

/// The time until Lambda ends an invocation, from its deadline and now, both in milliseconds since
/// 1970. No deadline (0) is what some local stand-ins tell.
pub fn time_left(deadline: u64, now: u64) -> Duration {
    match deadline {
        0 => LONGEST,
        _ => Duration::from_millis(deadline.saturating_sub(now)).min(LONGEST),
    }
}

/// The deadline of one piece of work: stops it in time. Dropping it calls that off.
#[derive(Debug)]
pub struct Deadline {
    began: Instant,
    times: Times,
    stop: CancellationToken,
    task: AbortHandle,
}

impl Deadline {
    /// Starts to count.
    pub fn start(times: Times) -> Self {
        let began = Instant::now();
        let stop = CancellationToken::new();
        let waiting = {
            let stop = stop.clone();
            async move {
                tokio::time::sleep_until(began + times.stop).await;
                tracing::info!("the time is nearly up: saving progress");
                stop.cancel();
            }
        };
        let task = tokio::spawn(waiting.in_current_span());
        Self {
            began,
            times,
            stop,
            task: task.abort_handle(),
        }
    }

    /// Cancelled when no new work may start.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Whether at some moment most of the time for work was over.
    pub fn is_late(&self, at: Instant) -> bool {
        at.saturating_duration_since(self.began) > self.times.stop / 2
    }

    /// How long downloads that are on their way may still take once no new work may start.
    pub fn finishing(&self) -> Duration {
        self.times.finishing
    }

    /// How long a run's last commit may take.
    pub fn closing(&self) -> Duration {
        self.times.closing
    }

    /// When the answer goes out, whatever still hangs.
    pub fn answer_at(&self) -> Instant {
        self.began + self.times.answer
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_end_counts_and_a_quarter_at_most_is_kept_back() {
        // Left, the event's limit and the buffer → stop, closing, answer, clamp; in milliseconds.
        let none = None::<u64>;
        for (left, limit, buffer, stop, closing, answer, clamped) in [
            (900_000, none, 30_000, 870_000, 15_000, 896_250, none),
            (
                900_000,
                Some(600_000),
                30_000,
                570_000,
                15_000,
                596_250,
                none,
            ),
            (
                300_000,
                Some(600_000),
                30_000,
                270_000,
                15_000,
                296_250,
                none,
            ),
            (120_000, none, 30_000, 90_000, 15_000, 116_250, none),
            (60_000, none, 30_000, 45_000, 7_500, 58_125, Some(15_000)),
            (3_000, none, 30_000, 2_250, 375, 2_906, Some(750)),
            (
                900_000,
                Some(60_000),
                30_000,
                45_000,
                7_500,
                58_125,
                Some(15_000),
            ),
            (900_000, none, 0, 900_000, 0, 900_000, none),
            (0, none, 30_000, 0, 0, 0, Some(0)),
        ] {
            let time = Duration::from_millis;
            let times = Times::new(time(left), limit.map(time), time(buffer));
            let told = (left, limit, buffer);
            assert_eq!(times.stop, time(stop), "{told:?}");
            assert_eq!(times.closing, time(closing), "{told:?}");
            let told_answer = u64::try_from(times.answer.as_millis()).unwrap();
            assert_eq!(told_answer, answer, "{told:?}");
            assert_eq!(times.clamped, clamped.map(time), "{told:?}");
            assert_eq!(times.finishing, times.closing / 2, "{told:?}");
            let over = times.stop + times.finishing + times.closing;
            assert!(over <= times.answer, "{told:?}");
        }
    }

    #[test]
    fn the_time_left_is_sane_whatever_is_told() {
        for (deadline, now, left) in [
            (10_000, 4_000, 6_000),
            (4_000, 10_000, 0),
            (0, 10_000, 900_000),
            (u64::MAX, 10_000, 900_000),
        ] {
            assert_eq!(time_left(deadline, now), Duration::from_millis(left));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stops_work_when_the_time_has_come_and_not_before() {
        let second = Duration::from_secs(1);
        let deadline = Deadline::start(Times::new(second * 40, None, second * 4));
        let stop = deadline.stop().clone();
        let began = Instant::now();
        stop.cancelled().await;
        assert_eq!(began.elapsed(), second * 36);
        assert_eq!(deadline.answer_at() - began, second * 79 / 2);

        let deadline = Deadline::start(Times::new(second, None, Duration::ZERO));
        let stop = deadline.stop().clone();
        drop(deadline);
        tokio::time::sleep(second * 2).await;
        assert!(!stop.is_cancelled(), "work that has ended is not stopped");
    }
}
