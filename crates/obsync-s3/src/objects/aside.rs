//! Content that is kept out of the way: under another name, or in the trash.

use std::sync::atomic::Ordering;

use http::HeaderMap;
use object_store::path::Path;
use obsync_core::{Expect, StoreError, StoreErrorKind, VaultPath};
use sha2::Digest as _;

use super::S3VaultStore;
use super::changed;
use crate::fault::Fault;
use crate::keys;
use crate::object::Head;

/// How many numbered names are tried for one file in the trash.
const MOST_NAMES: u32 = 100;

impl S3VaultStore {
    pub(super) async fn set_aside(
        &self,
        from: &VaultPath,
        to: &VaultPath,
    ) -> Result<(), StoreError> {
        self.enter().await?;
        let (source, target) = (self.key(from)?, self.key(to)?);
        let head = self.look_at(&source).await?;
        let below = |key: &Path| format!("{}/", key.as_ref());
        let mut moves = Vec::new();
        match head {
            Some(head) => moves.push((source, Some(head), target.clone())),
            None => {
                for object in self.0.bucket.list(&below(&source)).await? {
                    let rest = &object.key[source.as_ref().len()..];
                    let (Ok(from), Ok(to)) = (
                        keys::exact(&object.key),
                        keys::exact(&format!("{}{rest}", target.as_ref())),
                    ) else {
                        let what =
                            format!("'{}' can't be moved", obsync_core::escape_name(&object.key));
                        return Err(StoreError::new(StoreErrorKind::Unholdable, what));
                    };
                    moves.push((from, None, to));
                }
            }
        }
        let free = self
            .0
            .bucket
            .list_some(&below(&target), "", 1)
            .await?
            .is_empty();
        if moves.is_empty() || !free {
            return Err(changed(from));
        }
        self.check(to, &target, &Expect::Absent).await?;
        for (source, head, target) in moves {
            let head = match head {
                Some(head) => Some(head),
                None => self.look_at(&source).await?,
            };
            // What went meanwhile need not be kept.
            let Some(head) = head else {
                continue;
            };
            // The content is not ours: it keeps all that it says of itself, but not our mark.
            let copied = self.keep(&source, &head, &target, head.without_mark());
            copied
                .await
                .map_err(|fault| self.fault(fault, "s3:PutObject", &target))?;
            let deleted = self.delete(from, &source, &head.stamp).await;
            deleted.map_err(|failed| failed.error)?;
        }
        self.0.looks.doubt(to);
        Ok(())
    }

    async fn look_at(&self, key: &Path) -> Result<Option<Head>, StoreError> {
        let head = self.0.bucket.head(key).await;
        head.map_err(|fault| self.fault(fault, "s3:GetObject", key))
    }

    /// Copies an object where nothing is. A copy whose reply was lost is one.
    async fn keep(
        &self,
        from: &Path,
        head: &Head,
        to: &Path,
        headers: HeaderMap,
    ) -> Result<(), Fault> {
        let bucket = &self.0.bucket;
        let copied = bucket.copy(from, &head.stamp, to, &Expect::Absent, headers);
        let Err(fault) = copied.await else {
            return Ok(());
        };
        if fault.doubt {
            match bucket.head(to).await? {
                Some(there) if there.copies(head) => return Ok(()),
                _ => {}
            }
        }
        Err(fault)
    }

    /// Keeps a copy of what is about to be replaced or removed, and was just looked at.
    pub(super) async fn trash(
        &self,
        path: &VaultPath,
        key: &Path,
        head: &Head,
    ) -> Result<Path, StoreError> {
        let started = self.0.started.load(Ordering::Relaxed);
        let time = jiff::Timestamp::from_millisecond(started).unwrap_or_default();
        let run = time.strftime("%Y%m%d-%H%M%S");
        for number in 1..MOST_NAMES {
            let number = match number {
                1 => String::new(),
                n => format!(" ({n})"),
            };
            let folder = format!("{}{}trash/{run}{number}/", self.0.prefix, keys::OWN_FOLDER);
            let to = keys::exact(&format!("{folder}{}", path.as_str())).or_else(|_| {
                // Too long with the trash's own name before it.
                let short = hex::encode(&sha2::Sha256::digest(path.as_str())[..16]);
                keys::exact(&format!("{folder}{short}"))
            });
            let to = to.map_err(|problem| super::unholdable(path, &problem))?;
            if self.look_at(&to).await?.is_some() {
                continue;
            }
            return match self.keep(key, head, &to, head.class()).await {
                Ok(()) => Ok(to),
                Err(fault) if fault.is_unmet() || fault.is_absent() => Err(self.unmet(path).await),
                Err(fault) => Err(self.fault(fault, "s3:PutObject", &to)),
            };
        }
        let what = format!("no name in the trash is free for '{}'", path.display());
        Err(StoreError::new(StoreErrorKind::Other, what))
    }

    /// Takes a copy in the trash back: the original stayed where it was. While that is in doubt, the
    /// copy may be the only one.
    pub(super) async fn untrash_unless(&self, doubt: bool, kept: Option<Path>) {
        if let (false, Some(kept)) = (doubt, kept)
            && let Err(fault) = self.0.bucket.delete(&kept, None).await
        {
            tracing::debug!(?fault, "a copy in the trash could not be taken back");
        }
    }
}
