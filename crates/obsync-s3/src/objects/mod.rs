//! [`S3VaultStore`]: a vault's files as objects below a prefix.
//!
//! - `publish` is one conditional request, so no reader ever sees half a file.
//! - `stage` keeps content in memory; large content goes up in parts, which nobody sees before the
//!   upload is completed.
//! - Every object carries its record and its hash as metadata, so a crashed run's are known again.
//! - Folders are not things of their own here: they come and go with what is in them.

mod aside;
mod change;
mod content;
mod list;
mod looks;
mod remove;
mod store;
mod upload;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use object_store::PutPayload;
use object_store::path::Path;
use obsidian_sync::Millis;
use obsync_core::{
    Expect, FileMeta, Found, PathProblem, Stamp, StoreError, StoreErrorKind, VaultPath,
};

use crate::bucket::{Bucket, Read};
use crate::fault::Fault;
use crate::gate::Gate;
use crate::homes::Held;
use crate::keys;
use crate::object::{condition, size_of, stamp};
use looks::Looks;

/// A vault's files as objects below a prefix. Clones are one store.
#[derive(Clone)]
pub struct S3VaultStore(Held<Inner>);

pub(crate) struct Inner {
    bucket: Bucket,
    prefix: String,
    gate: Arc<dyn Gate>,
    looks: Looks,
    /// The stamp of the destination's mark, as it was seen last.
    mark: Mutex<Option<Stamp>>,
    /// What was asked for together with the mark, until it is asked for.
    ahead: Mutex<Option<Ahead>>,
    /// Whether this run asked for the mark already.
    begun: AtomicBool,
    /// In milliseconds: names this run's folder in the trash.
    started: AtomicI64,
    /// Whether there is a trash.
    trash: bool,
}

/// What a run asks for next: one wait for all of it. Each answer is given once; whoever asks again gets a
/// new one.
#[derive(Default)]
struct Ahead {
    empty: Option<bool>,
    ignored: Option<Option<Read>>,
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
            mark: Mutex::default(),
            ahead: Mutex::default(),
            begun: AtomicBool::new(false),
            bucket,
            prefix,
            gate,
            started: AtomicI64::new(started.0),
            trash,
        }
    }

    fn mark(&self) -> std::sync::MutexGuard<'_, Option<Stamp>> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ahead(&self) -> std::sync::MutexGuard<'_, Option<Ahead>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run ended.
    pub(crate) fn rest(&self) {
        self.looks.rest();
    }

    /// A new run begins.
    pub(crate) fn restart(&self, now: Millis) {
        self.started.store(now.0, Ordering::Relaxed);
        self.begun.store(false, Ordering::Relaxed);
        *self.ahead() = None;
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

    /// Before any effect.
    async fn enter(&self) -> Result<(), StoreError> {
        // What was seen before it may be so no longer.
        *self.0.ahead() = None;
        self.0.gate.enter().await
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
        content: &PutPayload,
        meta: &FileMeta,
        expect: &Expect,
    ) -> Result<Stamp, Failed> {
        let key = self.key(path)?;
        let bucket = &self.0.bucket;
        if bucket.minds_conditions() == Some(false) {
            self.check(path, &key, expect).await?;
        }
        let mut headers = bucket.dressed(&key, meta);
        headers.extend(condition(expect));
        // By its hash S3 checks that it takes what was checked before.
        let put = bucket.put(&key, headers, content.clone(), &meta.hash.0);
        match put.await {
            Ok(put) => Ok(put.stamp),
            Err(fault) => self.landed(path, &key, meta, fault).await,
        }
    }

    /// Copies one of our objects, giving it another mark, on a condition; gives the new stamp. Services
    /// that ignore the condition need a [`S3VaultStore::check`] before.
    async fn copy(
        &self,
        (from, from_stamp): (&Path, &Stamp),
        path: &VaultPath,
        meta: &FileMeta,
        expect: &Expect,
    ) -> Result<Stamp, Failed> {
        let to = self.key(path)?;
        let bucket = &self.0.bucket;
        let headers = bucket.dressed_copy(&to, meta);
        match bucket.copy(from, from_stamp, &to, expect, headers).await {
            Ok(Some(e_tag)) => Ok(stamp(Some(&e_tag), meta.size)),
            // A service that does not say what it made.
            Ok(None) => {
                let head = bucket.head(&to).await;
                let head = head.map_err(|fault| self.fault(fault, "s3:GetObject", &to));
                match head.map_err(Failed::perhaps)? {
                    Some(head) if head.is(meta) => Ok(head.stamp),
                    _ => Err(Failed::perhaps(self.unmet(path).await)),
                }
            }
            Err(fault) => self.landed(path, &to, meta, fault).await,
        }
    }

    /// What became of a write that failed: it may be there all the same, by this request or by one of
    /// a run that crashed.
    async fn landed(
        &self,
        path: &VaultPath,
        key: &Path,
        meta: &FileMeta,
        fault: Fault,
    ) -> Result<Stamp, Failed> {
        let doubt = fault.doubt;
        if fault.may_be_done() {
            match self.0.bucket.head(key).await {
                Ok(Some(head)) if head.is(meta) => return Ok(head.stamp),
                Ok(_) => {}
                // Nobody knows: the reason for that is what a person needs.
                Err(look) if doubt => {
                    return Err(Failed::perhaps(self.fault(look, "s3:GetObject", key)));
                }
                Err(_) => {}
            }
        }
        let error = if fault.is_unmet() || fault.is_conflict() || fault.is_absent() {
            self.unmet(path).await
        } else {
            self.fault(fault, "s3:PutObject", key)
        };
        Err(Failed { error, doubt })
    }
}

/// A change that did not succeed.
struct Failed {
    error: StoreError,
    /// Whether it may have happened all the same.
    doubt: bool,
}

impl Failed {
    fn perhaps(error: StoreError) -> Self {
        Self { error, doubt: true }
    }
}

/// What was refused before anything was sent.
impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self {
            error,
            doubt: false,
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
