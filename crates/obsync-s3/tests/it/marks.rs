//! Whose an object is, and what its bytes are: what is believed of that.

use obsidian_sync::ContentHash;
use obsync_core::{Expect, Retire, StateStore as _, StoreErrorKind, VaultStore as _};
use obsync_doubles::s3::Double;

use crate::support::{HandClock, LATER, about, meta, open, open_with, path, put, settings};

#[tokio::test]
async fn a_copy_that_somebody_made_is_not_ours() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let dead = open(&double.url, &clock).await;
    put(&dead, "a.md", b"one", Expect::Absent).await.unwrap();
    drop(dead);
    // With all that the object says of itself.
    double.copy("vaults/Notes/a.md", "vaults/Notes/mine.md");
    double.copy("vaults/Notes/a.md", "vaults/Notes/folder/a.md");
    double.pass(LATER);
    let next = open(&double.url, &clock).await;
    let found = next.state.intents().await.unwrap();
    assert_eq!(found, [(path("a.md"), meta(b"one"))]);
}

#[tokio::test]
async fn a_copy_in_the_way_is_not_taken_for_a_rename_that_was_done() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let stamp = put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
    double.copy("vaults/Notes/a.md", "vaults/Notes/b.md");
    let renamed = home
        .files
        .rename(&path("a.md"), &stamp, &path("b.md"), &meta(b"one"))
        .await;
    assert_eq!(renamed.unwrap_err().kind, StoreErrorKind::Changed);
    assert!(double.object("vaults/Notes/a.md").is_some());
    // Nor for a put whose reply was lost.
    let put = put(&home, "b.md", b"one", Expect::Absent).await;
    assert_eq!(put.unwrap_err().kind, StoreErrorKind::Changed);
}

#[tokio::test]
async fn what_is_set_aside_keeps_all_but_our_mark() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let mut settings = settings(&double.url);
    settings.storage_class = Some("STANDARD_IA".into());
    let home = open_with(&settings, &about("Notes"), &clock).await.unwrap();
    for name in ["a.md", "folder/b.md"] {
        put(&home, name, b"one", Expect::Absent).await.unwrap();
        double.rewrite(&format!("vaults/Notes/{name}"), b"edited");
    }
    for (from, to, name) in [
        ("a.md", "a (Conflicted copy).md", "a (Conflicted copy).md"),
        (
            "folder",
            "folder (Conflicted copy)",
            "folder (Conflicted copy)/b.md",
        ),
    ] {
        home.files.set_aside(&path(from), &path(to)).await.unwrap();
        let copy = double.object(&format!("vaults/Notes/{name}")).unwrap();
        assert_eq!(&copy.bytes[..], b"edited");
        let ours = |header: &String| header.contains("obsync") || header.contains("meta-sha256");
        assert!(!copy.headers.keys().any(ours), "{:?}", copy.headers);
        for (header, value) in [
            ("x-amz-meta-mtime", "1600000000.123"),
            ("content-type", "text/markdown; charset=utf-8"),
            ("x-amz-storage-class", "STANDARD_IA"),
        ] {
            assert_eq!(copy.headers.get(header).map(String::as_str), Some(value));
        }
    }
}

#[tokio::test]
async fn the_trash_keeps_the_storage_class() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let mut settings = settings(&double.url);
    settings.storage_class = Some("STANDARD_IA".into());
    let home = open_with(&settings, &about("Notes"), &clock).await.unwrap();
    let stamp = put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
    let a = path("a.md");
    home.files
        .remove_file(&a, &stamp, Retire::Trash)
        .await
        .unwrap();
    let keys = double.keys();
    let kept = keys.iter().find(|key| key.contains("/trash/")).unwrap();
    let kept = double.object(kept).unwrap();
    assert_eq!(kept.headers["x-amz-storage-class"], "STANDARD_IA");
    assert_eq!(kept.headers["x-amz-meta-mtime"], "1600000000.123");
}

#[tokio::test]
async fn metadata_that_a_tool_kept_is_not_believed() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let stamp = put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
    double.rewrite("vaults/Notes/a.md", b"two");
    let (a, b) = (path("a.md"), path("b.md"));
    let (hash, there) = home.files.hash(&a).await.unwrap().unwrap();
    assert_eq!(hash, ContentHash::of(b"two"));
    assert_ne!(there, stamp);
    // A copy is made of what we wrote, or of none.
    let copied = home.files.stage_copy(&a, &stamp, &b, meta(b"one"));
    assert_eq!(copied.await.unwrap_err().kind, StoreErrorKind::Changed);
}

#[tokio::test]
async fn our_own_word_saves_reading_what_we_wrote() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let stamp = put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
    double.lose_checksum("vaults/Notes/a.md");
    let (a, b) = (path("a.md"), path("b.md"));
    double.requests();
    let copied = home.files.stage_copy(&a, &stamp, &b, meta(b"one"));
    copied.await.unwrap();
    assert_eq!(double.requests(), ["HEAD vaults/Notes/a.md"]);
    home.files.hash(&a).await.unwrap();
    assert_eq!(
        double.requests(),
        ["HEAD vaults/Notes/a.md", "GET vaults/Notes/a.md"]
    );
}
