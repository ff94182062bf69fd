//! Changes of what is there: publish, rename, set aside, remove, and the trash.

use std::sync::atomic::Ordering;

use http::HeaderMap;
use object_store::path::Path;
use obsync_core::{
    Expect, FileMeta, PublishError, Retire, Staged, Stamp, StoreError, StoreErrorKind, VaultPath,
};
use sha2::Digest as _;

use super::S3VaultStore;
use super::changed;
use super::upload::Waiting;
use crate::keys;

/// How many numbered names are tried for one file in the trash.
const MOST_NAMES: u32 = 100;

impl S3VaultStore {
    pub(super) async fn publish(
        &self,
        mut staged: Staged,
        expect: &Expect,
        retire: Retire,
    ) -> Result<Stamp, PublishError> {
        let result = self.publish_in(&mut staged, expect, retire).await;
        match result {
            Ok(stamp) => {
                self.0.looks.changed(&staged.path, Some(&stamp));
                Ok(stamp)
            }
            Err(error) => Err(PublishError {
                staged: Some(staged),
                error,
            }),
        }
    }

    async fn publish_in(
        &self,
        staged: &mut Staged,
        expect: &Expect,
        retire: Retire,
    ) -> Result<Stamp, StoreError> {
        let Staged { path, meta, handle } = staged;
        let Some(waiting) = handle.downcast_mut::<Waiting>() else {
            let what = format!("'{}' was staged by another store", path.display());
            return Err(StoreError::new(StoreErrorKind::Other, what));
        };
        self.0.gate.enter().await?;
        let key = self.key(path)?;
        let kept = match (expect, retire) {
            (Expect::Is(stamp), Retire::Trash) if self.0.trash => {
                Some(self.trash(path, &key, stamp).await?)
            }
            _ => None,
        };
        let published = match waiting {
            Waiting::Content(content) => self.put(path, content, meta, expect).await,
            Waiting::Copy { from, stamp } => self.copy((from, stamp), path, meta, expect).await,
            Waiting::Parts(upload) => {
                // Services that ignore the condition on a completion have this check.
                self.check(path, &key, expect).await?;
                match upload.complete(meta, expect).await {
                    Ok(stamp) => Ok(stamp),
                    Err(fault) if fault.is_unmet() || fault.is_conflict() => {
                        Err(self.unmet(path).await)
                    }
                    Err(fault) => Err(self.fault(fault, "s3:PutObject", &key)),
                }
            }
        };
        if let (Err(_), Some(kept)) = (&published, kept) {
            self.untrash(&kept).await;
        }
        published
    }

    pub(super) async fn rename(
        &self,
        from: &VaultPath,
        source_stamp: &Stamp,
        to: &VaultPath,
        meta: &FileMeta,
    ) -> Result<Stamp, StoreError> {
        self.0.gate.enter().await?;
        let (source, target) = (self.key(from)?, self.key(to)?);
        self.check(from, &source, &Expect::Is(source_stamp.clone()))
            .await?;
        // A copy that a crashed run left, or whose reply was lost, is as good as a new one.
        let there = self.0.bucket.head(&target).await;
        let there = there.map_err(|fault| self.fault(fault, "s3:GetObject", &target))?;
        let stamp = match there {
            Some(head) if head.is(meta) => head.stamp,
            _ => {
                let source = (&source, source_stamp);
                self.copy(source, to, meta, &Expect::Absent).await?
            }
        };
        self.0.looks.changed(to, Some(&stamp));
        self.delete(from, &source, source_stamp).await?;
        Ok(stamp)
    }

    pub(super) async fn set_aside(
        &self,
        from: &VaultPath,
        to: &VaultPath,
    ) -> Result<(), StoreError> {
        self.0.gate.enter().await?;
        let (source, target) = (self.key(from)?, self.key(to)?);
        let head = self.0.bucket.head(&source).await;
        let head = head.map_err(|fault| self.fault(fault, "s3:GetObject", &source))?;
        let below = |key: &Path| format!("{}/", key.as_ref());
        let mut moves = Vec::new();
        match head {
            Some(head) => moves.push((source, head.stamp, target.clone())),
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
                    moves.push((from, object.stamp, to));
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
        for (source, stamp, target) in moves {
            let expect = Expect::Absent;
            // Without a directive S3 copies the metadata: the content is not ours.
            let copied = self
                .0
                .bucket
                .copy(&source, &stamp, &target, &expect, HeaderMap::new());
            copied
                .await
                .map_err(|fault| self.fault(fault, "s3:PutObject", &target))?;
            self.delete(from, &source, &stamp).await?;
        }
        self.0.looks.doubt(to);
        Ok(())
    }

    pub(super) async fn remove_file(
        &self,
        path: &VaultPath,
        stamp: &Stamp,
        retire: Retire,
    ) -> Result<(), StoreError> {
        self.0.gate.enter().await?;
        let key = self.key(path)?;
        let head = self.0.bucket.head(&key).await;
        match head.map_err(|fault| self.fault(fault, "s3:GetObject", &key))? {
            None => {
                self.0.looks.changed(path, None);
                return Ok(());
            }
            Some(head) if head.stamp == *stamp => {}
            Some(_) => return Err(self.unmet(path).await),
        }
        let kept = match retire {
            Retire::Trash if self.0.trash => Some(self.trash(path, &key, stamp).await?),
            Retire::Trash | Retire::Discard => None,
        };
        let deleted = self.delete(path, &key, stamp).await;
        if let (Err(_), Some(kept)) = (&deleted, kept) {
            self.untrash(&kept).await;
        }
        deleted
    }

    pub(super) async fn delete(
        &self,
        path: &VaultPath,
        key: &Path,
        stamp: &Stamp,
    ) -> Result<(), StoreError> {
        match self.0.bucket.delete(key, Some(stamp)).await {
            Ok(()) => {
                self.0.looks.changed(path, None);
                Ok(())
            }
            Err(fault) if fault.is_unmet() || fault.is_conflict() => Err(self.unmet(path).await),
            Err(fault) => Err(self.fault(fault, "s3:DeleteObject", key)),
        }
    }

    /// Keeps a copy of what is about to be replaced or removed.
    async fn trash(&self, path: &VaultPath, key: &Path, stamp: &Stamp) -> Result<Path, StoreError> {
        self.check(path, key, &Expect::Is(stamp.clone())).await?;
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
            let failed = |fault| self.fault(fault, "s3:PutObject", &to);
            if self.0.bucket.head(&to).await.map_err(failed)?.is_some() {
                continue;
            }
            let expect = Expect::Absent;
            return match self
                .0
                .bucket
                .copy(key, stamp, &to, &expect, HeaderMap::new())
                .await
            {
                Ok(()) => Ok(to),
                Err(fault) if fault.is_unmet() || fault.is_absent() => Err(self.unmet(path).await),
                Err(fault) => Err(self.fault(fault, "s3:PutObject", &to)),
            };
        }
        let what = format!("no name in the trash is free for '{}'", path.display());
        Err(StoreError::new(StoreErrorKind::Other, what))
    }

    /// The original stayed where it was; at worst a copy too many is left.
    async fn untrash(&self, kept: &Path) {
        if let Err(fault) = self.0.bucket.delete(kept, None).await {
            tracing::debug!(?fault, "a copy in the trash could not be taken back");
        }
    }
}
