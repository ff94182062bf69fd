//! What only a real disk does: it fills up, refuses, is mounted inside, is not there yet.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use bytes::Bytes;
use obsidian_sync::{Millis, VaultId};
use obsync_core::{Expect, FileMeta, Folding, Found, Retire, StoreErrorKind, VaultStore as _};
use obsync_local::{FolderOptions, FolderStore, Trash};
use tempfile::TempDir;

use crate::privilege::{Mount, without_privileges};
use crate::support::{kind, meta, names, open, path, put, put_over};

#[tokio::test]
async fn looking_at_a_missing_destination_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("not/yet");
    let store = open(&root);
    assert!(store.is_empty().await.unwrap());
    assert_eq!(store.identity().await.unwrap(), None);
    assert_eq!(store.list(".obsidian").await.unwrap(), []);
    assert_eq!(
        store.inspect(&path("a"), None).await.unwrap(),
        Found::Absent
    );
    assert_eq!(store.folding(), Folding::default());
    store.lock().unwrap();
    store.sweep().await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(names(dir.path()), [""; 0]);
    put(&store, "a.md", b"a").await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(names(&root), [".obsync", "a.md"]);
}

#[tokio::test]
async fn a_destination_that_is_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "text").unwrap();
    let error = FolderStore::open(&file, FolderOptions::default()).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::InTheWay);
    let file = file.canonicalize().unwrap();
    assert_eq!(
        error.message,
        format!("the destination {} is not a folder", file.display())
    );
    let below = FolderStore::open(&file.join("below"), FolderOptions::default());
    assert_eq!(kind(below), StoreErrorKind::InTheWay);
}

#[tokio::test]
async fn two_runs_with_two_state_folders_do_not_write_one_destination() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = [open(dir.path()), open(dir.path())];
    one.lock().unwrap();
    two.lock().unwrap();
    assert_eq!(names(dir.path()), [""; 0]);
    one.set_identity("one").await.unwrap();
    assert_eq!(kind(two.set_identity("two").await), StoreErrorKind::Busy);
    assert_eq!(kind(two.lock()), StoreErrorKind::Busy);
    one.set_identity("one again").await.unwrap();
    drop(one);
    two.lock().unwrap();
    assert_eq!(two.identity().await.unwrap().as_deref(), Some("one again"));
}

#[tokio::test]
async fn the_mark_names_the_vault_and_is_refused_when_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let vault_id = Some(VaultId::new("0a1b"));
    let options = FolderOptions {
        vault_id,
        ..FolderOptions::default()
    };
    let store = FolderStore::open(dir.path(), options).unwrap();
    store.set_identity("mark").await.unwrap();
    let file = dir.path().join(".obsync/id.json");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(
        text,
        "{\n  \"schema\": 1,\n  \"id\": \"mark\",\n  \"vault_id\": \"0a1b\"\n}\n"
    );
    for damaged in ["", "{", "[]", "{\"schema\":1}", "\u{0}"] {
        fs::write(&file, damaged).unwrap();
        let error = store.identity().await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unusable);
        assert!(error.message.contains("is damaged"), "{error}");
    }
    fs::write(&file, "{\"schema\":2,\"id\":\"x\",\"more\":1}").unwrap();
    let error = store.identity().await.unwrap_err();
    assert!(error.message.contains("newer obsync"), "{error}");
}

#[tokio::test]
async fn modes_are_what_people_expect() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    fs::write(&plain, "").unwrap();
    let store = open(&dir.path().join("notes"));
    let mode = |path: &str| dir.path().join(path).metadata().unwrap().mode() & 0o777;
    let stamp = put(&store, "d/a.md", b"a").await.unwrap();
    assert_eq!(mode("notes/d/a.md"), mode("plain"));
    assert_eq!(mode("notes/.obsync/tmp"), 0o700);
    // A note that someone made private stays so.
    let note = dir.path().join("notes/d/a.md");
    fs::set_permissions(&note, fs::Permissions::from_mode(0o600)).unwrap();
    assert_ne!(
        store.inspect(&path("d/a.md"), None).await.unwrap(),
        Found::File { stamp, size: 1 }
    );
    let (_, stamp) = store.hash(&path("d/a.md")).await.unwrap().unwrap();
    put_over(&store, "d/a.md", b"b", &Expect::Is(stamp))
        .await
        .unwrap();
    assert_eq!(mode("notes/d/a.md"), 0o600);
}

#[tokio::test]
async fn odd_times_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (n, mtime) in [i64::MIN, -1, 0, 1, i64::MAX].into_iter().enumerate() {
        let at = format!("{n}.md");
        let meta = FileMeta {
            mtime: Millis(mtime),
            ctime: Millis(mtime),
            ..meta(b"x")
        };
        let staged = store
            .stage(&path(&at), Bytes::from("x"), meta)
            .await
            .unwrap();
        let stamp = store
            .publish(staged, &Expect::Absent, Retire::Discard)
            .await
            .unwrap();
        let found = store.inspect(&path(&at), None).await.unwrap();
        assert_eq!(found, Found::File { stamp, size: 1 }, "{mtime}");
    }
    let age = dir
        .path()
        .join("2.md")
        .metadata()
        .unwrap()
        .modified()
        .unwrap()
        .elapsed()
        .unwrap();
    assert!(
        age.as_secs() < 600,
        "a file without a time gets the present"
    );
    let just_before = dir.path().join("1.md").metadata().unwrap();
    assert_eq!(
        (just_before.mtime(), just_before.mtime_nsec()),
        (-1, 999_000_000)
    );
}

#[tokio::test]
async fn names_of_255_bytes_fit_also_where_they_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let trash = Trash::new(&dir.path().join("trash"), Millis(0));
    let options = FolderOptions {
        trash: Some(trash),
        ..FolderOptions::default()
    };
    let store = FolderStore::open(&dir.path().join("notes"), options).unwrap();
    let leaf = "é".repeat(127) + "x";
    let at = format!("{leaf}/{leaf}");
    let mut stamp = put(&store, &at, b"0").await.unwrap();
    for content in [b"1", b"2"] {
        let meta = meta(content);
        let staged = store
            .stage(&path(&at), Bytes::from_static(content), meta)
            .await
            .unwrap();
        stamp = store
            .publish(staged, &Expect::Is(stamp), Retire::Trash)
            .await
            .unwrap();
    }
    store
        .remove_file(&path(&at), &stamp, Retire::Trash)
        .await
        .unwrap();
    assert!(store.check_path(&path(&at)).is_ok());
    let long = leaf + "x";
    assert!(store.check_path(&path(&long)).is_err());
    assert_eq!(
        kind(put(&store, &long, b"x").await),
        StoreErrorKind::Unholdable
    );
}

#[tokio::test]
async fn a_full_disk_shows_nothing_partial() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("notes");
    let Some(_mount) = Mount::new(&root) else {
        return;
    };
    let store = open(&root);
    let kept = put(&store, "kept.md", b"kept").await.unwrap();
    let big = vec![7u8; 900_000];
    // Where the size is known to be too much, before the first byte.
    let opened = store.stage_stream(&path("huge.bin"), 4 << 20).await;
    assert_eq!(kind(opened.map(drop)), StoreErrorKind::Full);
    // In the middle of a stream that said less.
    let mut writer = store.stage_stream(&path("stream.bin"), 10).await.unwrap();
    writer.write(Bytes::from(big.clone())).await.unwrap();
    assert_eq!(
        kind(writer.write(Bytes::from(big.clone())).await),
        StoreErrorKind::Full
    );
    assert_eq!(
        kind(writer.finish(meta(&big)).await.map(drop)),
        StoreErrorKind::Other
    );
    // In the middle of one piece.
    assert_eq!(
        kind(put(&store, "big.bin", &[7; 2_000_000]).await),
        StoreErrorKind::Full
    );
    // Over a file that is there.
    let over = put_over(
        &store,
        "kept.md",
        &[7; 2_000_000],
        &Expect::Is(kept.clone()),
    )
    .await;
    assert_eq!(kind(over), StoreErrorKind::Full);
    assert_eq!(names(&root), [".obsync", "kept.md"]);
    assert_eq!(names(&root.join(".obsync/tmp")), [""; 0]);
    let found = store.inspect(&path("kept.md"), None).await.unwrap();
    assert_eq!(
        found,
        Found::File {
            stamp: kept,
            size: 4
        }
    );
    // What failed freed its space.
    put(&store, "big.bin", &big).await.unwrap();
}

#[tokio::test]
async fn a_full_trash_keeps_the_file_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let Some(_mount) = Mount::new(&state) else {
        return;
    };
    let trash = Trash::new(&state.join("trash"), Millis(0));
    let options = FolderOptions {
        trash: Some(trash),
        ..FolderOptions::default()
    };
    let store = FolderStore::open(&dir.path().join("notes"), options).unwrap();
    let big = vec![7u8; 2_000_000];
    let stamp = put(&store, "big.bin", &big).await.unwrap();
    let removed = store
        .remove_file(&path("big.bin"), &stamp, Retire::Trash)
        .await;
    assert_eq!(kind(removed), StoreErrorKind::Full);
    let staged = store
        .stage(&path("big.bin"), Bytes::from("x"), meta(b"x"))
        .await
        .unwrap();
    let expect = Expect::Is(stamp.clone());
    let refused = store
        .publish(staged, &expect, Retire::Trash)
        .await
        .unwrap_err();
    assert_eq!(refused.error.kind, StoreErrorKind::Full);
    assert!(fs::read(dir.path().join("notes/big.bin")).unwrap() == big);
    // Small enough, it is copied to the other file system.
    let small = put(&store, "d/a.md", b"small").await.unwrap();
    store
        .remove_file(&path("d/a.md"), &small, Retire::Trash)
        .await
        .unwrap();
    let kept = state.join("trash/19700101-000000/d/a.md");
    assert_eq!(fs::read_to_string(kept).unwrap(), "small");
}

#[tokio::test]
async fn a_mount_inside_the_tree_is_written_too() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("in/side");
    let Some(_mount) = Mount::new(&inside) else {
        return;
    };
    let store = open(dir.path());
    let one = put(&store, "in/side/d/a.md", b"one").await.unwrap();
    let two = put_over(&store, "in/side/d/a.md", b"two", &Expect::Is(one))
        .await
        .unwrap();
    assert_eq!(
        kind(put(&store, "in/side/d/a.md", b"x").await),
        StoreErrorKind::Changed
    );
    let mtime = inside.join("d/a.md").metadata().unwrap().mtime();
    assert_eq!(mtime, 1_600_000_000);
    let out = store
        .rename(
            &path("in/side/d/a.md"),
            &two,
            &path("out.md"),
            &meta(b"two"),
        )
        .await;
    let out = out.unwrap();
    let back = store
        .rename(&path("out.md"), &out, &path("in/side/b.md"), &meta(b"two"))
        .await;
    assert_eq!(fs::read_to_string(inside.join("b.md")).unwrap(), "two");
    store.flush().await.unwrap();
    store
        .remove_file(&path("in/side/b.md"), &back.unwrap(), Retire::Discard)
        .await
        .unwrap();
    assert_eq!(
        kind(store.remove_folder(&path("in/side")).await),
        StoreErrorKind::Denied
    );
    assert_eq!(
        kind(put(&store, "in/side/big", &[7; 2_000_000]).await),
        StoreErrorKind::Full
    );
    assert_eq!(names(&inside), ["d"]);
    assert_eq!(names(&inside.join("d")), [""; 0]);
    assert_eq!(names(&dir.path().join(".obsync/tmp")), [""; 0]);
    // What a crash left beside its target is found again by its note.
    let run = "0123456789abcdef";
    fs::write(inside.join(format!("d/.obsync-tmp-{run}-2")), "left").unwrap();
    let note = dir.path().join(format!(".obsync/tmp/{run}-1.beside"));
    fs::write(&note, "in/side/d").unwrap();
    // So is what somebody wrote just before: it is copied to where it can be found.
    let theirs = format!("d/.obsync-tmp-out-{run}-3-{run}-{run}-a.md");
    fs::write(inside.join(theirs), "theirs").unwrap();
    assert_eq!(store.list(".obsidian").await.unwrap().len(), 3);
    assert_eq!(store.rescued().await.unwrap(), [".obsync/kept/a.md"]);
    assert!(note.exists());
    store.sweep().await.unwrap();
    assert_eq!(names(&inside.join("d")), [""; 0]);
    assert!(!note.exists());
    let kept = dir.path().join(".obsync/kept/a.md");
    assert_eq!(fs::read_to_string(kept).unwrap(), "theirs");
}

#[test]
fn what_is_not_permitted_is_said_so() {
    without_privileges(not_permitted);
}

async fn not_permitted(dir: TempDir) {
    let root = dir.path().join("notes");
    let store = open(&root);
    put(&store, "closed/a.md", b"a").await.unwrap();
    let closed = root.join("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    fs::write(closed.join("probe"), "").unwrap_err();
    assert_eq!(
        kind(put(&store, "closed/b.md", b"b").await),
        StoreErrorKind::Denied
    );
    assert_eq!(
        kind(store.create_folder(&path("closed/d")).await),
        StoreErrorKind::Denied
    );
    let (_, stamp) = store.hash(&path("closed/a.md")).await.unwrap().unwrap();
    let removed = store
        .remove_file(&path("closed/a.md"), &stamp, Retire::Discard)
        .await;
    assert_eq!(kind(removed), StoreErrorKind::Denied);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(kind(store.list(".obsidian").await), StoreErrorKind::Denied);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(names(&closed), ["a.md"]);
}

#[tokio::test]
async fn a_read_only_disk_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("notes");
    let Some(mount) = Mount::new(&root) else {
        return;
    };
    let store = open(&root);
    let stamp = put(&store, "a.md", b"a").await.unwrap();
    mount.make_read_only();
    for error in [
        put(&store, "b.md", b"b").await.unwrap_err(),
        store.create_folder(&path("d")).await.unwrap_err(),
        store
            .remove_file(&path("a.md"), &stamp, Retire::Discard)
            .await
            .unwrap_err(),
        store.set_identity("id").await.unwrap_err(),
    ] {
        assert_eq!(error.kind, StoreErrorKind::Denied);
        assert!(
            error.message.ends_with("the file system is read-only"),
            "{error}"
        );
    }
}
