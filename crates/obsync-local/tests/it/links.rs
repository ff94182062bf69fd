//! Nothing outside the folder is read or written, whatever links stand in the way.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use bytes::Bytes;
use obsync_core::{Expect, Found, Retire, Stamp, StoreErrorKind, VaultStore as _};
use obsync_local::destination;
use tempfile::TempDir;

use crate::support::{kind, meta, names, open, path, put};

/// A root and a folder outside it that must not change.
struct Place {
    _dir: TempDir,
    root: PathBuf,
    outside: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir(&root).unwrap();
        fs::create_dir_all(outside.join("sub")).unwrap();
        fs::write(outside.join("secret.md"), "secret").unwrap();
        Self {
            _dir: dir,
            root,
            outside,
        }
    }

    fn outside_is_untouched(&self) {
        assert_eq!(names(&self.outside), ["secret.md", "sub"]);
        assert_eq!(names(&self.outside.join("sub")), [""; 0]);
        assert_eq!(
            fs::read_to_string(self.outside.join("secret.md")).unwrap(),
            "secret"
        );
    }
}

#[tokio::test]
async fn a_link_among_the_parents_is_not_followed() {
    let place = Place::new();
    symlink(&place.outside, place.root.join("out")).unwrap();
    fs::create_dir(place.root.join("real")).unwrap();
    symlink("real", place.root.join("in")).unwrap();
    let store = open(&place.root);
    let stamp = Stamp("x".into());
    for at in ["out/secret.md", "out/sub/new.md", "in/new.md"] {
        let at = path(at);
        assert!(matches!(
            store.inspect(&at, None).await.unwrap(),
            Found::Foreign(_)
        ));
        assert_eq!(store.hash(&at).await.unwrap(), None);
        assert_eq!(
            kind(put(&store, at.as_str(), b"x").await),
            StoreErrorKind::InTheWay
        );
        assert_eq!(
            kind(store.create_folder(&at).await),
            StoreErrorKind::InTheWay
        );
        assert_eq!(
            kind(store.remove_folder(&at).await),
            StoreErrorKind::InTheWay
        );
        let removed = store.remove_file(&at, &stamp, Retire::Discard).await;
        assert_eq!(kind(removed), StoreErrorKind::Changed);
        let aside = store.set_aside(&at, &path("taken.md")).await;
        assert_eq!(kind(aside), StoreErrorKind::InTheWay);
        let copied = store
            .stage_copy(&at, &stamp, &path("copy.md"), meta(b"secret"))
            .await;
        assert_eq!(kind(copied.map(drop)), StoreErrorKind::Changed);
        let ours = put(&store, "ours.md", b"ours").await.unwrap();
        let moved = store
            .rename(&path("ours.md"), &ours, &at, &meta(b"ours"))
            .await;
        assert_eq!(kind(moved), StoreErrorKind::InTheWay);
        let aside = store.set_aside(&path("ours.md"), &at).await;
        assert_eq!(kind(aside), StoreErrorKind::InTheWay);
        store
            .remove_file(&path("ours.md"), &ours, Retire::Discard)
            .await
            .unwrap();
    }
    assert_eq!(names(&place.root.join("real")), [""; 0]);
    place.outside_is_untouched();
}

#[tokio::test]
async fn a_link_as_the_file_itself_is_foreign() {
    let place = Place::new();
    symlink(place.outside.join("secret.md"), place.root.join("a.md")).unwrap();
    symlink(place.outside.join("none"), place.root.join("b.md")).unwrap();
    let store = open(&place.root);
    for at in ["a.md", "b.md"] {
        let found = store.inspect(&path(at), None).await.unwrap();
        assert_eq!(found, Found::Foreign("a symbolic link".to_owned()));
        assert_eq!(store.hash(&path(at)).await.unwrap(), None);
        for expect in [Expect::Absent, Expect::Is(Stamp("x".into()))] {
            let staged = store
                .stage(&path(at), Bytes::from("x"), meta(b"x"))
                .await
                .unwrap();
            let refused = store
                .publish(staged, &expect, Retire::Trash)
                .await
                .unwrap_err();
            assert_eq!(refused.error.kind, StoreErrorKind::InTheWay);
        }
        let removed = store
            .remove_file(&path(at), &Stamp("x".into()), Retire::Trash)
            .await;
        assert_eq!(kind(removed), StoreErrorKind::Changed);
        assert_eq!(
            kind(store.remove_folder(&path(at)).await),
            StoreErrorKind::InTheWay
        );
        let aside = store.set_aside(&path(at), &path("aside.md")).await;
        assert_eq!(kind(aside), StoreErrorKind::InTheWay);
        assert!(place.root.join(at).is_symlink());
    }
    place.outside_is_untouched();
}

#[tokio::test]
async fn links_planted_during_a_run_are_not_followed() {
    let place = Place::new();
    let store = open(&place.root);
    let ours = put(&store, "d/a.md", b"ours").await.unwrap();
    let staged = store
        .stage(&path("d/b.md"), Bytes::from("b"), meta(b"b"))
        .await
        .unwrap();
    fs::rename(place.root.join("d"), place.root.join("was-d")).unwrap();
    symlink(&place.outside, place.root.join("d")).unwrap();
    let refused = store
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap_err();
    assert_eq!(refused.error.kind, StoreErrorKind::InTheWay);
    let removed = store
        .remove_file(&path("d/a.md"), &ours, Retire::Discard)
        .await;
    assert_eq!(kind(removed), StoreErrorKind::Changed);
    store.flush().await.unwrap();
    // The content is not lost: once the link is gone, it can be published.
    fs::remove_file(place.root.join("d")).unwrap();
    let staged = refused.staged.unwrap();
    store
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap();
    assert_eq!(names(&place.root.join("d")), ["b.md"]);
    place.outside_is_untouched();
}

#[tokio::test]
async fn our_own_folder_may_not_be_a_link_either() {
    let place = Place::new();
    symlink(&place.outside, place.root.join(".obsync")).unwrap();
    let store = open(&place.root);
    assert_eq!(kind(store.identity().await), StoreErrorKind::InTheWay);
    assert_eq!(
        kind(store.set_identity("id").await),
        StoreErrorKind::InTheWay
    );
    assert_eq!(kind(store.lock()), StoreErrorKind::InTheWay);
    assert_eq!(
        kind(put(&store, "a.md", b"x").await),
        StoreErrorKind::InTheWay
    );
    assert_eq!(kind(store.sweep().await), StoreErrorKind::InTheWay);
    place.outside_is_untouched();
    // Nor may the files in it.
    fs::remove_file(place.root.join(".obsync")).unwrap();
    fs::create_dir(place.root.join(".obsync")).unwrap();
    for name in ["id.json", "id.json.new", "lock"] {
        symlink(
            place.outside.join("secret.md"),
            place.root.join(".obsync").join(name),
        )
        .unwrap();
    }
    symlink(
        place.outside.join("secret.md"),
        place.root.join(".obsyncignore"),
    )
    .unwrap();
    assert_eq!(kind(store.identity().await), StoreErrorKind::InTheWay);
    assert_eq!(
        kind(store.set_identity("id").await),
        StoreErrorKind::InTheWay
    );
    assert_eq!(kind(store.ignore_file().await), StoreErrorKind::InTheWay);
    place.outside_is_untouched();
}

#[tokio::test]
async fn a_listing_names_links_and_does_not_enter_them() {
    let place = Place::new();
    symlink(&place.outside, place.root.join("out")).unwrap();
    symlink("out", place.root.join("chain")).unwrap();
    fs::write(place.root.join("a.md"), "a").unwrap();
    let listed = open(&place.root).list(".obsidian").await.unwrap();
    let found: Vec<_> = listed
        .iter()
        .map(|listed| {
            (
                listed.path.as_str(),
                matches!(listed.found, Found::Foreign(_)),
            )
        })
        .collect();
    assert_eq!(found, [("a.md", false), ("chain", true), ("out", true)]);
}

#[tokio::test]
async fn a_sweep_follows_no_forged_note() {
    let place = Place::new();
    let staged = "0123456789abcdef-1";
    symlink(&place.outside, place.root.join("out")).unwrap();
    let theirs = place.outside.join(format!("sub/.obsync-tmp-{staged}"));
    fs::write(&theirs, "theirs").unwrap();
    let tmp = place.root.join(".obsync/tmp");
    fs::create_dir_all(&tmp).unwrap();
    for (number, folder) in ["out/sub", "../outside/sub", "/etc", "none", "\0"]
        .iter()
        .enumerate()
    {
        let note = format!("0123456789abcdef-{number}.beside");
        fs::write(tmp.join(note), folder).unwrap();
    }
    open(&place.root).sweep().await.unwrap();
    assert_eq!(names(&tmp), [""; 0]);
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
}

#[tokio::test]
async fn what_is_not_ours_in_our_own_folder_is_kept() {
    let place = Place::new();
    let tmp = place.root.join(".obsync/tmp");
    fs::create_dir_all(tmp.join("folder/deep")).unwrap();
    fs::create_dir_all(tmp.join("0123456789abcdef-1")).unwrap();
    fs::create_dir_all(place.root.join(".obsync/kept")).unwrap();
    symlink(&place.outside, tmp.join("link")).unwrap();
    for (name, text) in [
        ("tmp/a.md", "by hand"),
        ("kept/a.md", "from before"),
        ("tmp/folder/deep/b.md", "in a folder"),
        ("tmp/0123456789abcdef-2", "staged by a dead run"),
        ("tmp/.DS_Store", "of a file manager"),
        ("kept/.DS_Store", "of a file manager"),
    ] {
        fs::write(place.root.join(".obsync").join(name), text).unwrap();
    }
    let store = open(&place.root);
    store.sweep().await.unwrap();
    assert_eq!(names(&tmp), [".DS_Store"]);
    let kept = place.root.join(".obsync/kept");
    let told = ["0123456789abcdef-1", "a (2).md", "a.md", "folder", "link"];
    let told: Vec<_> = told
        .iter()
        .map(|name| format!(".obsync/kept/{name}"))
        .collect();
    assert_eq!(store.rescued().await.unwrap(), told);
    assert_eq!(
        fs::read_to_string(kept.join("a (2).md")).unwrap(),
        "by hand"
    );
    assert_eq!(
        fs::read_to_string(kept.join("a.md")).unwrap(),
        "from before"
    );
    assert!(kept.join("folder/deep/b.md").exists() && kept.join("link").is_symlink());
    put(&store, "a.md", b"a").await.unwrap();
    place.outside_is_untouched();
}

#[tokio::test]
async fn the_root_itself_may_be_a_link() {
    let place = Place::new();
    let link = place.root.with_file_name("link");
    symlink(&place.root, &link).unwrap();
    let store = open(&link);
    put(&store, "a.md", b"a").await.unwrap();
    assert_eq!(store.path(), place.root.canonicalize().unwrap());
    // Resolved once: to point it elsewhere during a run changes nothing.
    fs::remove_file(&link).unwrap();
    symlink(&place.outside, &link).unwrap();
    put(&store, "b.md", b"b").await.unwrap();
    assert_eq!(names(&place.root), [".obsync", "a.md", "b.md"]);
    place.outside_is_untouched();
}

#[tokio::test]
async fn a_root_that_is_still_missing_is_named_as_it_will_be() {
    let place = Place::new();
    let link = place.root.with_file_name("link");
    symlink(&place.root, &link).unwrap();
    for name in ["new", "new/er/../est"] {
        let at = link.join(name);
        let store = open(&at);
        assert_eq!(store.location(), destination(&at));
        store.set_identity("id").await.unwrap();
        assert_eq!(store.location(), destination(&at), "also once it is there");
        assert_eq!(open(&at).location(), destination(&at));
    }
    place.outside_is_untouched();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn pipes_and_devices_are_foreign() {
    let place = Place::new();
    let fifo = place.root.join("pipe.md");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let store = open(&place.root);
    let found = store.inspect(&path("pipe.md"), None).await.unwrap();
    assert_eq!(found, Found::Foreign("a named pipe".to_owned()));
    assert_eq!(store.hash(&path("pipe.md")).await.unwrap(), None);
    assert_eq!(
        kind(put(&store, "pipe.md", b"x").await),
        StoreErrorKind::InTheWay
    );
}
