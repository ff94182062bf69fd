//! How long each step of a sync connection may take.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

use crate::error::{Error, Kind};

/// How long each step of a sync connection may take. The default adds up to what the protocol says:
/// 120 s to connect, 60 s for an answer, dead after 120 s of silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// Looking up the host's addresses.
    pub resolve: Duration,
    /// Connecting to any of them.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// The WebSocket upgrade.
    pub upgrade: Duration,
    /// The answer to `init`.
    pub init: Duration,
    /// Sending a request and receiving its answer.
    pub answer: Duration,
    /// One whole piece of content, in either direction, with the answer to it.
    pub piece: Duration,
    /// No message of any kind: the connection is dead.
    pub silence: Duration,
    /// No message of any kind: time for a ping.
    pub heartbeat: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(10),
            connect: Duration::from_secs(20),
            tls: Duration::from_secs(15),
            upgrade: Duration::from_secs(15),
            init: Duration::from_secs(60),
            answer: Duration::from_secs(60),
            // A slow line must be able to carry 2 MiB in this time.
            piece: Duration::from_secs(120),
            silence: Duration::from_secs(120),
            heartbeat: Duration::from_secs(10),
        }
    }
}

/// What was being done when a deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Resolve,
    Connect,
    Tls,
    Upgrade,
    Init,
    Answer,
    Piece,
    Notice,
    Silence,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "looking up its address",
            Self::Connect => "connecting to it",
            Self::Tls => "the TLS handshake",
            Self::Upgrade => "the WebSocket upgrade",
            Self::Init => "opening the vault",
            Self::Answer => "the answer to a request",
            Self::Piece => "the next piece of content",
            Self::Notice => "the next record of its list",
            Self::Silence => "any sign of life",
        })
    }
}

/// The error for a deadline that passed.
pub(crate) fn too_slow(host: &str, step: Step, limit: Duration) -> Error {
    Error::new(
        Kind::Timeout,
        format!("the sync server {host} was too slow: {step} took more than {limit:?}"),
    )
}

/// Gives a step its deadline.
pub(crate) async fn within<T>(
    limit: Duration,
    host: &str,
    step: Step,
    work: impl Future<Output = T>,
) -> Result<T, Error> {
    timeout(limit, work)
        .await
        .map_err(|_| too_slow(host, step, limit))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_ends_at_its_deadline() {
        let start = Instant::now();
        let limit = Duration::from_secs(10);
        let error = within(limit, "host", Step::Resolve, pending::<()>())
            .await
            .unwrap_err();
        assert_eq!(start.elapsed(), limit);
        assert_eq!(error.kind(), Kind::Timeout);
        assert_eq!(
            error.to_string(),
            "the sync server host was too slow: looking up its address took more than 10s"
        );
    }

    #[test]
    fn the_steps_to_an_open_connection_take_two_minutes_at_most() {
        let Deadlines {
            resolve,
            connect,
            tls,
            upgrade,
            init,
            ..
        } = Deadlines::default();
        assert_eq!(
            resolve + connect + tls + upgrade + init,
            Duration::from_secs(120)
        );
    }
}
