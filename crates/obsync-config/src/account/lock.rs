//! One sign-in at a time, over all processes that share a state folder.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::AccountError;
use crate::private_file::{self, FileError};
use crate::timing::Timing;

/// How long to wait for another process that signs in.
const DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(200);

/// Keeps other processes from signing in until the file is dropped.
pub(super) async fn lock(path: &Path, timing: &dyn Timing) -> Result<File, AccountError> {
    let fault = |error| FileError::new("lock", path, error);
    if let Some(folder) = path.parent() {
        private_file::create_private_folder(folder).map_err(fault)?;
    }
    let file = private_file::open_or_create(path).map_err(fault)?;
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if waited < DEADLINE => {
                timing.sleep(POLL).await;
                waited += POLL;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(AccountError::Busy {
                    path: path.to_owned(),
                    seconds: waited.as_secs(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(fault(error).into()),
        }
    }
}
