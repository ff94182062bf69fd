//! How a service behaves, and the builder that decides it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::service::Service;
use crate::store::Store;

/// 199 MiB, as the service has it.
const PER_FILE_MAX: u64 = 199 * 1024 * 1024;
const SIZE_LIMIT: u64 = 10 * 1024 * 1024 * 1024;

type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// How the service behaves, fixed when it is built.
pub(crate) struct Settings {
    pub per_file_max: u64,
    pub size_limit: u64,
    pub strict: bool,
    pub idle_timeout: Option<Duration>,
    pub clock: Clock,
}

/// Builds a [`Service`].
pub struct Builder {
    settings: Settings,
    latency: Duration,
    data: Option<PathBuf>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let settings = Settings {
            per_file_max: PER_FILE_MAX,
            size_limit: SIZE_LIMIT,
            strict: true,
            idle_timeout: None,
            clock: Arc::new(SystemTime::now),
        };
        Self {
            settings,
            latency: Duration::ZERO,
            data: None,
        }
    }

    /// Keeps accounts, vaults and content in a folder, and starts with what is there.
    #[must_use]
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// The largest sealed file that is taken; 199 MiB by default.
    #[must_use]
    pub fn per_file_max(mut self, bytes: u64) -> Self {
        self.settings.per_file_max = bytes;
        self
    }

    /// The most that one vault may hold; 10 GiB by default.
    #[must_use]
    pub fn size_limit(mut self, bytes: u64) -> Self {
        self.settings.size_limit = bytes;
        self
    }

    /// Whether a client that departs from the protocol is refused where the real service may not
    /// mind: a sign-in without `OPTIONS` and `Origin`, a `User-Agent` that is not `name/version`.
    /// On by default.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.settings.strict = strict;
        self
    }

    /// Cuts sync connections on which nothing was said for so long. Off by default.
    #[must_use]
    pub fn idle_timeout(mut self, after: Duration) -> Self {
        self.settings.idle_timeout = Some(after);
        self
    }

    /// The clock that two-factor codes, `ts` and the `Date` of answers go by.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// The simulated round trip; see [`Faults::set_latency`](crate::Faults::set_latency).
    #[must_use]
    pub fn latency(mut self, round_trip: Duration) -> Self {
        self.latency = round_trip;
        self
    }

    /// Makes the service, which [`Service::start`] or [`serve`](crate::serve) puts on a port.
    ///
    /// # Errors
    /// Where the data folder can't be opened or is damaged.
    pub fn build(self) -> Result<Service, Error> {
        let store = self
            .data
            .map_or_else(|| Ok(Store::default()), Store::open)?;
        let service = Service::new(self.settings, store);
        service.faults().set_latency(self.latency);
        Ok(service)
    }
}
