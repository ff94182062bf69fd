//! What a crashed run left.

use crate::path::VaultPath;
use crate::state::{Entry, FileEntry};
use crate::store::{FileMeta, Found, StoreError, VaultStore};

/// What a crashed run published without having noted it: its intent tells us the file is ours.
/// Returns the entries to add, by looking at each path that was about to be published.
pub(crate) async fn recover(
    store: &dyn VaultStore,
    intents: Vec<(VaultPath, FileMeta)>,
) -> Result<Vec<(VaultPath, Entry)>, StoreError> {
    let mut recovered = Vec::new();
    for (path, meta) in intents {
        let Found::File { size, .. } = store.inspect(&path, None).await? else {
            continue;
        };
        if size != meta.size {
            continue;
        }
        if let Some((hash, stamp)) = store.hash(&path).await?
            && hash == meta.hash
        {
            let file = FileEntry {
                uid: meta.uid,
                hash,
                size,
                mtime: meta.mtime,
                stamp,
            };
            recovered.push((path, Entry::File(file)));
        }
    }
    Ok(recovered)
}
