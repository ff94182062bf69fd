//! What the suite can't know of SQLite: what an idle run touches, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use obsidian_sync::{ContentHash, Millis, Uid, VaultId, VaultVersion};
use obsync_core::{
    Batch, Counts, Entry, FileEntry, FileMeta, Header, RunStatus, Stamp, StateStore as _,
    StoreErrorKind, Unapplied, UnappliedKind,
};
use obsync_local::{About, SqliteStateStore, StateDir, StatePaths};
use tempfile::TempDir;

use crate::support::{kind, names, path};

fn about() -> About {
    About::new(&VaultId::new("0a1b"), "Vault", "/notes")
}

struct Home {
    dir: TempDir,
    paths: StatePaths,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = StateDir::new(dir.path().join("state")).state(&about());
        Self { dir, paths }
    }

    fn open(&self) -> SqliteStateStore {
        SqliteStateStore::open(&self.paths, &about()).unwrap()
    }

    fn folder(&self) -> &Path {
        self.paths.db.parent().unwrap()
    }

    fn refused(&self) -> String {
        let error = SqliteStateStore::open(&self.paths, &about()).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unusable, "{error}");
        let db = self.paths.db.display().to_string();
        let message = error.message.replace(&db, "DB");
        assert!(
            message.ends_with(
                "the copied files are safe: `obsync reset 0a1b --dest /notes` forgets the state, \
                 and the next sync compares the files with the vault"
            ),
            "{message}"
        );
        message
    }
}

/// One batch of everything.
fn batch() -> Batch {
    let file = FileEntry {
        uid: Uid(3),
        hash: ContentHash::of(b"text"),
        size: 4,
        mtime: Millis(1_600_000_000_000),
        stamp: Stamp("4 1600000000.000000000".to_owned()),
    };
    let meta = FileMeta {
        uid: Uid(4),
        hash: ContentHash::of(b""),
        size: 0,
        mtime: Millis(1),
        ctime: Millis(2),
    };
    let unapplied = Unapplied {
        name: "../evil".to_owned(),
        uid: Uid(5),
        kind: UnappliedKind::Skipped,
        message: "the name has a '.' or '..' segment".to_owned(),
        attempts: 1,
        record: None,
    };
    Batch {
        header: Some(Header {
            cursor: VaultVersion(5),
            highest: Uid(5),
            fingerprint: "pull".to_owned(),
            full_pending: true,
            destination: Some("mark".to_owned()),
        }),
        set: vec![
            (path("d"), Entry::Folder { uid: Uid(2) }),
            (path("d/a.md"), Entry::File(file)),
        ],
        intend: vec![(path("d/b.md"), meta)],
        list: vec![unapplied],
        ..Batch::default()
    }
}

async fn holds_the_batch(store: &SqliteStateStore) {
    let batch = batch();
    assert_eq!(store.header().await.unwrap(), batch.header.unwrap());
    assert_eq!(store.counts().await.unwrap(), Counts { files: 1, bytes: 4 });
    assert_eq!(
        store.load().await.unwrap().entries,
        batch.set.into_iter().collect()
    );
    assert_eq!(store.intents().await.unwrap(), batch.intend);
    assert_eq!(store.unapplied().await.unwrap(), batch.list);
}

/// Bytes and times of all files but the lock.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let names = names(folder)
        .into_iter()
        .filter(|name| !name.ends_with(".lock"));
    names
        .map(|name| {
            let path = folder.join(name);
            let time = path.metadata().unwrap().modified().unwrap();
            (path.clone(), (fs::read(path).unwrap(), time))
        })
        .collect()
}

#[tokio::test]
async fn an_idle_run_leaves_the_state_untouched() {
    let home = Home::new();
    home.open().commit(batch()).await.unwrap();
    let before = snapshot(home.folder());
    assert_eq!(before.len(), 1, "no side files are left");
    for _ in 0..3 {
        let store = home.open();
        holds_the_batch(&store).await;
        store.commit(Batch::default()).await.unwrap();
        drop(store);
        assert!(snapshot(home.folder()) == before);
    }
}

#[tokio::test]
async fn looking_creates_nothing_and_needs_no_lock() {
    let home = Home::new();
    let look = SqliteStateStore::open_read_only(&home.paths);
    assert_eq!(look.header().await.unwrap(), Header::default());
    assert_eq!(look.about().await.unwrap(), None);
    assert_eq!(look.status().await.unwrap(), RunStatus::default());
    assert_eq!(names(home.dir.path()), [""; 0]);

    let run = home.open();
    run.commit(batch()).await.unwrap();
    holds_the_batch(&look).await;
    drop(run);
    let before = snapshot(home.folder());
    holds_the_batch(&look).await;
    assert_eq!(look.about().await.unwrap(), Some(about()));
    assert_eq!(kind(look.commit(batch()).await), StoreErrorKind::Denied);
    assert_eq!(
        kind(look.set_status(&RunStatus::default()).await),
        StoreErrorKind::Denied
    );
    assert!(snapshot(home.folder()) == before);
}

#[tokio::test]
async fn one_run_at_a_time() {
    let home = Home::new();
    let run = home.open();
    let busy = SqliteStateStore::open(&home.paths, &about()).unwrap_err();
    assert_eq!(busy.kind, StoreErrorKind::Busy);
    assert!(
        busy.message
            .contains(&format!("(process {})", std::process::id())),
        "{busy}"
    );
    assert!(busy.message.contains("the copy in /notes"), "{busy}");
    assert_eq!(
        kind(SqliteStateStore::reset(&home.paths)),
        StoreErrorKind::Busy
    );
    drop(run);
    home.open();
}

#[tokio::test]
async fn a_killed_run_loses_nothing_that_it_committed() {
    let home = Home::new();
    let copy = Home::new();
    let run = home.open();
    run.commit(batch()).await.unwrap();
    // What lies on the disk at this instant is what a killed process leaves.
    fs::create_dir_all(copy.folder()).unwrap();
    for name in names(home.folder()) {
        fs::copy(home.folder().join(&name), copy.folder().join(&name)).unwrap();
    }
    assert!(
        names(copy.folder())
            .iter()
            .any(|name| name.ends_with("-wal"))
    );
    holds_the_batch(&SqliteStateStore::open_read_only(&copy.paths)).await;
    holds_the_batch(&copy.open()).await;
}

#[tokio::test]
async fn only_the_owner_can_read() {
    let home = Home::new();
    let run = home.open();
    run.commit(batch()).await.unwrap();
    run.set_status(&RunStatus::default()).await.unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let all = names(home.folder());
    assert!(all.len() >= 5, "{all:?}");
    for name in all {
        assert_eq!(mode(&home.folder().join(&name)), 0o600, "{name}");
    }
    for folder in home.folder().ancestors().take(3) {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
}

#[tokio::test]
async fn a_damaged_state_is_refused_with_the_way_out() {
    let home = Home::new();
    home.open().commit(batch()).await.unwrap();
    let good = fs::read(&home.paths.db).unwrap();

    fs::write(
        &home.paths.db,
        "this is no database, and long enough to be sure of it",
    )
    .unwrap();
    assert!(
        home.refused()
            .starts_with("the sync state DB is damaged (file is not a database)")
    );
    let look = SqliteStateStore::open_read_only(&home.paths);
    assert_eq!(kind(look.header().await), StoreErrorKind::Unusable);

    // Cut short: the header promises pages that are not there.
    fs::write(&home.paths.db, &good[..good.len() / 2]).unwrap();
    assert!(home.refused().starts_with("the sync state DB is damaged"));

    // Bytes turned in the middle of the tables.
    let mut bad = good.clone();
    for byte in &mut bad[8192..] {
        *byte = !*byte;
    }
    fs::write(&home.paths.db, &bad).unwrap();
    let loaded = match SqliteStateStore::open(&home.paths, &about()) {
        Ok(store) => store.load().await.map(drop),
        Err(error) => Err(error),
    };
    assert_eq!(kind(loaded), StoreErrorKind::Unusable);

    // The way out works.
    assert!(SqliteStateStore::reset(&home.paths).unwrap());
    assert_eq!(home.open().header().await.unwrap(), Header::default());
}

#[tokio::test]
async fn lost_entries_are_noticed() {
    let home = Home::new();
    home.open().commit(batch()).await.unwrap();
    sql(&home.paths.db, "DELETE FROM entries WHERE path = 'd/a.md'");
    assert_eq!(kind(home.open().load().await), StoreErrorKind::Unusable);
}

#[tokio::test]
async fn an_entry_that_turned_into_another_is_noticed() {
    let home = Home::new();
    let mut twins = batch();
    let folder = || Entry::Folder { uid: Uid(3) };
    twins.set = vec![(path("twin 1"), folder()), (path("twin 2"), folder())];
    home.open().commit(twins).await.unwrap();
    let mut bytes = fs::read(&home.paths.db).unwrap();
    let second = |at: &usize| bytes[*at..].starts_with(b"twin 2");
    let places: Vec<usize> = (0..bytes.len()).filter(second).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + 5] = b'1';
    }
    fs::write(&home.paths.db, bytes).unwrap();
    assert_eq!(kind(home.open().load().await), StoreErrorKind::Unusable);
}

#[tokio::test]
async fn a_newer_or_foreign_state_is_refused() {
    let home = Home::new();
    home.open().commit(batch()).await.unwrap();
    sql(&home.paths.db, "PRAGMA user_version = 99");
    let before = snapshot(home.folder());
    assert!(home.refused().starts_with(
        "the sync state DB was written by a newer obsync (version 99, this one knows 1): update \
         this one; or, "
    ));
    assert!(snapshot(home.folder()) == before);
    let look = SqliteStateStore::open_read_only(&home.paths);
    assert_eq!(kind(look.header().await), StoreErrorKind::Unusable);

    sql(
        &home.paths.db,
        "PRAGMA user_version = 1; PRAGMA application_id = 7",
    );
    assert!(
        home.refused()
            .starts_with("DB is no sync state of obsync; ")
    );

    sql(
        &home.paths.db,
        "PRAGMA application_id = 1868723065; UPDATE about SET destination = '/x'",
    );
    assert!(
        home.refused()
            .starts_with("the sync state DB is of vault 0a1b in /x, not of ")
    );
}

#[tokio::test]
async fn a_damaged_note_on_runs_stops_nothing() {
    let home = Home::new();
    let run = home.open();
    fs::write(&home.paths.status, "{\"schema\":").unwrap();
    assert_eq!(run.status().await.unwrap(), RunStatus::default());
    let status = RunStatus {
        schema: 1,
        pending: 3,
        ..RunStatus::default()
    };
    run.set_status(&status).await.unwrap();
    assert_eq!(run.status().await.unwrap(), status);
    // From a newer obsync, with more in it.
    fs::write(
        &home.paths.status,
        "{\"schema\":2,\"pending\":4,\"news\":[]}",
    )
    .unwrap();
    assert_eq!(run.status().await.unwrap().pending, 4);
}

#[tokio::test]
async fn reset_forgets_all_and_only_one_state() {
    let home = Home::new();
    assert!(!SqliteStateStore::reset(&home.paths).unwrap());
    assert_eq!(names(home.dir.path()), [""; 0]);
    let run = home.open();
    run.commit(batch()).await.unwrap();
    run.set_status(&RunStatus {
        schema: 1,
        ..RunStatus::default()
    })
    .await
    .unwrap();
    drop(run);
    let other = About {
        destination: "/other".to_owned(),
        ..about()
    };
    let dir = StateDir::new(home.dir.path().join("state"));
    SqliteStateStore::open(&dir.state(&other), &other)
        .unwrap()
        .commit(batch())
        .await
        .unwrap();
    assert_eq!(dir.known(None).unwrap().len(), 2);

    assert!(SqliteStateStore::reset(&home.paths).unwrap());
    assert_eq!(dir.known(None).unwrap(), [dir.state(&other)]);
    let run = home.open();
    assert_eq!(run.header().await.unwrap(), Header::default());
    assert_eq!(run.status().await.unwrap(), RunStatus::default());
    holds_the_batch(&SqliteStateStore::open_read_only(&dir.state(&other))).await;
}

#[tokio::test]
async fn what_a_state_is_about_is_known_also_when_it_is_damaged() {
    let home = Home::new();
    let run = home.open();
    let status = RunStatus {
        schema: 1,
        vault_id: "0a1b".to_owned(),
        vault_name: "Vault".to_owned(),
        destination: "/notes".to_owned(),
        ..RunStatus::default()
    };
    run.set_status(&status).await.unwrap();
    drop(run);
    fs::write(&home.paths.db, "x".repeat(5000)).unwrap();
    let look = SqliteStateStore::open_read_only(&home.paths);
    assert_eq!(look.about().await.unwrap(), Some(about()));
}

#[tokio::test]
async fn a_vault_that_got_another_name_is_found_by_it() {
    let home = Home::new();
    home.open().commit(batch()).await.unwrap();
    let renamed = About {
        vault_name: "Renamed".to_owned(),
        ..about()
    };
    let run = SqliteStateStore::open(&home.paths, &renamed).unwrap();
    holds_the_batch(&run).await;
    drop(run);
    let look = SqliteStateStore::open_read_only(&home.paths);
    assert_eq!(look.about().await.unwrap(), Some(renamed));
}

/// A database as schema version 1 left it, with this module's `batch()` in it. It is never
/// regenerated: later versions must read it.
#[tokio::test]
async fn the_first_schema_is_still_read() {
    let home = Home::new();
    fs::create_dir_all(home.folder()).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/state-v1.db");
    fs::copy(fixture, &home.paths.db).unwrap();
    holds_the_batch(&home.open()).await;
    holds_the_batch(&SqliteStateStore::open_read_only(&home.paths)).await;
}

fn sql(db: &Path, text: &str) {
    rusqlite::Connection::open(db)
        .unwrap()
        .execute_batch(text)
        .unwrap();
}
