//! Sync states that something has damaged.

use std::fs;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use obsidian_sync::{ContentHash, Millis, Uid, VaultId, VaultVersion};
use obsync_core::clock::SystemClock;
use obsync_core::{
    Batch, Entry, FileEntry, Header, Stamp, StateStore, StoreError, StoreErrorKind, VaultPath,
    VaultStore as _,
};
use obsync_doubles::s3::{BUCKET, Double};
use obsync_local::{About, FolderOptions, FolderStore, SqliteStateStore, StateDir};
use obsync_s3::{EnvironmentCredentials, Place, S3Home, S3Settings};
use tokio::runtime::{Builder, Runtime};

const VAULT: &str = "0123abcd";

/// A runtime for each input: nothing of one reaches the next.
pub(super) fn runtime() -> Runtime {
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

/// A vault's home in a bucket.
async fn in_bucket(double: &Double) -> Result<S3Home, StoreError> {
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
    S3Home::open(&settings, &about, credentials, clock).await
}

/// The state object of a vault in a bucket. What can't be read is refused, and left as it is.
pub(super) fn state_json(input: &[u8]) {
    runtime().block_on(async {
        let double = Double::start().await;
        let key = format!("state/{VAULT}.json");
        double.put(&key, input);
        match in_bucket(&double).await {
            Ok(home) => read(&home.state).await,
            Err(error) => assert_eq!(error.kind, StoreErrorKind::Unusable, "{error}"),
        }
        assert_eq!(double.object(&key).unwrap().bytes, input, "it was changed");
    });
}

/// The lease object beside it. Whatever it says, looking changes nothing, and ends.
pub(super) fn lease(input: &[u8]) {
    runtime().block_on(async {
        let double = Double::start().await;
        let key = format!("state/{VAULT}.lease.json");
        double.put(&key, input);
        if let Ok(home) = in_bucket(&double).await {
            let _ = home.state.is_leased().await;
        }
        assert_eq!(double.object(&key).unwrap().bytes, input, "it was changed");
    });
}

/// The mark of a copy, in a bucket and in a folder.
pub(super) fn mark(input: &[u8]) {
    runtime().block_on(async {
        let double = Double::start().await;
        let key = "vaults/Notes/.obsync/id.json";
        double.put(key, input);
        if let Ok(home) = in_bucket(&double).await {
            let _ = home.files.identity().await;
        }
        assert_eq!(double.object(key).unwrap().bytes, input, "it was changed");

        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join(".obsync");
        fs::create_dir(&own).unwrap();
        fs::write(own.join("id.json"), input).unwrap();
        let store = FolderStore::open(folder.path(), FolderOptions::default()).unwrap();
        let _ = store.identity().await;
        assert_eq!(
            fs::read(own.join("id.json")).unwrap(),
            input,
            "it was changed"
        );
    });
}

/// The note on past runs, in a bucket and beside a database, where one that makes no sense is none.
pub(super) fn status(input: &[u8]) {
    runtime().block_on(async {
        let double = Double::start().await;
        double.put(&format!("state/{VAULT}.status.json"), input);
        let home = in_bucket(&double).await.unwrap();
        let _ = home.state.status().await;

        let folder = tempfile::tempdir().unwrap();
        let paths = StateDir::new(folder.path()).state(&about());
        fs::create_dir_all(paths.status.parent().unwrap()).unwrap();
        fs::write(&paths.status, input).unwrap();
        let state = SqliteStateStore::open_read_only(&paths);
        state.status().await.unwrap();
        let _ = state.about().await;
    });
}

/// A good database, to be damaged.
static DATABASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let about = about();
    let paths = StateDir::new(folder.path()).state(&about);
    runtime().block_on(async {
        let state = SqliteStateStore::open(&paths, &about).unwrap();
        state.commit(batch(0..20, 20)).await.unwrap();
    });
    fs::read(&paths.db).unwrap()
});

/// Files with these numbers.
fn batch(numbers: Range<u64>, cursor: u64) -> Batch {
    let set = numbers.map(|number| {
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
        cursor: VaultVersion(cursor),
        ..Header::default()
    };
    Batch {
        header: Some(header),
        set: set.collect(),
        ..Batch::default()
    }
}

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
            Ok(state) => {
                read(&state).await;
                // It is taken or refused, whatever lies below.
                let _ = state.commit(batch(20..25, 25)).await;
                read(&state).await;
            }
            Err(_) => assert!(paths.db.exists(), "a state that can't be read is kept"),
        }
    });
}
