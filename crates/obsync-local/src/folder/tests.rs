//! What needs a look inside: races between a check and its step, and failing `fsync`s.

use std::fs;

use bytes::Bytes;
use obsidian_sync::ContentHash;
use obsync_core::{Expect, FileMeta, Retire, Stamp, VaultStore as _};
use rustix::fd::AsFd as _;
use tempfile::TempDir;

use super::inspect::{FileId, Seen, look};
use super::moves::Place;
use super::publish::{Ready, Refused, Target};
use super::*;

fn path(text: &str) -> VaultPath {
    VaultPath::parse(text).unwrap()
}

fn meta(content: &[u8]) -> FileMeta {
    FileMeta {
        uid: obsidian_sync::Uid(1),
        hash: ContentHash::of(content),
        size: content.len() as u64,
        mtime: obsidian_sync::Millis(1_600_000_000_000),
        ctime: obsidian_sync::Millis(0),
    }
}

fn open() -> (TempDir, FolderStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderStore::open(dir.path(), FolderOptions::default()).unwrap();
    (dir, store)
}

async fn put(store: &FolderStore, at: &str, content: &'static [u8]) -> Result<Stamp, StoreError> {
    let staged = store
        .stage(&path(at), Bytes::from_static(content), meta(content))
        .await?;
    let published = store
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await;
    published.map_err(|refused| refused.error)
}

fn file(folder: &OwnedFd, name: &str) -> FileId {
    match look(folder.as_fd(), name).unwrap() {
        Seen::File { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

/// The exchange takes whatever is at the path. If that is not what was checked an instant before,
/// the step is undone, and the editor's text is back.
#[tokio::test]
async fn an_edit_between_check_and_exchange_survives() {
    let (dir, store) = open();
    put(&store, "a.md", b"ours").await.unwrap();
    let inner = &store.inner;
    let root = inner.root().unwrap().unwrap().folder("").unwrap();
    let before = file(&root, "a.md");
    // As editors save: a new file in the old one's place.
    fs::write(dir.path().join("b.md"), "edit").unwrap();
    fs::rename(dir.path().join("b.md"), dir.path().join("a.md")).unwrap();
    let edited = file(&root, "a.md");
    let tmp = inner.tmp().unwrap();
    fs::write(dir.path().join(".obsync/tmp/new"), "remote").unwrap();
    let ready = Ready {
        place: Place {
            folder: tmp.as_fd(),
            name: "new",
        },
        id: file(&tmp, "new"),
        mode: file_mode(),
    };
    let target_path = path("a.md");
    let place = Place {
        folder: root.as_fd(),
        name: "a.md",
    };
    let target = Target {
        place,
        path: &target_path,
    };
    match inner.swap(ready, &target, before) {
        Err(Refused::Store(error)) => assert_eq!(error.kind, StoreErrorKind::Changed),
        _ => panic!("the edit was replaced"),
    }
    assert_eq!(fs::read_to_string(dir.path().join("a.md")).unwrap(), "edit");
    assert_eq!(file(&root, "a.md").content(), edited.content());
    assert_eq!(
        fs::read_to_string(dir.path().join(".obsync/tmp/new")).unwrap(),
        "remote"
    );
}

#[tokio::test]
async fn an_edit_between_check_and_removal_survives() {
    let (dir, store) = open();
    put(&store, "a.md", b"ours").await.unwrap();
    let inner = &store.inner;
    let root = inner.root().unwrap().unwrap().folder("").unwrap();
    let before = file(&root, "a.md");
    fs::write(dir.path().join("a.md"), "edit").unwrap();
    let place = Place {
        folder: root.as_fd(),
        name: "a.md",
    };
    let removed = inner.take_away(place, &path("a.md"), before);
    assert_eq!(removed.unwrap_err().kind, StoreErrorKind::Changed);
    assert_eq!(fs::read_to_string(dir.path().join("a.md")).unwrap(), "edit");
}

/// Text that has lost its name to another is kept where no sweep comes.
#[tokio::test]
async fn what_has_no_name_left_is_kept() {
    let (dir, store) = open();
    let tmp = store.inner.tmp().unwrap();
    fs::write(dir.path().join(".obsync/tmp/x"), "theirs").unwrap();
    let place = Place {
        folder: tmp.as_fd(),
        name: "x",
    };
    store.inner.rescue(place, &path("a.md")).unwrap();
    store.sweep().await.unwrap();
    let kept: Vec<_> = fs::read_dir(dir.path().join(".obsync/kept"))
        .unwrap()
        .collect();
    assert_eq!(
        fs::read_to_string(kept[0].as_ref().unwrap().path()).unwrap(),
        "theirs"
    );
}

#[tokio::test]
async fn content_that_can_not_be_made_durable_is_not_staged() {
    let dir = tempfile::tempdir().unwrap();
    let fails = |_: BorrowedFd<'_>| Err(Errno::IO);
    let store = FolderStore::with_sync(dir.path(), FolderOptions::default(), fails).unwrap();
    assert_eq!(
        put(&store, "a.md", b"a").await.unwrap_err().kind,
        StoreErrorKind::Other
    );
    assert!(store.is_empty().await.unwrap());
    assert_eq!(
        fs::read_dir(dir.path().join(".obsync/tmp"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_flush_that_fails_says_so_and_is_done_again() {
    fn folders_fail(fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let stat = rustix::fs::fstat(fd)?;
        let folder = Seen::from(&stat) == Seen::Folder;
        // A test plants this file to heal the disk.
        let healed = folder && look(fd, "healed.md")? != Seen::Absent;
        if folder && !healed {
            Err(Errno::IO)
        } else {
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let store = FolderStore::with_sync(dir.path(), FolderOptions::default(), folders_fail).unwrap();
    put(&store, "a.md", b"a").await.unwrap();
    for _ in 0..2 {
        let error = store.flush().await.unwrap_err();
        assert!(error.message.contains("durable"), "{error}");
    }
    fs::write(dir.path().join("healed.md"), "").unwrap();
    store.flush().await.unwrap();
}

/// Every folder in which a name appeared or went is made durable, once.
#[tokio::test]
async fn a_flush_covers_each_touched_folder() {
    let (_dir, store) = open();
    let touched = || {
        store
            .inner
            .touched
            .lock()
            .unwrap()
            .iter()
            .cloned()
            .collect::<Vec<_>>()
    };
    let stamp = put(&store, "a/b/c.md", b"x").await.unwrap();
    put(&store, "a/b/d.md", b"x").await.unwrap();
    assert_eq!(touched(), ["", "a", "a/b"]);
    store.flush().await.unwrap();
    assert_eq!(touched(), [""; 0]);
    let moved = store
        .rename(&path("a/b/c.md"), &stamp, &path("e/f.md"), &meta(b"x"))
        .await
        .unwrap();
    assert_eq!(touched(), ["", "a/b", "e"]);
    store.flush().await.unwrap();
    store
        .remove_file(&path("e/f.md"), &moved, Retire::Discard)
        .await
        .unwrap();
    store.remove_folder(&path("e")).await.unwrap();
    store.create_folder(&path("g")).await.unwrap();
    store
        .set_aside(&path("a/b/d.md"), &path("g/d.md"))
        .await
        .unwrap();
    assert_eq!(touched(), ["", "a/b", "e", "g"]);
    store.flush().await.unwrap();
}

#[tokio::test]
async fn other_stores_content_is_not_published() {
    let ((_one_dir, one), (other_dir, other)) = (open(), open());
    let staged = one
        .stage(&path("a.md"), Bytes::from_static(b"a"), meta(b"a"))
        .await
        .unwrap();
    let refused = other
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap_err();
    assert!(!other_dir.path().join("a.md").exists());
    let staged = refused.staged.unwrap();
    one.publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap();
}

#[tokio::test]
async fn folding_can_be_given_and_else_is_found_out() {
    let (dir, store) = open();
    store.set_identity("id").await.unwrap();
    assert!(dir.path().join(".obsync").join(probe::PROBE).exists());
    let given = Folding {
        case: true,
        unicode: false,
    };
    let options = FolderOptions {
        folding: Some(given),
        ..FolderOptions::default()
    };
    assert_eq!(
        FolderStore::open(dir.path(), options).unwrap().folding(),
        given
    );
}
