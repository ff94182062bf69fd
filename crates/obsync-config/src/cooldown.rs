//! The pause after an overloaded sign-in, kept in `<state dir>/cooldown.json`.
//!
//! The service can refuse sign-ins for days, and each further try prolongs that. So after the first
//! refusal nobody tries for 15 minutes, after the next one that follows for twice as long, and so on
//! up to a day; a sign-in that succeeds ends it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::private_file::{self, FileError};

const FIRST: Duration = Duration::from_secs(15 * 60);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Clone)]
pub(crate) struct Cooldown {
    path: PathBuf,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Document {
    schema: u32,
    /// Which API it is for; another one is not overloaded.
    api_url: String,
    /// When the next sign-in may be tried.
    until: Timestamp,
    /// How long this pause is.
    seconds: u64,
}

impl Cooldown {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join("cooldown.json"),
        }
    }

    /// Until when no sign-in may be tried.
    pub(crate) fn running(
        &self,
        api_url: &str,
        now: SystemTime,
    ) -> Result<Option<Timestamp>, FileError> {
        let document = self.load(api_url)?;
        // A clock that was set back must not stretch a pause beyond its own length.
        let runs = |pause: &Document| {
            let left = SystemTime::from(pause.until)
                .duration_since(now)
                .unwrap_or_default();
            !left.is_zero() && left <= Duration::from_secs(pause.seconds)
        };
        Ok(document.filter(runs).map(|pause| pause.until))
    }

    /// Starts the next pause, at least as long as the service asked for.
    pub(crate) fn start(
        &self,
        api_url: &str,
        now: SystemTime,
        asked: Option<Duration>,
    ) -> Result<Timestamp, FileError> {
        let last = self
            .load(api_url)?
            .map(|pause| Duration::from_secs(pause.seconds));
        let pause = last
            .map_or(FIRST, |last| last * 2)
            .max(asked.unwrap_or_default())
            .min(LONGEST);
        let until = Timestamp::try_from(now + pause).unwrap_or(Timestamp::MAX);
        let document = Document {
            schema: 1,
            api_url: api_url.to_owned(),
            until,
            seconds: pause.as_secs(),
        };
        private_file::write(&self.path, &document)?;
        Ok(until)
    }

    pub(crate) fn clear(&self) -> Result<(), FileError> {
        private_file::remove(&self.path)
    }

    fn load(&self, api_url: &str) -> Result<Option<Document>, FileError> {
        let document: Option<Document> = private_file::read(&self.path)?;
        Ok(document.filter(|pause| pause.api_url == api_url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "https://api.example.org/";

    fn at(minutes: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + minutes * 60)
    }

    #[test]
    fn doubles_until_a_success_clears_it() {
        let folder = tempfile::tempdir().unwrap();
        let cooldown = Cooldown::new(folder.path());
        assert_eq!(cooldown.running(API, at(0)).unwrap(), None);
        let mut minutes = 0;
        for length in [15, 30, 60, 120, 240, 480, 960, 1440, 1440] {
            let until = cooldown.start(API, at(minutes), None).unwrap();
            assert_eq!(SystemTime::from(until), at(minutes + length));
            assert_eq!(
                cooldown.running(API, at(minutes + length - 1)).unwrap(),
                Some(until)
            );
            minutes += length;
            assert_eq!(
                cooldown.running(API, at(minutes)).unwrap(),
                None,
                "it is over"
            );
        }
        cooldown.clear().unwrap();
        let until = cooldown.start(API, at(0), None).unwrap();
        assert_eq!(SystemTime::from(until), at(15));
    }

    #[test]
    fn is_at_least_as_long_as_asked_and_for_one_api_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cooldown = Cooldown::new(folder.path());
        let until = cooldown
            .start(API, at(0), Some(Duration::from_secs(3600)))
            .unwrap();
        assert_eq!(SystemTime::from(until), at(60));
        assert_eq!(
            cooldown.running("http://127.0.0.1:1/", at(0)).unwrap(),
            None
        );
    }

    #[test]
    fn a_clock_set_back_does_not_stretch_it() {
        let folder = tempfile::tempdir().unwrap();
        let cooldown = Cooldown::new(folder.path());
        cooldown.start(API, at(100_000), None).unwrap();
        assert_eq!(cooldown.running(API, at(0)).unwrap(), None);
    }
}
