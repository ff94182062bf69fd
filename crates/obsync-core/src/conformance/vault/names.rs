//! Leftovers, names and times.

use bytes::Bytes;
use obsidian_sync::Millis;

use super::{meta, new, path, put, stamp};
use crate::conformance::VaultHome;
use crate::store::{Expect, FileMeta, Found, Retire};

/// What a crash left staged is cleared, and nothing else.
pub async fn sweeps_leftovers(home: &impl VaultHome) {
    let store = home.open().await;
    let kept = new(&*store, "kept.md", b"kept").await;
    // A crash runs no destructors.
    std::mem::forget(
        store
            .stage(&path("a.md"), Bytes::from("a"), meta(b"a"))
            .await
            .unwrap(),
    );
    let mut writer = store.stage_stream(&path("b.md"), 5).await.unwrap();
    writer.write(Bytes::from("b")).await.unwrap();
    std::mem::forget(writer);
    drop(store);
    let store = home.open().await;
    store.sweep().await.unwrap();
    store.sweep().await.unwrap();
    let listed = store.list(".obsidian").await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(stamp(&*store, "kept.md").await, kept);
}

/// Names come back byte for byte, or are refused with a reason.
pub async fn hard_names(home: &impl VaultHome) {
    let store = home.open().await;
    let long = "é".repeat(125);
    let names = [
        " leading",
        "trailing ",
        "dots..",
        "...",
        "a\\b",
        "line\nbreak",
        "tab\t",
        "\u{1b}[31m",
        "%41",
        "a+b&c=d",
        "what?",
        "a:b|c<d>\"e\"*",
        "#hash",
        "日本語.md",
        "e\u{301}.md",
        "😀.md",
        "\u{a0}",
        "con",
        "a.md.",
        "~",
        "-rf",
        "$HOME",
        "'quoted'",
        &long,
        "d e/f  g/h.md",
        "NUL.md/x",
        "\u{fffd}",
        "\u{202e}dm.exe",
    ];
    let mut held = 0;
    for name in names {
        if store.check_path(&path(name)).is_err() {
            continue;
        }
        held += 1;
        let written = new(&*store, name, name.as_bytes()).await;
        assert_eq!(
            home.read(name).await.as_deref(),
            Some(name.as_bytes()),
            "{name:?}"
        );
        assert_eq!(stamp(&*store, name).await, written);
    }
    let files = store.list(".obsidian").await.unwrap();
    let files = files
        .iter()
        .filter(|listed| matches!(listed.found, Found::File { .. }))
        .count();
    assert_eq!(files, held);
    assert!(held >= 10, "only {held} names can be held");
}

/// Where names fold, two of them are one file; where not, two.
pub async fn folding_is_told(home: &impl VaultHome) {
    let store = home.open().await;
    store.set_identity("id").await.unwrap();
    let folding = store.folding();
    for (one, other, folds) in [
        ("Note.md", "note.md", folding.case),
        ("caf\u{e9}.md", "cafe\u{301}.md", folding.unicode),
    ] {
        assert_eq!(folding.key(&path(one)) == folding.key(&path(other)), folds);
        new(&*store, one, b"one").await;
        let second = put(&*store, other, b"two", Expect::Absent, Retire::Discard).await;
        assert_eq!(second.is_err(), folds, "{other}");
        assert_eq!(home.read(one).await.as_deref(), Some(&b"one"[..]));
    }
}

/// The record's time is the file's, also after a rename.
pub async fn carries_the_time(home: &impl VaultHome) {
    let store = home.open().await;
    let written = new(&*store, "a.md", b"a").await;
    assert_eq!(home.mtime("a.md").await, Some(Millis(1_600_000_000_123)));
    let later = FileMeta {
        mtime: Millis(1_700_000_000_456),
        ..meta(b"a")
    };
    store
        .rename(&path("a.md"), &written, &path("b.md"), &later)
        .await
        .unwrap();
    assert_eq!(home.mtime("b.md").await, Some(later.mtime));
}
