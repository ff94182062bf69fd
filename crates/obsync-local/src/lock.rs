//! [`RunLock`]: one run at a time. The kernel holds the lock and releases it when the process
//! ends, however it ends, so there is never a stale one to clear.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use obsync_core::{StoreError, StoreErrorKind};

use crate::error::Context as _;
use crate::private;

/// How long to wait for one who looks, and how often.
const LOOK: Duration = Duration::from_millis(1);
const LOOKS: usize = 2000;

/// A lock that is held until this is dropped. The file stays: to remove it would let two runs hold
/// locks on two files of one name.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock that a file stands for. `what` says what it guards, as in "the copy in DIR".
    ///
    /// # Errors
    /// [`StoreErrorKind::Busy`] when another run holds it, with that run's process number.
    pub fn take(path: &Path, what: &str) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            private::create_folder(folder)
                .context(|| format!("can't create the folder {}", folder.display()))?;
        }
        let deed = || format!("can't lock {}", path.display());
        let mut file = private::open(path).context(deed)?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy(what, path, holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(error).context(deed),
        }
        // The number is for people; the lock holds without it.
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .context(deed)?;
        Ok(Self { _file: file })
    }

    /// Looks whether a run holds the lock, and changes nothing. A run that starts in the same instant is
    /// not kept from it.
    ///
    /// # Errors
    /// As [`RunLock::take`].
    pub fn look(path: &Path, what: &str) -> Result<(), StoreError> {
        let deed = || format!("can't look at the lock {}", path.display());
        match File::open(path) {
            Ok(file) => Self::look_open(file, path, what),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).context(deed),
        }
    }

    /// As [`RunLock::look`], at a file that is open already.
    pub(crate) fn look_open(mut file: File, path: &Path, what: &str) -> Result<(), StoreError> {
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Err(busy(what, path, holder(&mut file))),
            // Where the file system has no locks, nobody holds one.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
        }
    }

    /// Takes the lock on a file that is open already, and writes nothing into it. `None` where
    /// the file system has no locks.
    pub(crate) fn take_open(
        file: File,
        path: &Path,
        what: &str,
    ) -> Result<Option<Self>, StoreError> {
        match try_lock(&file) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Err(busy(what, path, None)),
            Err(TryLockError::Error(error)) => {
                tracing::debug!(path = %path.display(), %error, "this file system has no locks");
                Ok(None)
            }
        }
    }
}

/// Tries to lock, and again while somebody merely looks: that is over in an instant.
fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..LOOKS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {}
            locked => return locked,
        }
        // Only they share it.
        file.try_lock_shared()?;
        file.unlock().map_err(TryLockError::Error)?;
        std::thread::sleep(LOOK);
    }
    Err(TryLockError::WouldBlock)
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn busy(what: &str, path: &Path, pid: Option<u32>) -> StoreError {
    let holder = match pid {
        Some(pid) => format!("another obsync run (process {pid})"),
        None => "another obsync run".to_owned(),
    };
    StoreError::new(
        StoreErrorKind::Busy,
        format!(
            "{holder} is working on {what}: it holds the lock {}. Wait for it to end, or stop it; \
             a run that has died holds no lock",
            path.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn one_at_a_time_and_released_on_drop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/run.lock");
        let held = RunLock::take(&path, "the copy in /notes").unwrap();
        let error = RunLock::take(&path, "the copy in /notes").unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Busy);
        let pid = std::process::id();
        assert_eq!(
            error.message,
            format!(
                "another obsync run (process {pid}) is working on the copy in /notes: it holds the \
                 lock {}. Wait for it to end, or stop it; a run that has died holds no lock",
                path.display()
            )
        );
        drop(held);
        RunLock::take(&path, "the copy").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn a_look_changes_nothing_and_keeps_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.lock");
        RunLock::look(&path, "x").unwrap();
        assert!(!path.exists());
        let held = RunLock::take(&path, "x").unwrap();
        let busy = RunLock::look(&path, "x").unwrap_err();
        assert_eq!(busy.kind, StoreErrorKind::Busy);
        let pid = format!("process {}", std::process::id());
        assert!(busy.message.contains(&pid), "{busy}");
        drop(held);
        std::fs::write(&path, "1").unwrap();
        RunLock::look(&path, "x").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"1");

        let looks = File::open(&path).unwrap();
        looks.lock_shared().unwrap();
        let run = std::thread::spawn(move || RunLock::take(&path, "x"));
        looks.unlock().unwrap();
        run.join().unwrap().unwrap();
    }

    #[test]
    fn an_unreadable_number_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.lock");
        let held = RunLock::take(&path, "x").unwrap();
        std::fs::write(&path, "not a number").unwrap();
        let error = RunLock::take(&path, "x").unwrap_err();
        assert!(
            error
                .message
                .starts_with("another obsync run is working on x"),
            "{error}"
        );
        drop(held);
    }
}
