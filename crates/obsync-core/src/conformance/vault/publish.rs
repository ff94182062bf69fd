//! Staging and publishing.

use bytes::Bytes;

use super::{join, kind, meta, new, path, put, stamp};
use crate::conformance::VaultHome;
use crate::store::{Expect, Found, Retire, StoreErrorKind};

/// A fresh home is empty and bears no mark, and asking changes nothing.
pub async fn nothing_at_first(home: &impl VaultHome) {
    for _ in 0..2 {
        let store = home.open().await;
        assert!(store.is_empty().await.unwrap());
        assert_eq!(store.identity().await.unwrap(), None);
        assert_eq!(store.ignore_file().await.unwrap(), None);
        assert_eq!(store.list(".obsidian").await.unwrap(), []);
        assert_eq!(
            store.inspect(&path("a/b"), None).await.unwrap(),
            Found::Absent
        );
        assert_eq!(store.hash(&path("a/b")).await.unwrap(), None);
        store.sweep().await.unwrap();
        assert_eq!(store.rescued().await.unwrap(), [""; 0]);
        store.flush().await.unwrap();
    }
}

/// The mark stays, can be changed, and is no content.
pub async fn marks(home: &impl VaultHome) {
    home.open().await.set_identity("first").await.unwrap();
    let store = home.open().await;
    assert_eq!(store.identity().await.unwrap().as_deref(), Some("first"));
    store.set_identity("second").await.unwrap();
    assert_eq!(store.identity().await.unwrap().as_deref(), Some("second"));
    assert!(store.is_empty().await.unwrap());
    assert_eq!(store.list(".obsidian").await.unwrap(), []);
    new(&*store, "a.md", b"a").await;
    assert!(!store.is_empty().await.unwrap());
}

/// A publish creates the folders above, and its stamp is what is found later.
pub async fn publishes_with_parents(home: &impl VaultHome) {
    let store = home.open().await;
    let written = new(&*store, "a/b/c.md", b"text").await;
    assert_eq!(home.read("a/b/c.md").await.as_deref(), Some(&b"text"[..]));
    let file = Found::File {
        stamp: written.clone(),
        size: 4,
    };
    assert_eq!(store.inspect(&path("a/b/c.md"), None).await.unwrap(), file);
    assert_eq!(
        store
            .inspect(&path("a/b/c.md"), Some(&written))
            .await
            .unwrap(),
        file
    );
    store.flush().await.unwrap();
    drop(store);
    let store = home.open().await;
    assert_eq!(store.inspect(&path("a/b/c.md"), None).await.unwrap(), file);
}

/// Staged content is nowhere to be seen.
pub async fn staged_is_invisible(home: &impl VaultHome) {
    let store = home.open().await;
    let staged = store
        .stage(&path("a.md"), Bytes::from("a"), meta(b"a"))
        .await
        .unwrap();
    assert_eq!(home.read("a.md").await, None);
    assert_eq!(
        store.inspect(&path("a.md"), None).await.unwrap(),
        Found::Absent
    );
    assert_eq!(store.list(".obsidian").await.unwrap(), []);
    assert!(store.is_empty().await.unwrap());
    store
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap();
    assert_eq!(home.read("a.md").await.as_deref(), Some(&b"a"[..]));
}

/// Staged content that is dropped, finished or not, leaves nothing.
pub async fn dropped_leaves_nothing(home: &impl VaultHome) {
    let store = home.open().await;
    drop(
        store
            .stage(&path("a.md"), Bytes::from("a"), meta(b"a"))
            .await
            .unwrap(),
    );
    let mut writer = store.stage_stream(&path("b.md"), 2).await.unwrap();
    writer.write(Bytes::from("b")).await.unwrap();
    drop(writer);
    assert!(store.is_empty().await.unwrap());
    assert_eq!(store.list(".obsidian").await.unwrap(), []);
}

/// Empty files are files.
pub async fn empty_content(home: &impl VaultHome) {
    let store = home.open().await;
    let first = new(&*store, "empty.md", b"").await;
    assert_eq!(home.read("empty.md").await.as_deref(), Some(&b""[..]));
    let found = store.inspect(&path("empty.md"), None).await.unwrap();
    assert_eq!(
        found,
        Found::File {
            stamp: first.clone(),
            size: 0
        }
    );
    let writer = store.stage_stream(&path("empty.md"), 0).await.unwrap();
    let staged = writer.finish(meta(b"")).await.unwrap();
    store
        .publish(staged, &Expect::Is(first), Retire::Discard)
        .await
        .unwrap();
    assert_eq!(home.read("empty.md").await.as_deref(), Some(&b""[..]));
}

/// Content that comes in pieces of any size arrives whole.
pub async fn streams(home: &impl VaultHome) {
    let store = home.open().await;
    let content: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let mut writer = store
        .stage_stream(&path("big.bin"), content.len() as u64)
        .await
        .unwrap();
    let (mut rest, mut length) = (&content[..], 1);
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(length.min(rest.len()));
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        (rest, length) = (more, length * 7 + 3);
    }
    let staged = writer.finish(meta(&content)).await.unwrap();
    assert_eq!(home.read("big.bin").await, None);
    store
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap();
    assert!(home.read("big.bin").await == Some(content));
}

/// Where nothing was expected, what is there stays, and the staged content can be used again.
pub async fn absent_never_overwrites(home: &impl VaultHome) {
    let store = home.open().await;
    home.write("a.md", b"local").await;
    let error = put(&*store, "a.md", b"remote", Expect::Absent, Retire::Discard)
        .await
        .unwrap_err();
    assert_eq!(error.error.kind, StoreErrorKind::Changed);
    assert_eq!(home.read("a.md").await.as_deref(), Some(&b"local"[..]));
    let expect = Expect::Is(stamp(&*store, "a.md").await);
    let staged = error.staged.expect("content is handed back");
    store
        .publish(staged, &expect, Retire::Discard)
        .await
        .unwrap();
    assert_eq!(home.read("a.md").await.as_deref(), Some(&b"remote"[..]));
}

/// A publish over the expected file replaces it and gives a new stamp, also for the same bytes.
pub async fn replaces_what_was_expected(home: &impl VaultHome) {
    let store = home.open().await;
    let mut last = new(&*store, "a.md", b"one").await;
    for content in [&b"two"[..], b"two", b"longer", b"", b"x"] {
        let expect = Expect::Is(last.clone());
        last = put(&*store, "a.md", content, expect, Retire::Discard)
            .await
            .unwrap();
        assert_eq!(home.read("a.md").await.as_deref(), Some(content));
        assert_eq!(stamp(&*store, "a.md").await, last);
    }
    assert_eq!(store.list(".obsidian").await.unwrap().len(), 1);
}

/// An edit behind the store's back is kept, also one of the same size.
pub async fn keeps_an_edit(home: &impl VaultHome) {
    let store = home.open().await;
    for (at, edit) in [("a.md", &b"eno"[..]), ("b.md", b"an edit"), ("c.md", b"")] {
        let written = new(&*store, at, b"one").await;
        home.write(at, edit).await;
        let expect = Expect::Is(written.clone());
        let error = put(&*store, at, b"two", expect, Retire::Trash)
            .await
            .unwrap_err();
        assert_eq!(error.error.kind, StoreErrorKind::Changed, "{at}");
        assert!(error.staged.is_some());
        assert_eq!(home.read(at).await.as_deref(), Some(edit));
        let removed = store.remove_file(&path(at), &written, Retire::Trash).await;
        assert_eq!(kind(removed), Some(StoreErrorKind::Changed));
        let renamed = store
            .rename(&path(at), &written, &path("new.md"), &meta(b"one"))
            .await;
        assert_eq!(kind(renamed), Some(StoreErrorKind::Changed));
        assert_eq!(home.read(at).await.as_deref(), Some(edit));
    }
    assert_eq!(home.read("new.md").await, None);
    assert_eq!(
        home.trashed().await.unwrap_or_default(),
        Vec::<Vec<u8>>::new()
    );
}

/// So is one that comes while content waits, staged in whichever way; the content can be used after.
pub async fn keeps_an_edit_while_content_waits(home: &impl VaultHome) {
    let store = home.open().await;
    let source = new(&*store, "source.md", b"two").await;
    for at in ["a.md", "b.md", "c.md"] {
        let written = new(&*store, at, b"one").await;
        let place = path(at);
        let staged = match at {
            "a.md" => store.stage(&place, Bytes::from("two"), meta(b"two")).await,
            "b.md" => {
                let from = path("source.md");
                store.stage_copy(&from, &source, &place, meta(b"two")).await
            }
            _ => {
                let mut writer = store.stage_stream(&place, 3).await.unwrap();
                writer.write(Bytes::from("two")).await.unwrap();
                writer.finish(meta(b"two")).await
            }
        };
        home.write(at, b"eno").await;
        let expect = Expect::Is(written);
        let refused = store.publish(staged.unwrap(), &expect, Retire::Trash).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.error.kind, StoreErrorKind::Changed, "{at}");
        assert_eq!(home.read(at).await.as_deref(), Some(&b"eno"[..]));
        let aside = path(&format!("kept/{at}"));
        store.set_aside(&place, &aside).await.unwrap();
        let staged = refused.staged.expect("content is handed back");
        let published = store
            .publish(staged, &Expect::Absent, Retire::Discard)
            .await;
        published.unwrap();
        assert_eq!(home.read(at).await.as_deref(), Some(&b"two"[..]));
        let kept = home.read(aside.as_str()).await;
        assert_eq!(kept.as_deref(), Some(&b"eno"[..]));
    }
    assert_eq!(store.rescued().await.unwrap(), [""; 0]);
}

/// A file that is gone is not what was expected.
pub async fn nothing_to_replace(home: &impl VaultHome) {
    let store = home.open().await;
    let written = new(&*store, "d/a.md", b"one").await;
    home.remove("d/a.md").await;
    let error = put(
        &*store,
        "d/a.md",
        b"two",
        Expect::Is(written),
        Retire::Discard,
    )
    .await;
    assert_eq!(error.unwrap_err().error.kind, StoreErrorKind::Changed);
    assert_eq!(home.read("d/a.md").await, None);
}

/// Of many who expect nothing at one path, one gets it.
pub async fn one_of_many_wins(home: &impl VaultHome) {
    let store = home.open().await;
    let store = &*store;
    let tries = (0..8u8).map(|n| async move {
        put(store, "d/a.md", &[n], Expect::Absent, Retire::Discard)
            .await
            .map(|_| n)
    });
    let mut winners = Vec::new();
    for result in join(tries).await {
        match result {
            Ok(n) => winners.push(n),
            Err(error) => assert_eq!(error.error.kind, StoreErrorKind::Changed),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(home.read("d/a.md").await, Some(winners));
}

/// Calls may overlap.
pub async fn many_at_once(home: &impl VaultHome) {
    let store = home.open().await;
    let store = &*store;
    join((0..60u8).map(|n| async move {
        new(store, &format!("f{}/g/{n}.md", n % 5), &[n; 100]).await;
    }))
    .await;
    for n in 0..60u8 {
        let content = home.read(&format!("f{}/g/{n}.md", n % 5)).await;
        assert_eq!(content, Some(vec![n; 100]));
    }
}
