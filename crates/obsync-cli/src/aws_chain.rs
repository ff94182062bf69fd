//! AWS credentials beyond the environment: profiles (with SSO, roles and programs), web identities,
//! containers, and last an instance's role, each with a deadline.
//!
//! What is found is kept until shortly before it runs out, and then asked of the same place again.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::tls;
use obsync_core::clock::{Clock, SystemClock};
use obsync_core::{StoreError, StoreErrorKind};
use obsync_s3::{AwsCredential, AwsCredentialProvider, CredentialSource};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::aws::none;
use crate::exit::{Exit, Failure};

/// How long before their end credentials are replaced, in milliseconds.
const EARLY: i64 = 5 * 60 * 1000;
/// How often a place is asked that gives none that hold for longer, in milliseconds: it may run a program,
/// and every request needs credentials.
const PAUSE: i64 = 30 * 1000;
/// A profile may run a program or ask a sign-in service.
const PROFILE: Duration = Duration::from_secs(60);
const SERVICE: Duration = Duration::from_secs(15);
/// Most machines are no instances: nothing answers there.
const INSTANCE: Duration = Duration::from_secs(2);

/// One place where credentials may be.
struct Place {
    /// For people, as in "… gave none".
    name: String,
    /// What it means that there are none.
    absent: String,
    deadline: Duration,
    provider: Box<dyn ProvideCredentials>,
}

/// The region that the profile names.
pub(crate) async fn region() -> Option<String> {
    let config = ProviderConfig::without_region();
    let profile = ProfileFileRegionProvider::builder()
        .configure(&config)
        .build();
    let region = profile.region().await?;
    Some(region.as_ref().to_owned())
}

/// Credentials from the first place that has some.
pub(crate) async fn credentials(not_set: String) -> Result<AwsCredentialProvider, Failure> {
    let mut tried = vec![not_set];
    for place in places().await {
        match ask(&place).await {
            Ok(found) => {
                tracing::debug!(place = place.name, "AWS credentials");
                let source = Source::new(place, &found, Arc::new(SystemClock));
                return Ok(obsync_s3::provider(source));
            }
            Err(Trouble::Absent) => tried.push(place.absent),
            Err(Trouble::Failed(why)) => {
                let message = format!("{} gave no AWS credentials: {why}", place.name);
                let failure = Failure::new(Exit::Auth, "credentials_missing", message);
                return Err(failure.hint("for single sign-on run 'aws sso login', and then again"));
            }
        }
    }
    Err(none(&tried))
}

async fn places() -> Vec<Place> {
    let https = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    let region = std::env::var("AWS_REGION").or_else(|_| std::env::var("AWS_DEFAULT_REGION"));
    let region = match region {
        Ok(region) => Some(region),
        Err(_) => self::region().await,
    };
    let config = ProviderConfig::without_region()
        .with_region(region.map(aws_config::Region::new))
        .with_http_client(https);
    let instance = imds::Client::builder()
        .configure(&config)
        .connect_timeout(INSTANCE / 2)
        .read_timeout(INSTANCE / 2)
        .max_attempts(1)
        .build();
    let profile = std::env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
    let web = WebIdentityTokenCredentialsProvider::builder().configure(&config);
    let place = |name: &str, absent: &str, deadline, provider| Place {
        name: name.to_owned(),
        absent: absent.to_owned(),
        deadline,
        provider,
    };
    vec![
        place(
            &format!("the profile '{profile}'"),
            &format!("no profile '{profile}' has any"),
            PROFILE,
            Box::new(
                ProfileFileCredentialsProvider::builder()
                    .configure(&config)
                    .build(),
            ),
        ),
        place(
            "the web identity (AWS_WEB_IDENTITY_TOKEN_FILE)",
            "AWS_WEB_IDENTITY_TOKEN_FILE is not set",
            SERVICE,
            Box::new(web.build()),
        ),
        place(
            "the container",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is not set",
            SERVICE,
            Box::new(EcsCredentialsProvider::builder().configure(&config).build()),
        ),
        place(
            "the instance",
            "this machine is no AWS instance with a role",
            INSTANCE,
            Box::new(
                ImdsCredentialsProvider::builder()
                    .configure(&config)
                    .imds_client(instance)
                    .build(),
            ),
        ),
    ]
}

/// Why a place gave none.
#[derive(Debug)]
enum Trouble {
    /// It is not set up.
    Absent,
    Failed(String),
}

async fn ask(place: &Place) -> Result<Credentials, Trouble> {
    match timeout(place.deadline, place.provider.provide_credentials()).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(CredentialsError::CredentialsNotLoaded(_))) => Err(Trouble::Absent),
        // Nothing is there, or nothing that speaks: the usual case on any other machine.
        Err(_) | Ok(Err(CredentialsError::ProviderTimedOut(_))) if place.deadline == INSTANCE => {
            Err(Trouble::Absent)
        }
        Ok(Err(error)) => Err(Trouble::Failed(chain(&error))),
        Err(_) => Err(Trouble::Failed(format!(
            "no answer within {} s",
            place.deadline.as_secs()
        ))),
    }
}

/// An error with its causes. The SDK's outermost words say little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(found) = cause {
        let more = found.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = found.source();
    }
    text
}

/// Credentials of one place, replaced in time.
struct Source {
    place: Place,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
}

struct Held {
    credential: Arc<AwsCredential>,
    /// When they run out, in milliseconds since 1970.
    until: Option<i64>,
    /// When the place was asked last, also in vain.
    asked: i64,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.place.name)
    }
}

impl Held {
    fn new(found: &Credentials, asked: i64) -> Self {
        let millis = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        };
        Self {
            credential: Arc::new(AwsCredential {
                key_id: found.access_key_id().to_owned(),
                secret_key: found.secret_access_key().to_owned(),
                token: found.session_token().map(str::to_owned),
            }),
            until: found.expiry().map(millis),
            asked,
        }
    }
}

impl Source {
    fn new(place: Place, found: &Credentials, clock: Arc<dyn Clock>) -> Self {
        let held = Mutex::new(Held::new(found, clock.now().0));
        Self { place, clock, held }
    }
}

#[async_trait]
impl CredentialSource for Source {
    async fn current(&self) -> Result<Arc<AwsCredential>, StoreError> {
        let mut held = self.held.lock().await;
        let now = self.clock.now().0;
        let left = held.until.map(|until| until - now);
        // A clock that goes back must not keep it from asking.
        let lately = (0..PAUSE).contains(&(now - held.asked));
        let gone = left.is_some_and(|left| left <= 0);
        if left.is_some_and(|left| left <= EARLY) && (gone || !lately) {
            held.asked = now;
            match ask(&self.place).await {
                Ok(found) => *held = Held::new(&found, now),
                Err(trouble) => {
                    let name = &self.place.name;
                    let why = match trouble {
                        Trouble::Absent => "they are gone".to_owned(),
                        Trouble::Failed(why) => why,
                    };
                    if gone {
                        let what = format!(
                            "the AWS credentials have run out, and {name} gives no new ones: {why}"
                        );
                        return Err(StoreError::new(StoreErrorKind::Unusable, what));
                    }
                    tracing::warn!(
                        place = name,
                        why,
                        "AWS credentials could not be replaced yet"
                    );
                }
            }
        }
        Ok(Arc::clone(&held.credential))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    use aws_credential_types::provider::future;
    use obsidian_sync::Millis;

    use super::*;

    #[derive(Clone, Default)]
    struct HandClock(Arc<AtomicI64>);

    impl Clock for HandClock {
        fn now(&self) -> Millis {
            Millis(self.0.load(Ordering::SeqCst))
        }
    }

    /// Gives numbered keys that hold for an hour of the clock; the third time it fails.
    #[derive(Clone, Default)]
    struct Hourly(HandClock, Arc<AtomicUsize>);

    impl fmt::Debug for Hourly {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Hourly")
        }
    }

    impl ProvideCredentials for Hourly {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.1.fetch_add(1, Ordering::SeqCst) + 1;
            if number == 3 {
                let error = CredentialsError::provider_error("out of order");
                return future::ProvideCredentials::ready(Err(error));
            }
            let now = u64::try_from(self.0.now().0).unwrap();
            let until = UNIX_EPOCH + Duration::from_millis(now) + Duration::from_secs(3600);
            let id = format!("key-{number}");
            let found = Credentials::new(id, "hidden", None, Some(until), "test");
            future::ProvideCredentials::ready(Ok(found))
        }
    }

    /// Gives keys that hold for a minute, and counts.
    #[derive(Clone, Default)]
    struct Brief(HandClock, Arc<AtomicUsize>);

    impl fmt::Debug for Brief {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Brief")
        }
    }

    impl ProvideCredentials for Brief {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            self.1.fetch_add(1, Ordering::SeqCst);
            let now = u64::try_from(self.0.now().0).unwrap();
            let until = UNIX_EPOCH + Duration::from_millis(now) + Duration::from_secs(60);
            let found = Credentials::new("key", "hidden", None, Some(until), "test");
            future::ProvideCredentials::ready(Ok(found))
        }
    }

    #[tokio::test]
    async fn a_place_whose_credentials_are_brief_is_asked_now_and_then() {
        let brief = Brief::default();
        let place = Place {
            name: "the test".to_owned(),
            absent: String::new(),
            deadline: SERVICE,
            provider: Box::new(brief.clone()),
        };
        let found = ask(&place).await.unwrap();
        let source = Source::new(place, &found, Arc::new(brief.0.clone()));
        // A request a second for five minutes.
        for second in 0..300 {
            brief.0.0.store(second * 1000, Ordering::SeqCst);
            source.current().await.unwrap();
        }
        assert_eq!(brief.1.load(Ordering::SeqCst), 10);
    }

    #[tokio::test]
    async fn credentials_are_replaced_before_they_run_out() {
        let clock = HandClock::default();
        let hourly = Hourly(clock.clone(), Arc::default());
        let place = Place {
            name: "the test".to_owned(),
            absent: String::new(),
            deadline: SERVICE,
            provider: Box::new(hourly.clone()),
        };
        let found = ask(&place).await.unwrap();
        let source = Source::new(place, &found, Arc::new(clock.clone()));
        let minutes = |minutes: i64| clock.0.store(minutes * 60_000, Ordering::SeqCst);
        for (at, key) in [(0, "key-1"), (54, "key-1"), (56, "key-2"), (110, "key-2")] {
            minutes(at);
            assert_eq!(source.current().await.unwrap().key_id, key, "at {at}");
        }
        // Failing to replace them does no harm while they hold, nor once it works again.
        minutes(112);
        assert_eq!(source.current().await.unwrap().key_id, "key-2");
        assert_eq!(source.current().await.unwrap().key_id, "key-2");
        minutes(113);
        assert_eq!(source.current().await.unwrap().key_id, "key-4");
        assert!(!format!("{source:?}").contains("hidden"));
        // Past their end there is a word for it.
        hourly.1.store(2, Ordering::SeqCst);
        minutes(1000);
        let error = source.current().await.unwrap_err();
        assert!(error.message.contains("have run out") && error.message.contains("out of order"));
    }
}
