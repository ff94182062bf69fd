//! What the tests share.

use std::path::Path;

use bytes::Bytes;
use obsidian_sync::{ContentHash, Millis, Uid};
use obsync_core::{
    Expect, FileMeta, Retire, Stamp, StoreError, StoreErrorKind, VaultPath, VaultStore as _,
};
use obsync_local::{FolderOptions, FolderStore};

pub(crate) fn path(text: &str) -> VaultPath {
    VaultPath::parse(text).unwrap()
}

pub(crate) fn meta(content: &[u8]) -> FileMeta {
    FileMeta {
        uid: Uid(1),
        hash: ContentHash::of(content),
        size: content.len() as u64,
        mtime: Millis(1_600_000_000_000),
        ctime: Millis(0),
    }
}

pub(crate) fn open(root: &Path) -> FolderStore {
    FolderStore::open(root, FolderOptions::default()).unwrap()
}

pub(crate) async fn put(
    store: &FolderStore,
    at: &str,
    content: &[u8],
) -> Result<Stamp, StoreError> {
    put_over(store, at, content, &Expect::Absent).await
}

pub(crate) async fn put_over(
    store: &FolderStore,
    at: &str,
    content: &[u8],
    expect: &Expect,
) -> Result<Stamp, StoreError> {
    let staged = store
        .stage(&path(at), Bytes::copy_from_slice(content), meta(content))
        .await?;
    store
        .publish(staged, expect, Retire::Discard)
        .await
        .map_err(|refused| refused.error)
}

pub(crate) fn kind<T>(result: Result<T, StoreError>) -> StoreErrorKind {
    result.err().expect("this must fail").kind
}

/// The names right in a folder, sorted; empty when it is not there.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
