//! Looking, hashing, listing.

use futures_util::stream::StreamExt as _;
use obsidian_sync::ContentHash;

use super::{new, path, stamp};
use crate::conformance::VaultHome;
use crate::store::{Found, Listed};

/// Looking tells a file from a folder from nothing, and notices a change.
pub async fn inspects(home: &impl VaultHome) {
    let store = home.open().await;
    let written = new(&*store, "d/a.md", b"text").await;
    home.write("d/a.md", b"edit").await;
    match store.inspect(&path("d/a.md"), None).await.unwrap() {
        Found::File { stamp, size: 4 } => assert_ne!(stamp, written),
        other => panic!("{other:?}"),
    }
    if home.has_folders() {
        assert_eq!(
            store.inspect(&path("d"), None).await.unwrap(),
            Found::Folder
        );
    }
    home.remove("d/a.md").await;
    assert_eq!(
        store.inspect(&path("d/a.md"), None).await.unwrap(),
        Found::Absent
    );
    assert_eq!(
        store.inspect(&path("d/a.md/b"), None).await.unwrap(),
        Found::Absent
    );
}

/// The hash is that of the bytes there now, whoever wrote them.
pub async fn hashes(home: &impl VaultHome) {
    let store = home.open().await;
    let written = new(&*store, "a.md", b"text").await;
    let found = store.hash(&path("a.md")).await.unwrap();
    assert_eq!(found, Some((ContentHash::of(b"text"), written.clone())));
    let large = vec![7; 700_000];
    home.write("a.md", &large).await;
    let (hash, stamp) = store.hash(&path("a.md")).await.unwrap().unwrap();
    assert_eq!(hash, ContentHash::of(&large));
    assert_ne!(stamp, written);
    assert_eq!(store.hash(&path("none")).await.unwrap(), None);
    assert_eq!(store.hash(&path("a.md/b")).await.unwrap(), None);
}

/// A listing has all there is, folders before what is in them, with the stamps found elsewhere.
pub async fn lists(home: &impl VaultHome) {
    let store = home.open().await;
    home.write("b/c/local.md", b"local").await;
    let ours = new(&*store, "b/a.md", b"ours").await;
    new(&*store, "b.md", b"x").await;
    let listed = store.list(".obsidian").await.unwrap();
    let names: Vec<_> = listed
        .iter()
        .map(|listed| listed.path.as_str().to_owned())
        .collect();
    for name in ["b/c/local.md", "b/a.md", "b.md"] {
        assert!(names.iter().any(|n| n == name), "{name} of {names:?}");
    }
    if home.has_folders() {
        assert_eq!(names.len(), 5);
        let at = |name: &str| names.iter().position(|n| n == name).unwrap();
        assert!(at("b") < at("b/c") && at("b/c") < at("b/c/local.md") && at("b") < at("b/a.md"));
    }
    let found = |name: &str| {
        listed
            .iter()
            .find(|l| l.path.as_str() == name)
            .unwrap()
            .found
            .clone()
    };
    assert_eq!(
        found("b/a.md"),
        Found::File {
            stamp: ours,
            size: 4
        }
    );
    let local = Found::File {
        stamp: stamp(&*store, "b/c/local.md").await,
        size: 5,
    };
    assert_eq!(found("b/c/local.md"), local);
    for listed in &listed {
        let inspected = store.inspect(&listed.path, None).await.unwrap();
        assert_eq!(inspected, listed.found, "{:?}", listed.path);
    }
}

/// Where a listing comes in pages, they have what a listing as a whole has, each once.
pub async fn lists_in_pages(home: &impl VaultHome) {
    let store = home.open().await;
    for name in ["b/c.md", "a.md", ".git/config", ".obsidian/app.json"] {
        home.write(name, b"x").await;
    }
    new(&*store, "b/a.md", b"ours").await;
    let Some(pages) = store.pages(".obsidian") else {
        return;
    };
    let pages: Vec<_> = pages.collect().await;
    let mut paged: Vec<Listed> = pages.into_iter().flat_map(Result::unwrap).collect();
    let mut listed = store.list(".obsidian").await.unwrap();
    paged.sort_by(|a, b| a.path.cmp(&b.path));
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(paged, listed);
}

/// What is below a dot-folder is nobody's business, but for the config folder at the root.
pub async fn lists_no_secrets(home: &impl VaultHome) {
    let store = home.open().await;
    for name in [
        ".git/config",
        "a/.git/config",
        ".obsidian/app.json",
        "a/.obsidian/app.json",
    ] {
        home.write(name, b"x").await;
    }
    home.write(".dotfile", b"x").await;
    home.write(".obsidian/plugins/p/data.json", b"x").await;
    let listed = store.list(".obsidian").await.unwrap();
    let files = listed
        .iter()
        .filter(|listed| matches!(listed.found, Found::File { .. }));
    let mut files: Vec<_> = files.map(|listed| listed.path.as_str()).collect();
    files.sort_unstable();
    assert_eq!(
        files,
        [
            ".dotfile",
            ".obsidian/app.json",
            ".obsidian/plugins/p/data.json"
        ]
    );
}

/// The ignore file is read, and is no content.
pub async fn reads_the_ignore_file(home: &impl VaultHome) {
    home.write(".obsyncignore", "*.tmp\nübung/\n".as_bytes())
        .await;
    let store = home.open().await;
    assert_eq!(
        store.ignore_file().await.unwrap().as_deref(),
        Some("*.tmp\nübung/\n")
    );
    assert_eq!(store.list(".obsidian").await.unwrap(), []);
    assert!(store.is_empty().await.unwrap());
    assert!(store.check_path(&path(".obsyncignore")).is_err());
}
