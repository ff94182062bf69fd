//! Sync states that something has damaged.

use std::fs;
use std::sync::{Arc, LazyLock};

use obsidian_sync::{ContentHash, Millis, Uid, VaultId, VaultVersion};
use obsync_core::clock::SystemClock;
use obsync_core::{Batch, Entry, FileEntry, Header, Stamp, StateStore, StoreErrorKind, VaultPath};
use obsync_doubles::s3::{BUCKET, Double};
use obsync_local::{About, SqliteStateStore, StateDir};
use obsync_s3::{EnvironmentCredentials, Place, S3Home, S3Settings};
use tokio::runtime::{Builder, Runtime};

const VAULT: &str = "0123abcd";

/// A runtime for each input: nothing of one reaches the next.
fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

async fn read(state: &dyn StateStore) {
    let header = state.header().await;
    let counts = state.counts().await;
    let loaded = state.load().await;
    let _ = (state.intents().await, state.unapplied().await);
    let _ = state.status().await;
    if let (Ok(_), Ok(counts), Ok(loaded)) = (header, counts, loaded) {
        let files = loaded.entries.values().filter_map(Entry::file).count();
        assert_eq!(counts.files, files as u64);
    }
}

/// The state object of a vault in a bucket. What can't be read is refused, and left as it is.
pub(super) fn state_json(input: &[u8]) {
    runtime().block_on(async {
        let double = Double::start().await;
        let key = format!("state/{VAULT}.json");
        double.put(&key, input);
        let mut settings = S3Settings::new(BUCKET);
        settings.endpoint = Some(double.url.parse().unwrap());
        let credentials = EnvironmentCredentials::from_variables(|name| Some(name.to_owned()));
        let about = obsync_s3::About {
            vault: VaultId::new(VAULT),
            name: "Notes".to_owned(),
            shared_name: false,
            place: Place::Usual,
        };
        let credentials = Arc::new(credentials.unwrap());
        let clock = Arc::new(SystemClock);
        match S3Home::open(&settings, &about, credentials, clock).await {
            Ok(home) => read(&home.state).await,
            Err(error) => assert_eq!(error.kind, StoreErrorKind::Unusable, "{error}"),
        }
        assert_eq!(double.object(&key).unwrap().bytes, input, "it was changed");
    });
}

/// A good database, to be damaged.
static DATABASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let about = about();
    let paths = StateDir::new(folder.path()).state(&about);
    runtime().block_on(async {
        let state = SqliteStateStore::open(&paths, &about).unwrap();
        let set = (0..20).map(|number| {
            let path = VaultPath::parse(&format!("folder/note {number}.md")).unwrap();
            let entry = FileEntry {
                uid: Uid(number),
                hash: ContentHash::of(&[0]),
                size: 10,
                mtime: Millis(5),
                stamp: Stamp("stamp".into()),
            };
            (path, Entry::File(entry))
        });
        let header = Header {
            cursor: VaultVersion(20),
            ..Header::default()
        };
        let batch = Batch {
            header: Some(header),
            set: set.collect(),
            ..Batch::default()
        };
        state.commit(batch).await.unwrap();
    });
    fs::read(&paths.db).unwrap()
});

fn about() -> About {
    About::new(&VaultId::new(VAULT), "Notes", "/somewhere/notes")
}

/// A database with other bytes here and there: each three bytes of the input are a place and what to
/// put there. What can't be used is refused, and its file stays.
pub(super) fn state_sqlite(input: &[u8]) {
    let mut bytes = DATABASE.clone();
    for change in input.chunks_exact(3).take(200) {
        let at = usize::from(change[0]) << 8 | usize::from(change[1]);
        let length = bytes.len();
        bytes[at % length] = change[2];
    }
    if input.len() % 3 == 1 {
        let end = usize::from(input[input.len() - 1]) * 97;
        bytes.truncate(end);
    }
    let folder = tempfile::tempdir().unwrap();
    let about = about();
    let paths = StateDir::new(folder.path()).state(&about);
    fs::create_dir_all(paths.db.parent().unwrap()).unwrap();
    fs::write(&paths.db, &bytes).unwrap();
    runtime().block_on(async {
        read(&SqliteStateStore::open_read_only(&paths)).await;
        match SqliteStateStore::open(&paths, &about) {
            Ok(state) => read(&state).await,
            Err(_) => assert!(paths.db.exists(), "a state that can't be read is kept"),
        }
    });
}
