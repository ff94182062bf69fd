//! [`S3VaultStore`]: a vault's files as objects below a prefix.
//!
//! - `publish` is one conditional request, so no reader ever sees half a file.
//! - `stage` keeps content in memory; large content goes up in parts, which nobody sees before the
//!   upload is completed.
//! - Every object carries its record and its hash as metadata, so a crashed run's are known again.
//! - Folders are not things of their own here: they come and go with what is in them.

mod change;
mod content;
mod looks;
mod remove;
mod store;
mod upload;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use object_store::path::Path;
use object_store::{ObjectStore as _, PutMode, UpdateVersion};
use obsidian_sync::Millis;
use obsync_core::{
    Expect, FileMeta, Found, PathProblem, Stamp, StoreError, StoreErrorKind, VaultPath,
};
use tokio::time::{Duration, sleep};

use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::gate::Gate;
use crate::homes::Held;
use crate::keys;
use crate::object::{e_tag, size_of, stamp};
use looks::Looks;

/// How often a put is tried that met another one, or whose reply was lost.
const TRIES: u32 = 3;
/// The pause after a put that met another one.
const PAUSE: Duration = Duration::from_millis(200);

/// A vault's files as objects below a prefix. Clones are one store.
#[derive(Clone)]
pub struct S3VaultStore(Held<Inner>);

pub(crate) struct Inner {
    bucket: Bucket,
    prefix: String,
    gate: Arc<dyn Gate>,
    looks: Looks,
    /// In milliseconds: names this run's folder in the trash.
    started: AtomicI64,
    /// Whether there is a trash.
    trash: bool,
}

impl std::fmt::Debug for S3VaultStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (bucket, prefix) = (self.0.bucket.name(), &self.0.prefix);
        write!(f, "S3VaultStore(s3://{bucket}/{prefix})")
    }
}

impl Inner {
    pub(crate) fn new(
        bucket: Bucket,
        prefix: String,
        gate: Arc<dyn Gate>,
        started: Millis,
        trash: bool,
    ) -> Self {
        Self {
            looks: Looks::default(),
            bucket,
            prefix,
            gate,
            started: AtomicI64::new(started.0),
            trash,
        }
    }

    /// A new run begins.
    pub(crate) fn restart(&self, now: Millis) {
        self.started.store(now.0, Ordering::Relaxed);
        self.looks.forget();
    }
}

impl S3VaultStore {
    pub(crate) fn new(held: Held<Inner>) -> Self {
        Self(held)
    }

    /// The prefix of the vault's objects, with its last slash.
    pub fn prefix(&self) -> &str {
        &self.0.prefix
    }

    fn key(&self, path: &VaultPath) -> Result<Path, StoreError> {
        keys::key(&self.0.prefix, path).map_err(|problem| unholdable(path, &problem))
    }

    /// A key of our own, beside the vault's names.
    fn own_key(&self, name: &str) -> Result<Path, StoreError> {
        keys::exact(&format!("{}{name}", self.0.prefix))
            .map_err(|problem| StoreError::new(StoreErrorKind::Unusable, problem.to_string()))
    }

    fn fault(&self, fault: Fault, action: &str, key: &Path) -> StoreError {
        self.0.bucket.error(fault, action, key.as_ref())
    }

    /// A condition failed. Ours to report as a change only if we are still the ones to write.
    async fn unmet(&self, path: &VaultPath) -> StoreError {
        self.0.looks.doubt(path);
        match self.0.gate.confirm().await {
            Ok(()) => changed(path),
            Err(error) => error,
        }
    }

    /// Fails unless what is at a key is as expected.
    async fn check(&self, path: &VaultPath, key: &Path, expect: &Expect) -> Result<(), StoreError> {
        let head = self.0.bucket.head(key).await;
        let head = head.map_err(|fault| self.fault(fault, "s3:GetObject", key))?;
        let holds = match (&head, expect) {
            (None, Expect::Absent) => true,
            (Some(head), Expect::Is(stamp)) => head.stamp == *stamp,
            _ => false,
        };
        if holds {
            Ok(())
        } else {
            Err(self.unmet(path).await)
        }
    }

    /// Puts content that lies in memory, on a condition.
    async fn put(
        &self,
        path: &VaultPath,
        content: &bytes::Bytes,
        meta: &FileMeta,
        expect: &Expect,
    ) -> Result<Stamp, StoreError> {
        let key = self.key(path)?;
        let bucket = &self.0.bucket;
        let mut tries = 1;
        loop {
            let mut options = bucket.options(&key, meta);
            options.mode = match expect {
                Expect::Absent => PutMode::Create,
                Expect::Is(stamp) => PutMode::Update(UpdateVersion {
                    e_tag: Some(e_tag(stamp)),
                    version: None,
                }),
            };
            let put = bucket
                .store()
                .put_opts(&key, content.clone().into(), options);
            let fault = match put.await {
                Ok(put) => return Ok(stamp(put.e_tag.as_deref(), meta.size)),
                Err(error) => Fault::from(error),
            };
            let unmet = fault.is_unmet() || fault.is_conflict() || fault.is_absent();
            // Its reply may be all that was lost.
            if (unmet || fault.may_be_done())
                && let Ok(Some(head)) = bucket.head(&key).await
                && head.is(meta)
            {
                return Ok(head.stamp);
            }
            let again = fault.is_conflict() || fault.status.is_none();
            if again && tries < TRIES {
                sleep(PAUSE * tries).await;
                tries += 1;
                continue;
            }
            if unmet {
                return Err(self.unmet(path).await);
            }
            return Err(self.fault(fault, "s3:PutObject", &key));
        }
    }

    /// Copies one of our objects, giving it another mark, on a condition; gives the new stamp.
    async fn copy(
        &self,
        (from, from_stamp): (&Path, &Stamp),
        path: &VaultPath,
        meta: &FileMeta,
        expect: &Expect,
    ) -> Result<Stamp, StoreError> {
        let to = self.key(path)?;
        let bucket = &self.0.bucket;
        self.check(path, &to, expect).await?;
        let headers = bucket.copy_headers(&to, meta);
        let copied = bucket.copy(from, from_stamp, &to, expect, headers).await;
        let head = bucket.head(&to).await;
        let head = head.map_err(|fault| self.fault(fault, "s3:GetObject", &to))?;
        match (copied, head) {
            // Also a copy whose reply was lost.
            (Ok(()), Some(head)) => Ok(head.stamp),
            (Err(fault), Some(head)) if fault.may_be_done() && head.is(meta) => Ok(head.stamp),
            (Ok(()), None) => Err(self.unmet(path).await),
            (Err(fault), _) if fault.is_unmet() || fault.is_conflict() || fault.is_absent() => {
                Err(self.unmet(path).await)
            }
            (Err(fault), _) => Err(self.fault(fault, "s3:PutObject", &to)),
        }
    }
}

fn changed(path: &VaultPath) -> StoreError {
    let message = format!("'{}' is not what was expected", path.display());
    StoreError::new(StoreErrorKind::Changed, message)
}

fn unholdable(path: &VaultPath, problem: &PathProblem) -> StoreError {
    let message = format!("'{}': {problem}", path.display());
    StoreError::new(StoreErrorKind::Unholdable, message)
}

/// A file, as its stamp tells.
fn file(stamp: Stamp) -> Found {
    let size = size_of(&stamp);
    Found::File { stamp, size }
}
