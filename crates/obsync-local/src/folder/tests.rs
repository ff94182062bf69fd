//! What needs a look inside: races between a check and its step, and failing `fsync`s.

mod steps;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use obsidian_sync::ContentHash;
use obsync_core::{Expect, FileMeta, Found, Retire, Staged, Stamp, VaultStore as _};
use tempfile::TempDir;

use super::inspect::{Seen, look};
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

/// Text that can neither be given back nor be moved to where it is kept stays until it can.
#[tokio::test]
async fn what_can_not_be_kept_yet_is_not_swept_away() {
    use super::moves::Step;
    let (dir, store) = open();
    let stamp = put(&store, "a.md", b"ours").await.unwrap();
    let content = Bytes::from_static(b"remote");
    let staged = store.stage(&path("a.md"), content, meta(b"remote")).await;
    fs::write(dir.path().join(".obsync/kept"), "no folder").unwrap();
    let file = dir.path().join("a.md");
    let exchanges = AtomicU64::new(0);
    let save = move |step, _: &[moves::Place<'_>]| {
        match (step, exchanges.load(Ordering::Relaxed)) {
            (Step::Exchange, 0) => {
                fs::remove_file(&file).unwrap();
                fs::write(&file, "edit").unwrap();
                exchanges.store(1, Ordering::Relaxed);
            }
            (Step::Exchange, _) => return Err(Errno::IO),
            _ => {}
        }
        Ok(())
    };
    store.inner.moves.before.set(Box::new(save)).ok().unwrap();
    let refused = store
        .publish(staged.unwrap(), &Expect::Is(stamp), Retire::Discard)
        .await
        .unwrap_err();
    assert!(refused.staged.is_none());
    let message = refused.error.to_string();
    assert!(message.contains("it stays there"), "{message}");
    drop((refused, store));

    let open = || FolderStore::open(dir.path(), FolderOptions::default()).unwrap();
    open().sweep().await.unwrap();
    let told = open().rescued().await.unwrap();
    assert!(told[0].starts_with(".obsync/tmp/out-"), "{told:?}");
    fs::remove_file(dir.path().join(".obsync/kept")).unwrap();
    assert_eq!(open().rescued().await.unwrap(), [".obsync/kept/a.md"]);
    let kept = fs::read_to_string(dir.path().join(".obsync/kept/a.md"));
    assert_eq!(kept.unwrap(), "edit");
}

#[tokio::test]
async fn a_file_that_moved_without_its_time_has_moved() {
    let (dir, store) = open();
    let stamp = put(&store, "a.md", b"a").await.unwrap();
    let refuse = |step, _: &[moves::Place<'_>]| match step {
        moves::Step::SetTimes => Err(Errno::ACCESS),
        _ => Ok(()),
    };
    store.inner.moves.before.set(Box::new(refuse)).ok().unwrap();
    let moved = store
        .rename(&path("a.md"), &stamp, &path("b.md"), &meta(b"a"))
        .await;
    let found = Found::File {
        stamp: moved.unwrap(),
        size: 1,
    };
    assert_eq!(store.inspect(&path("b.md"), None).await.unwrap(), found);
    assert!(!dir.path().join("a.md").exists());
}

/// A trash on another disk; it counts its syncs, and fails those of folders once `fail` is set.
fn far_trash(path: &Path, syncs: &Arc<AtomicU64>, fail: &Arc<AtomicBool>) -> Trash {
    let trash = Trash::new(path, obsidian_sync::Millis(0));
    let (syncs, fail) = (Arc::clone(syncs), Arc::clone(fail));
    let far = move |step, places: &[moves::Place<'_>]| match step {
        moves::Step::Link => Err(Errno::XDEV),
        moves::Step::Sync => {
            syncs.fetch_add(1, Ordering::Relaxed);
            let folder = places.is_empty();
            match folder && fail.load(Ordering::Relaxed) {
                true => Err(Errno::IO),
                false => Ok(()),
            }
        }
        _ => Ok(()),
    };
    trash.moves.before.set(Box::new(far)).ok().unwrap();
    trash
}

#[tokio::test]
async fn many_removals_sync_the_trash_once() {
    const FILES: u64 = 20;
    let dir = tempfile::tempdir().unwrap();
    let (syncs, fail) = (Arc::default(), Arc::default());
    let options = FolderOptions {
        trash: Some(far_trash(&dir.path().join("trash"), &syncs, &fail)),
        ..FolderOptions::default()
    };
    let store = FolderStore::open(&dir.path().join("notes"), options).unwrap();
    let mut removals = Vec::new();
    for number in 0..FILES {
        let at = format!("d/{number}.md");
        let stamp = put(&store, &at, b"text").await.unwrap();
        removals.push((path(&at), stamp, Retire::Trash));
    }
    let kept =
        || fs::read_dir(dir.path().join("trash/19700101-000000/d")).map_or(0, Iterator::count);

    // What can't be made durable there is not removed here.
    fail.store(true, Ordering::Relaxed);
    for removed in store.inner.remove_files(&removals) {
        assert_eq!(removed.unwrap_err().kind, StoreErrorKind::Other);
    }
    assert_eq!(
        (
            kept(),
            fs::read_dir(dir.path().join("notes/d")).unwrap().count()
        ),
        (0, 20)
    );

    fail.store(false, Ordering::Relaxed);
    syncs.store(0, Ordering::Relaxed);
    let removed = store.inner.remove_files(&removals);
    assert!(removed.iter().all(Result::is_ok));
    // Each file, the folder that holds them, and the one that holds that.
    assert_eq!(syncs.load(Ordering::Relaxed), FILES + 2);
    assert_eq!(
        (
            kept(),
            fs::read_dir(dir.path().join("notes/d")).unwrap().count()
        ),
        (20, 0)
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

/// On a file system that drops a dot at the end, `etc.` and `etc` would be one folder.
#[tokio::test]
async fn where_dots_are_dropped_names_follow_windows() {
    let (dir, store) = open();
    store.set_identity("id").await.unwrap();
    for name in ["etc./a.md", "a:b"] {
        store.check_path(&path(name)).unwrap();
    }
    let probe = dir.path().join(".obsync").join(probe::PROBE);
    fs::hard_link(&probe, probe.with_file_name(format!("{}.", probe::PROBE))).unwrap();
    let store = FolderStore::open(dir.path(), FolderOptions::default()).unwrap();
    for name in ["etc./a.md", "a:b"] {
        store.check_path(&path(name)).unwrap_err();
    }
    store.check_path(&path("etc/a.md")).unwrap();
}
