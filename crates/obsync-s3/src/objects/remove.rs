//! Many removals at once: looks and what goes to the trash side by side, the rest by one request.

use std::collections::HashMap;

use futures_util::stream::{self, StreamExt as _};
use http::StatusCode;
use object_store::path::Path;
use obsync_core::{Retire, Stamp, StoreError, VaultPath};

use super::S3VaultStore;
use crate::deletion::{MOST, can_name};
use crate::fault::Fault;

/// How many requests are under way at once.
const SIDE_BY_SIDE: usize = 16;

type Removal<'a> = (&'a VaultPath, &'a Stamp, Retire);

/// How far a removal has come.
enum Step {
    Done(Result<(), StoreError>),
    /// It is as expected, and may be deleted.
    Ready(Path),
}

impl S3VaultStore {
    pub(super) async fn remove_files(
        &self,
        removals: &[Removal<'_>],
    ) -> Vec<Result<(), StoreError>> {
        if let Err(error) = self.enter().await {
            return removals.iter().map(|_| Err(again(&error))).collect();
        }
        let looks: Vec<_> = removals
            .iter()
            .map(|removal| Box::pin(self.look_before(removal)))
            .collect();
        let steps: Vec<Step> = stream::iter(looks).buffered(SIDE_BY_SIDE).collect().await;
        let ready: Vec<(&VaultPath, &Path, &Stamp)> = removals
            .iter()
            .zip(&steps)
            .filter_map(|((path, stamp, _), step)| match step {
                Step::Ready(key) => Some((*path, key, *stamp)),
                Step::Done(_) => None,
            })
            .collect();
        let mut deleted = Vec::with_capacity(ready.len());
        for chunk in ready.chunks(MOST) {
            deleted.extend(self.delete_chunk(chunk).await);
        }
        let mut deleted = deleted.into_iter();
        let results = steps.into_iter().map(|step| match step {
            Step::Done(result) => result,
            Step::Ready(_) => deleted.next().expect("one result for each that was ready"),
        });
        results.collect()
    }

    /// The check that services which ignore the condition of a deletion need.
    async fn look_before(&self, (path, stamp, retire): &Removal<'_>) -> Step {
        let key = match self.key(path) {
            Ok(key) => key,
            Err(error) => return Step::Done(Err(error)),
        };
        let trashed = *retire == Retire::Trash && self.0.trash;
        if trashed || !can_name(key.as_ref()) {
            return Step::Done(self.remove_file(path, stamp, *retire).await);
        }
        match self.0.bucket.head(&key).await {
            Ok(Some(head)) if head.stamp == **stamp => Step::Ready(key),
            Ok(Some(_)) => Step::Done(Err(self.unmet(path).await)),
            Ok(None) => {
                self.0.looks.changed(path, None);
                Step::Done(Ok(()))
            }
            Err(fault) => Step::Done(Err(self.fault(fault, "s3:GetObject", &key))),
        }
    }

    async fn delete_chunk(
        &self,
        chunk: &[(&VaultPath, &Path, &Stamp)],
    ) -> Vec<Result<(), StoreError>> {
        // The looks took their time.
        if let Err(error) = self.enter().await {
            return chunk.iter().map(|_| Err(again(&error))).collect();
        }
        let objects: Vec<_> = chunk
            .iter()
            .map(|(_, key, stamp)| (key.as_ref(), *stamp))
            .collect();
        let mut told = match self.0.bucket.delete_many(&objects).await {
            Ok(told) => told,
            // A service that can't do many at once.
            Err(fault) if is_refusal_of_many(&fault) => HashMap::new(),
            Err(fault) => {
                let failed = |key| self.fault(fault.clone(), "s3:DeleteObject", key);
                return chunk.iter().map(|(_, key, _)| Err(failed(key))).collect();
            }
        };
        let ends: Vec<_> = chunk
            .iter()
            .map(|(path, key, stamp)| {
                let told = told.remove(key.as_ref());
                Box::pin(async move {
                    match told {
                        Some(Ok(())) => {
                            self.0.looks.changed(path, None);
                            Ok(())
                        }
                        Some(Err(fault)) if fault.is_unmet() || fault.is_conflict() => {
                            Err(self.unmet(path).await)
                        }
                        Some(Err(fault)) if !fault.may_pass() => {
                            Err(self.fault(fault, "s3:DeleteObject", key))
                        }
                        // What may pass on a second try, or was not told of.
                        Some(Err(_)) | None => {
                            let deleted = self.delete(path, key, stamp).await;
                            deleted.map_err(|failed| failed.error)
                        }
                    }
                })
            })
            .collect();
        stream::iter(ends).buffered(SIDE_BY_SIDE).collect().await
    }
}

fn is_refusal_of_many(fault: &Fault) -> bool {
    matches!(
        fault.status,
        Some(
            StatusCode::BAD_REQUEST
                | StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::NOT_IMPLEMENTED
        )
    )
}

/// The same failure for another of the same request.
fn again(error: &StoreError) -> StoreError {
    StoreError::new(error.kind, error.message.clone())
}
