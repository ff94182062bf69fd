//! Homes at a service, for the suites and the tests beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use obsidian_sync::{ContentHash, Millis, Uid, VaultId, VaultVersion};
use obsync_core::clock::Clock;
use obsync_core::{
    Batch, Expect, FileMeta, Header, Retire, Stamp, StoreError, VaultPath, VaultStore as _,
};
use obsync_s3::{About, EnvironmentCredentials, Place, S3Home, S3Settings};

use obsync_doubles::s3::BUCKET;

pub(crate) const STATE: &str = "state/0123abcd.json";
pub(crate) const LEASE: &str = "state/0123abcd.lease.json";

/// A dead run's lease has run out after this.
pub(crate) const LATER: Duration = Duration::from_secs(31);

/// Waits until it holds: what runs by itself comes to it soon.
pub(crate) async fn soon(mut holds: impl FnMut() -> bool) {
    let until = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    let until = tokio::time::timeout(Duration::from_secs(30), until);
    until.await.expect("it comes to it");
}

/// A clock that tests move.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<AtomicI64>);

impl HandClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_800_000_000_000)))
    }

    pub(crate) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn settings(url: &str) -> S3Settings {
    let mut settings = S3Settings::new(BUCKET);
    settings.endpoint = Some(url.parse().unwrap());
    settings.first_pause = Duration::from_millis(1);
    settings
}

pub(crate) fn credentials() -> Arc<EnvironmentCredentials> {
    let read = |name: &str| Some(format!("test-{name}"));
    Arc::new(EnvironmentCredentials::from_variables(read).unwrap())
}

pub(crate) fn about(name: &str) -> About {
    About {
        vault: VaultId::new("0123abcd"),
        name: name.to_owned(),
        shared_name: false,
        place: Place::Usual,
    }
}

pub(crate) async fn open_with(
    settings: &S3Settings,
    about: &About,
    clock: &HandClock,
) -> Result<S3Home, StoreError> {
    S3Home::open(settings, about, credentials(), Arc::new(clock.clone())).await
}

/// A home of the vault `Notes` at a service.
pub(crate) async fn open(url: &str, clock: &HandClock) -> S3Home {
    open_with(&settings(url), &about("Notes"), clock)
        .await
        .unwrap()
}

pub(crate) fn path(text: &str) -> VaultPath {
    VaultPath::parse(text).unwrap()
}

/// What a record says of this content.
pub(crate) fn meta(content: &[u8]) -> FileMeta {
    FileMeta {
        uid: Uid(7),
        hash: ContentHash::of(content),
        size: content.len() as u64,
        mtime: Millis(1_600_000_000_123),
        ctime: Millis(0),
    }
}

/// Stages and publishes.
pub(crate) async fn put(
    home: &S3Home,
    at: &str,
    content: &'static [u8],
    expect: Expect,
) -> Result<Stamp, StoreError> {
    let path = path(at);
    let bytes = Bytes::from_static(content);
    let staged = home.files.stage(&path, bytes, meta(content)).await?;
    let published = home.files.publish(staged, &expect, Retire::Discard);
    published.await.map_err(|failure| failure.error)
}

/// A change of nothing but the cursor.
pub(crate) fn at_cursor(cursor: u64) -> Batch {
    Batch {
        header: Some(Header {
            cursor: VaultVersion(cursor),
            ..Header::default()
        }),
        ..Batch::default()
    }
}
