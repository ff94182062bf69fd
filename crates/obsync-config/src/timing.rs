//! Time and chance, as parameters.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

/// What sign-in needs of clock, sleep and randomness.
#[async_trait]
pub trait Timing: Send + Sync {
    /// The time of day.
    fn now(&self) -> SystemTime;

    /// Waits.
    async fn sleep(&self, duration: Duration);

    /// A random number, at least 0 and below 1.
    fn chance(&self) -> f64;
}

/// The machine's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemTiming;

#[async_trait]
impl Timing for SystemTiming {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn chance(&self) -> f64 {
        rand::random()
    }
}
