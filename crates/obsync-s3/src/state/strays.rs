//! Objects of ours that the state does not know: put by a run that died before it wrote state.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use obsidian_sync::Millis;
use obsync_core::{Entry, FileMeta, StoreError, VaultPath};

use super::entries::Entries;
use crate::bucket::Bucket;
use crate::keys;

/// How many are looked at at once.
const LOOKS: usize = 16;

/// Finds them, by what they say of themselves.
pub(super) async fn find(
    bucket: &Bucket,
    prefix: &str,
    entries: &Entries,
) -> Result<Vec<(VaultPath, FileMeta)>, StoreError> {
    let mut unknown = Vec::new();
    for object in bucket.list(prefix).await? {
        let name = object.key.strip_prefix(prefix).unwrap_or_default();
        let Ok(path) = VaultPath::parse(name) else {
            continue;
        };
        let Ok(key) = keys::key(prefix, &path) else {
            continue;
        };
        let known = entries.get(&path);
        let known = known.as_ref().and_then(Entry::file);
        if known.is_none_or(|file| file.stamp != object.stamp) {
            unknown.push((path, key));
        }
    }
    stream::iter(unknown)
        .map(|(path, key)| async move {
            let head = bucket.head(&key).await;
            let head = head.map_err(|fault| bucket.error(fault, "s3:GetObject", key.as_ref()))?;
            Ok(head.and_then(|head| {
                let (hash, uid) = head.mark?;
                let mtime = head.mtime.unwrap_or_default();
                let meta = FileMeta {
                    uid,
                    hash,
                    size: head.size,
                    mtime,
                    ctime: Millis(0),
                };
                Some((path, meta))
            }))
        })
        .buffer_unordered(LOOKS)
        .try_filter_map(|found| async { Ok(found) })
        .try_collect()
        .await
}
