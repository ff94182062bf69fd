//! What a crashed run left.

use crate::path::VaultPath;
use crate::state::{Entry, FileEntry};
use crate::store::{FileMeta, Found, StoreError, VaultStore};

/// What a crashed run published without having noted it: its intent tells us the file is ours.
/// Returns the entries to add, by looking at each path that was about to be published.
///
/// # Errors
/// Only those that every file would meet. A file that can't be read is the plan's to report.
pub(crate) async fn recover(
    store: &dyn VaultStore,
    intents: Vec<(VaultPath, FileMeta)>,
) -> Result<Vec<(VaultPath, Entry)>, StoreError> {
    let mut recovered = Vec::new();
    for (path, meta) in intents {
        match published(store, &path, meta).await {
            Ok(entry) => recovered.extend(entry.map(|file| (path, Entry::File(file)))),
            Err(error) if error.kind.ends_all() => return Err(error),
            Err(error) => tracing::debug!(%error, "what a crashed run left can't be looked at"),
        }
    }
    Ok(recovered)
}

/// The entry of a file that is there as it was intended.
async fn published(
    store: &dyn VaultStore,
    path: &VaultPath,
    meta: FileMeta,
) -> Result<Option<FileEntry>, StoreError> {
    match store.inspect(path, None).await? {
        Found::File { size, .. } if size == meta.size => {}
        _ => return Ok(None),
    }
    let found = store.hash(path).await?;
    let ours = found.filter(|(hash, _)| *hash == meta.hash);
    Ok(ours.map(|(hash, stamp)| FileEntry {
        uid: meta.uid,
        hash,
        size: meta.size,
        mtime: meta.mtime,
        stamp,
    }))
}
