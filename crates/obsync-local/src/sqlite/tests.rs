//! What must not depend on SQLite's defaults.

use super::*;
use obsidian_sync::VaultId;

fn home() -> (tempfile::TempDir, StatePaths, About) {
    let dir = tempfile::tempdir().unwrap();
    let about = About::new(&VaultId::new("id"), "name", "/notes");
    let paths = crate::StateDir::new(dir.path().join("odd ?#%é")).state(&about);
    (dir, paths, about)
}

fn pragma(store: &SqliteStateStore, name: &str) -> String {
    let Access::Write(writer) = &store.access else {
        panic!("not for writing")
    };
    let writer = writer.lock().unwrap();
    writer
        .connection
        .pragma_query_value(None, name, |row| {
            row.get::<_, rusqlite::types::Value>(0)
                .map(|value| format!("{value:?}"))
        })
        .unwrap()
}

#[test]
fn every_opening_is_durable_and_in_wal_mode() {
    let (_dir, paths, about) = home();
    for _ in 0..2 {
        let store = SqliteStateStore::open(&paths, &about).unwrap();
        assert_eq!(pragma(&store, "journal_mode"), "Text(\"wal\")");
        assert_eq!(pragma(&store, "synchronous"), "Integer(2)");
        assert_eq!(
            pragma(&store, "user_version"),
            format!("Integer({})", open::VERSION)
        );
    }
}

#[tokio::test]
async fn odd_characters_in_the_path_are_no_hindrance() {
    let (_dir, paths, about) = home();
    drop(SqliteStateStore::open(&paths, &about).unwrap());
    let look = SqliteStateStore::open_read_only(&paths);
    assert_eq!(look.about().await.unwrap(), Some(about));
}

#[test]
fn a_creation_that_was_cut_short_is_done_again() {
    let (_dir, paths, about) = home();
    private::create_folder(paths.db.parent().unwrap()).unwrap();
    // The file is there, and empty; or its first page is.
    private::open(&paths.db).unwrap();
    drop(SqliteStateStore::open(&paths, &about).unwrap());
    std::fs::remove_file(&paths.db).unwrap();
    let connection = Connection::open(&paths.db).unwrap();
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    drop(connection);
    SqliteStateStore::open(&paths, &about).unwrap();
}

#[tokio::test]
async fn another_program_that_holds_the_database_is_waited_for_and_then_named() {
    let (_dir, paths, about) = home();
    let store = SqliteStateStore::open(&paths, &about).unwrap();
    let Access::Write(writer) = &store.access else {
        panic!("not for writing")
    };
    let patience = pragma(&store, "busy_timeout");
    assert_eq!(patience, "Integer(5000)");
    let impatient = std::time::Duration::ZERO;
    writer
        .lock()
        .unwrap()
        .connection
        .busy_timeout(impatient)
        .unwrap();
    let other = Connection::open(&paths.db).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let header = Some(Header {
        full_pending: true,
        ..Header::default()
    });
    let batch = Batch {
        header,
        ..Batch::default()
    };
    let error = store.commit(batch.clone()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Busy);
    assert!(
        error.message.ends_with("another program has it open"),
        "{error}"
    );
    assert_eq!(store.header().await.unwrap(), Header::default());
    drop(other);
    store.commit(batch).await.unwrap();
}
