//! Memory: how much content may be in flight, and the watch over the process as a whole.

use std::time::Duration;

use obsync_core::watchdog::{Verdict, Watchdog};
use tokio::task::AbortHandle;
use tracing::Instrument as _;

const MIB: u64 = 1024 * 1024;
/// How often the process looks at its own size.
const INTERVAL: Duration = Duration::from_millis(100);
/// Where the system tells it.
const STATUS: &str = "/proc/self/status";

/// The bytes of content that may be in flight in a function with so many bytes of memory.
///
/// An eighth: a state of 100,000 files, its plan, the parts of a large upload and the runtime leave
/// little more in the smallest function of 128 MB. Beyond the upper limit more brings nothing.
pub fn content_budget(memory: u64) -> u64 {
    (memory / 8).clamp(4 * MIB, 64 * MIB)
}

/// The process's resident size in bytes; `None` where the system does not tell.
pub fn resident() -> Option<u64> {
    read("VmRSS:", &std::fs::read_to_string(STATUS).ok()?)
}

/// The largest resident size that the process ever had, in bytes.
pub fn peak() -> Option<u64> {
    read("VmHWM:", &std::fs::read_to_string(STATUS).ok()?)
}

fn read(name: &str, text: &str) -> Option<u64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name))?.trim();
    let kib: u64 = value.strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// A watch over the process's size while work goes on. Dropping it ends it.
#[derive(Debug)]
pub struct Watch(AbortHandle);

impl Watch {
    /// Starts to look at what `resident` tells, at once and then every 100 ms.
    pub fn start(watchdog: Watchdog, resident: impl Fn() -> Option<u64> + Send + 'static) -> Self {
        let watching = async move {
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Some(resident) = resident() {
                    tell(watchdog.observe(resident), resident);
                }
            }
        };
        let task = tokio::spawn(watching.in_current_span());
        Self(task.abort_handle())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn tell(verdict: Verdict, resident: u64) {
    let used_mb = resident / MIB;
    match verdict {
        Verdict::Unchanged => {}
        Verdict::Paused => tracing::warn!(
            used_mb,
            "memory is short: one file at a time until there is room; give the function more memory"
        ),
        Verdict::Resumed => tracing::info!(used_mb, "memory is no longer short"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use obsync_core::Budget;

    #[test]
    fn the_budget_grows_with_the_function_within_limits() {
        for (memory, budget) in [(128, 16), (256, 32), (512, 64), (10_240, 64), (16, 4)] {
            assert_eq!(content_budget(memory * MIB), budget * MIB);
        }
    }

    #[test]
    fn reads_the_resident_size() {
        let status = "Name:\tbootstrap\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nThreads:\t3\n";
        assert_eq!(read("VmRSS:", status), Some(10 * MIB));
        assert_eq!(read("VmHWM:", status), Some(20 * MIB));
        assert_eq!(read("VmSwap:", status), None);
        if cfg!(target_os = "linux") {
            let (now, most) = (resident().unwrap(), peak().unwrap());
            assert!(now > MIB && most > MIB, "{now} {most}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_grows_too_large_takes_in_less_until_it_shrinks() {
        let size = Arc::new(AtomicU64::new(50));
        let budget = Budget::new(10 * MIB);
        let watchdog = Watchdog::new(100 * MIB, budget.clone());
        let watch = Watch::start(watchdog, {
            let size = Arc::clone(&size);
            move || Some(size.load(Ordering::Relaxed) * MIB)
        });
        let mut seen = Vec::new();
        for megabytes in [50, 85, 70, 55, 70] {
            size.store(megabytes, Ordering::Relaxed);
            tokio::time::sleep(INTERVAL * 2).await;
            seen.push(budget.is_paused());
        }
        assert_eq!(seen, [false, true, true, false, false]);
        drop(watch);
        size.store(99, Ordering::Relaxed);
        tokio::time::sleep(INTERVAL * 2).await;
        assert!(!budget.is_paused(), "the watch is over");
    }
}
