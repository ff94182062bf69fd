//! Changes of what is there: publish, rename, remove.

use object_store::path::Path;
use obsync_core::{
    Expect, FileMeta, PublishError, Retire, Staged, Stamp, StoreError, StoreErrorKind, VaultPath,
};

use super::upload::Waiting;
use super::{Failed, S3VaultStore};

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
            Err(error) => {
                let waiting = staged.handle.downcast_ref::<Waiting>();
                let spent = waiting.is_some_and(Waiting::is_spent);
                Err(PublishError {
                    staged: (!spent).then_some(staged),
                    error,
                })
            }
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
        self.enter().await?;
        let key = self.key(path)?;
        let kept = match (expect, retire) {
            (Expect::Is(stamp), Retire::Trash) if self.0.trash => {
                let head = self.0.bucket.head(&key).await;
                let head = head.map_err(|fault| self.fault(fault, "s3:GetObject", &key))?;
                match head {
                    Some(head) if head.stamp == *stamp => {
                        Some(self.trash(path, &key, &head).await?)
                    }
                    _ => return Err(self.unmet(path).await),
                }
            }
            _ => None,
        };
        let published = match waiting {
            Waiting::Content(content) => self.put(path, content, meta, expect).await,
            Waiting::Copy { from, stamp } => match self.check(path, &key, expect).await {
                Ok(()) => self.copy((from, stamp), path, meta, expect).await,
                Err(error) => Err(error.into()),
            },
            Waiting::Parts(upload) => match self.check(path, &key, expect).await {
                Ok(()) => match upload.complete(expect).await {
                    Ok(stamp) => Ok(stamp),
                    Err(fault) if upload.is_spent() && !fault.doubt => {
                        let what = format!(
                            "'{}' was written by somebody else at the same moment; it is fetched again",
                            path.display()
                        );
                        let error = StoreError::new(StoreErrorKind::Other, what);
                        Err(error.with_source(fault).into())
                    }
                    Err(fault) => self.landed(path, &key, meta, fault).await,
                },
                Err(error) => Err(error.into()),
            },
        };
        match published {
            Ok(stamp) => {
                if let Waiting::Parts(upload) = waiting {
                    upload.close();
                }
                Ok(stamp)
            }
            Err(failed) => {
                self.untrash_unless(failed.doubt, kept).await;
                Err(failed.error)
            }
        }
    }

    pub(super) async fn rename(
        &self,
        from: &VaultPath,
        source_stamp: &Stamp,
        to: &VaultPath,
        meta: &FileMeta,
    ) -> Result<Stamp, StoreError> {
        self.enter().await?;
        let (source, target) = (self.key(from)?, self.key(to)?);
        // Services that ignore conditions need both looks.
        let expect = Expect::Is(source_stamp.clone());
        let (here, there) = tokio::join!(
            self.check(from, &source, &expect),
            self.0.bucket.head(&target)
        );
        here?;
        let there = there.map_err(|fault| self.fault(fault, "s3:GetObject", &target))?;
        let stamp = match there {
            // A copy that a crashed run left, or whose reply was lost, is as good as a new one.
            Some(head) if head.is(meta) => head.stamp,
            Some(_) => return Err(self.unmet(to).await),
            None => {
                let source = (&source, source_stamp);
                let copied = self.copy(source, to, meta, &Expect::Absent).await;
                copied.map_err(|failed| failed.error)?
            }
        };
        self.0.looks.changed(to, Some(&stamp));
        let deleted = self.delete(from, &source, source_stamp).await;
        deleted.map_err(|failed| failed.error)?;
        Ok(stamp)
    }

    pub(super) async fn remove_file(
        &self,
        path: &VaultPath,
        stamp: &Stamp,
        retire: Retire,
    ) -> Result<(), StoreError> {
        self.enter().await?;
        let key = self.key(path)?;
        let head = self.0.bucket.head(&key).await;
        let head = match head.map_err(|fault| self.fault(fault, "s3:GetObject", &key))? {
            None => {
                self.0.looks.changed(path, None);
                return Ok(());
            }
            Some(head) if head.stamp == *stamp => head,
            Some(_) => return Err(self.unmet(path).await),
        };
        let kept = match retire {
            Retire::Trash if self.0.trash => Some(self.trash(path, &key, &head).await?),
            Retire::Trash | Retire::Discard => None,
        };
        let deleted = self.delete(path, &key, stamp).await;
        if let Err(failed) = deleted {
            self.untrash_unless(failed.doubt, kept).await;
            return Err(failed.error);
        }
        Ok(())
    }

    pub(super) async fn delete(
        &self,
        path: &VaultPath,
        key: &Path,
        stamp: &Stamp,
    ) -> Result<(), Failed> {
        let Err(fault) = self.0.bucket.delete(key, Some(stamp)).await else {
            self.0.looks.changed(path, None);
            return Ok(());
        };
        let doubt = fault.doubt;
        if doubt {
            // Its reply may be all that was lost.
            match self.0.bucket.head(key).await {
                Ok(None) => {
                    self.0.looks.changed(path, None);
                    return Ok(());
                }
                Ok(Some(_)) => {}
                Err(look) => return Err(Failed::perhaps(self.fault(look, "s3:GetObject", key))),
            }
        }
        let error = if fault.is_unmet() || fault.is_conflict() {
            self.unmet(path).await
        } else {
            self.fault(fault, "s3:DeleteObject", key)
        };
        Err(Failed { error, doubt })
    }
}
