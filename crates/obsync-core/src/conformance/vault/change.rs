//! Copies, moves, removals and folders.

use super::{join, kind, meta, new, path, put, stamp};
use crate::conformance::VaultHome;
use crate::store::{Expect, Found, Retire, Stamp, StoreErrorKind};

/// A copy of a file that is here appears elsewhere; the source stays as it is.
pub async fn copies(home: &impl VaultHome) {
    let store = home.open().await;
    let source = new(&*store, "a.md", b"text").await;
    let staged = store
        .stage_copy(&path("a.md"), &source, &path("d/b.md"), meta(b"text"))
        .await;
    let staged = staged.unwrap();
    assert_eq!(home.read("d/b.md").await, None);
    store
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap();
    assert_eq!(home.read("d/b.md").await.as_deref(), Some(&b"text"[..]));
    assert_eq!(home.read("a.md").await.as_deref(), Some(&b"text"[..]));
    assert_eq!(stamp(&*store, "a.md").await, source);
    // Two files, not one under two names.
    home.write("d/b.md", b"edit").await;
    assert_eq!(home.read("a.md").await.as_deref(), Some(&b"text"[..]));
}

/// A copy is made only of the very bytes that were expected.
pub async fn copies_only_what_was_expected(home: &impl VaultHome) {
    let store = home.open().await;
    let source = new(&*store, "a.md", b"text").await;
    let copy = |stamp: Stamp, content: &'static [u8]| {
        let store = &store;
        async move {
            let copied = store
                .stage_copy(&path("a.md"), &stamp, &path("b.md"), meta(content))
                .await;
            kind(copied.map(drop))
        }
    };
    let changed = Some(StoreErrorKind::Changed);
    assert_eq!(copy(source.clone(), b"else").await, changed);
    assert_eq!(copy(Stamp("none".into()), b"text").await, changed);
    home.write("a.md", b"edit").await;
    assert_eq!(copy(source.clone(), b"text").await, changed);
    home.remove("a.md").await;
    assert_eq!(copy(source, b"text").await, changed);
    assert!(store.is_empty().await.unwrap());
}

/// A rename moves the file, makes its new folders, and gives the stamp found there.
pub async fn renames(home: &impl VaultHome) {
    let store = home.open().await;
    let source = new(&*store, "a.md", b"text").await;
    let there = store
        .rename(&path("a.md"), &source, &path("x/y/b.md"), &meta(b"text"))
        .await
        .unwrap();
    assert_eq!(home.read("a.md").await, None);
    assert_eq!(home.read("x/y/b.md").await.as_deref(), Some(&b"text"[..]));
    assert_eq!(stamp(&*store, "x/y/b.md").await, there);
    store.flush().await.unwrap();
    // Only the case changes: this must work where names fold, and where they don't.
    store
        .rename(&path("x/y/b.md"), &there, &path("x/y/B.md"), &meta(b"text"))
        .await
        .unwrap();
    assert_eq!(home.read("x/y/B.md").await.as_deref(), Some(&b"text"[..]));
    let listed = store.list(".obsidian").await.unwrap();
    let names: Vec<_> = listed.iter().map(|listed| listed.path.as_str()).collect();
    assert!(
        names.contains(&"x/y/B.md") && !names.contains(&"x/y/b.md"),
        "{names:?}"
    );
}

/// A rename never overwrites, and moves only what was expected.
pub async fn renames_over_nothing(home: &impl VaultHome) {
    let store = home.open().await;
    let source = new(&*store, "a.md", b"text").await;
    home.write("b.md", b"local").await;
    let rename = |stamp: Stamp, to: &'static str| {
        let store = &store;
        async move {
            kind(
                store
                    .rename(&path("a.md"), &stamp, &path(to), &meta(b"text"))
                    .await
                    .map(drop),
            )
        }
    };
    let changed = Some(StoreErrorKind::Changed);
    assert_eq!(rename(source.clone(), "b.md").await, changed);
    assert_eq!(rename(Stamp("none".into()), "c.md").await, changed);
    assert_eq!(home.read("a.md").await.as_deref(), Some(&b"text"[..]));
    assert_eq!(home.read("b.md").await.as_deref(), Some(&b"local"[..]));
    assert_eq!(stamp(&*store, "a.md").await, source);
    home.remove("a.md").await;
    assert_eq!(rename(source, "c.md").await, changed);
    assert_eq!(home.read("c.md").await, None);
}

/// Files and whole folders can be moved out of the way.
pub async fn sets_aside(home: &impl VaultHome) {
    let store = home.open().await;
    home.write("a.md", b"local").await;
    store
        .set_aside(&path("a.md"), &path("kept/a (2).md"))
        .await
        .unwrap();
    assert_eq!(home.read("a.md").await, None);
    assert_eq!(
        home.read("kept/a (2).md").await.as_deref(),
        Some(&b"local"[..])
    );
    home.write("d/e/f.md", b"deep").await;
    store.set_aside(&path("d"), &path("d (2)")).await.unwrap();
    assert_eq!(home.read("d/e/f.md").await, None);
    assert_eq!(
        home.read("d (2)/e/f.md").await.as_deref(),
        Some(&b"deep"[..])
    );
    assert_eq!(
        store.inspect(&path("d"), None).await.unwrap(),
        Found::Absent
    );
}

/// Setting aside never overwrites, and needs something to move.
pub async fn sets_aside_over_nothing(home: &impl VaultHome) {
    let store = home.open().await;
    home.write("a.md", b"a").await;
    home.write("b.md", b"b").await;
    home.write("d/c.md", b"c").await;
    let changed = Some(StoreErrorKind::Changed);
    assert_eq!(
        kind(store.set_aside(&path("a.md"), &path("b.md")).await),
        changed
    );
    assert_eq!(
        kind(store.set_aside(&path("d"), &path("b.md")).await),
        changed
    );
    assert_eq!(
        kind(store.set_aside(&path("none"), &path("c.md")).await),
        changed
    );
    for (at, content) in [("a.md", b"a"), ("b.md", b"b"), ("d/c.md", b"c")] {
        assert_eq!(home.read(at).await.as_deref(), Some(&content[..]));
    }
}

/// Removing takes the file away; removing again succeeds.
pub async fn removes(home: &impl VaultHome) {
    let store = home.open().await;
    let written = new(&*store, "d/a.md", b"text").await;
    for _ in 0..2 {
        store
            .remove_file(&path("d/a.md"), &written, Retire::Discard)
            .await
            .unwrap();
        assert_eq!(home.read("d/a.md").await, None);
    }
    store
        .remove_file(&path("no/such/file"), &written, Retire::Trash)
        .await
        .unwrap();
    assert_eq!(
        home.trashed().await.unwrap_or_default(),
        Vec::<Vec<u8>>::new()
    );
    store.flush().await.unwrap();
}

/// Another file than the expected one is not removed.
pub async fn removes_only_what_was_expected(home: &impl VaultHome) {
    let store = home.open().await;
    let first = new(&*store, "a.md", b"one").await;
    put(
        &*store,
        "a.md",
        b"two",
        Expect::Is(first.clone()),
        Retire::Discard,
    )
    .await
    .unwrap();
    let removed = store
        .remove_file(&path("a.md"), &first, Retire::Discard)
        .await;
    assert_eq!(kind(removed), Some(StoreErrorKind::Changed));
    assert_eq!(home.read("a.md").await.as_deref(), Some(&b"two"[..]));
    // The same bytes, written by someone else, are not ours.
    home.remove("a.md").await;
    home.write("a.md", b"two").await;
    let removed = store
        .remove_file(&path("a.md"), &first, Retire::Discard)
        .await;
    assert_eq!(kind(removed), Some(StoreErrorKind::Changed));
}

/// Many at once: each is removed, or kept, for itself.
pub async fn removes_many(home: &impl VaultHome) {
    let store = home.open().await;
    let mut removals = Vec::new();
    for name in [
        "a.md",
        "d/b & <c>.md",
        "trailing ",
        "edited.md",
        "gone.md",
        "e/missed.md",
    ] {
        let text = format!("text of {name}");
        let stamp = new(&*store, name, text.as_bytes()).await;
        let retire = match name {
            "e/missed.md" => Retire::Trash,
            _ => Retire::Discard,
        };
        removals.push((path(name), stamp, retire));
    }
    home.write("edited.md", b"by somebody").await;
    home.remove("gone.md").await;
    home.write("beside.md", b"not named").await;
    let asked: Vec<_> = removals
        .iter()
        .map(|(path, stamp, retire)| (path, stamp, *retire))
        .collect();
    let results = store.remove_files(&asked).await;
    assert_eq!(results.len(), asked.len());
    for ((path, ..), result) in asked.iter().zip(results) {
        let changed = (path.as_str() == "edited.md").then_some(StoreErrorKind::Changed);
        assert_eq!(kind(result), changed, "{path:?}");
        assert_eq!(home.read(path.as_str()).await.is_some(), changed.is_some());
    }
    assert_eq!(
        home.read("edited.md").await.as_deref(),
        Some(&b"by somebody"[..])
    );
    assert!(home.read("beside.md").await.is_some());
    if let Some(trashed) = home.trashed().await {
        assert_eq!(trashed, [b"text of e/missed.md"]);
    }
    assert!(store.remove_files(&[]).await.is_empty());
}

/// What somebody may miss is in the trash afterwards; what is discarded is not.
pub async fn trashes(home: &impl VaultHome) {
    let store = home.open().await;
    let one = new(&*store, "d/a.md", b"one").await;
    let two = put(&*store, "d/a.md", b"two", Expect::Is(one), Retire::Trash)
        .await
        .unwrap();
    let three = put(
        &*store,
        "d/a.md",
        b"three",
        Expect::Is(two),
        Retire::Discard,
    )
    .await
    .unwrap();
    store
        .remove_file(&path("d/a.md"), &three, Retire::Trash)
        .await
        .unwrap();
    let again = new(&*store, "d/a.md", b"four").await;
    store
        .remove_file(&path("d/a.md"), &again, Retire::Trash)
        .await
        .unwrap();
    store.flush().await.unwrap();
    assert_eq!(home.read("d/a.md").await, None);
    if let Some(mut trashed) = home.trashed().await {
        trashed.sort();
        assert_eq!(
            trashed,
            [b"four".to_vec(), b"one".to_vec(), b"three".to_vec()]
        );
    }
}

/// Folders come and go; only empty ones go.
pub async fn folders(home: &impl VaultHome) {
    let store = home.open().await;
    for _ in 0..2 {
        store.create_folder(&path("a/b/c")).await.unwrap();
    }
    new(&*store, "a/b/f.md", b"f").await;
    if home.has_folders() {
        assert_eq!(
            store.inspect(&path("a/b/c"), None).await.unwrap(),
            Found::Folder
        );
        assert!(!store.remove_folder(&path("a/b")).await.unwrap());
        assert!(!store.is_empty().await.unwrap());
    }
    for _ in 0..2 {
        assert!(store.remove_folder(&path("a/b/c")).await.unwrap());
    }
    assert_eq!(home.read("a/b/f.md").await.as_deref(), Some(&b"f"[..]));
    assert!(store.remove_folder(&path("no/such/folder")).await.unwrap());
}

/// A file is no folder, and stays.
pub async fn no_folder_over_a_file(home: &impl VaultHome) {
    if !home.has_folders() {
        return;
    }
    let store = home.open().await;
    let written = new(&*store, "a", b"file").await;
    let in_the_way = Some(StoreErrorKind::InTheWay);
    assert_eq!(kind(store.create_folder(&path("a")).await), in_the_way);
    assert_eq!(kind(store.create_folder(&path("a/b")).await), in_the_way);
    assert_eq!(
        kind(store.remove_folder(&path("a")).await.map(drop)),
        in_the_way
    );
    let error = put(&*store, "a/b.md", b"b", Expect::Absent, Retire::Discard)
        .await
        .unwrap_err();
    assert_eq!(
        (Some(error.error.kind), error.staged.is_some()),
        (in_the_way, true)
    );
    let renamed = store
        .rename(&path("a"), &written, &path("a/c.md"), &meta(b"file"))
        .await;
    assert_eq!(kind(renamed.map(drop)), in_the_way);
    assert_eq!(
        store.inspect(&path("a/b.md"), None).await.unwrap(),
        Found::Absent
    );
    store
        .remove_file(&path("a/b.md"), &written, Retire::Discard)
        .await
        .unwrap();
    assert_eq!(stamp(&*store, "a").await, written);
}

/// A folder is no file, and stays, empty or not.
pub async fn no_file_over_a_folder(home: &impl VaultHome) {
    if !home.has_folders() {
        return;
    }
    let store = home.open().await;
    store.create_folder(&path("empty")).await.unwrap();
    home.write("full/a.md", b"a").await;
    let other = new(&*store, "other.md", b"x").await;
    for at in ["empty", "full"] {
        for expect in [Expect::Absent, Expect::Is(other.clone())] {
            let error = put(&*store, at, b"b", expect, Retire::Trash)
                .await
                .unwrap_err();
            assert_eq!(error.error.kind, StoreErrorKind::InTheWay);
        }
        let removed = store.remove_file(&path(at), &other, Retire::Trash).await;
        assert_eq!(kind(removed), Some(StoreErrorKind::Changed));
        assert_eq!(store.hash(&path(at)).await.unwrap(), None);
        assert_eq!(store.inspect(&path(at), None).await.unwrap(), Found::Folder);
    }
    assert_eq!(home.read("full/a.md").await.as_deref(), Some(&b"a"[..]));
}

/// A file can become a folder and a folder a file, removals first.
pub async fn files_and_folders_swap(home: &impl VaultHome) {
    let store = home.open().await;
    let file = new(&*store, "a", b"file").await;
    store
        .remove_file(&path("a"), &file, Retire::Discard)
        .await
        .unwrap();
    let below = new(&*store, "a/b.md", b"below").await;
    assert_eq!(home.read("a/b.md").await.as_deref(), Some(&b"below"[..]));
    store
        .remove_file(&path("a/b.md"), &below, Retire::Discard)
        .await
        .unwrap();
    assert!(store.remove_folder(&path("a")).await.unwrap());
    new(&*store, "a", b"file again").await;
    store.flush().await.unwrap();
    assert_eq!(home.read("a").await.as_deref(), Some(&b"file again"[..]));
}

/// A flush after each kind of change, and with nothing to do, succeeds.
pub async fn flushes_again(home: &impl VaultHome) {
    let store = home.open().await;
    let written = join([new(&*store, "d/a.md", b"a"), new(&*store, "e/b.md", b"b")]).await;
    store
        .rename(&path("d/a.md"), &written[0], &path("f/a.md"), &meta(b"a"))
        .await
        .unwrap();
    store
        .remove_file(&path("e/b.md"), &written[1], Retire::Discard)
        .await
        .unwrap();
    store.remove_folder(&path("d")).await.unwrap();
    store.remove_folder(&path("e")).await.unwrap();
    for _ in 0..3 {
        store.flush().await.unwrap();
    }
    assert_eq!(home.read("f/a.md").await.as_deref(), Some(&b"a"[..]));
}
