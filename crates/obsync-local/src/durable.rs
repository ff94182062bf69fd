//! Making names durable: a file that was synced can still lose its name with the power.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fd::BorrowedFd;
use rustix::io::Errno;

/// Makes a folder's entries durable. `fsync` is the call, or a test's idea of it.
pub(crate) fn folder(
    folder: BorrowedFd<'_>,
    fsync: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    match fsync(folder) {
        // Some network file systems can't make a folder durable by itself.
        Err(Errno::INVAL) => Ok(()),
        synced => synced,
    }
}

/// The same for a folder that has no handle yet. One that we may write in and not read is left to
/// the system.
pub(crate) fn folder_at(path: &Path) -> io::Result<()> {
    use rustix::fd::AsFd as _;
    match File::open(path) {
        Ok(open) => Ok(folder(open.as_fd(), |fd| rustix::fs::fsync(fd))?),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

/// Ends a series of syncs: on Apple's systems they only reach the drive, which may hold them back.
/// One call here is for all that came before.
pub(crate) fn settle(open: BorrowedFd<'_>) -> rustix::io::Result<()> {
    #[cfg(target_vendor = "apple")]
    {
        match rustix::fs::fcntl_fullfsync(open) {
            // Not every file system knows it; those that don't have their own ways.
            Err(error) if !matches!(error, Errno::IO | Errno::NOSPC) => Ok(()),
            settled => settled,
        }
    }
    #[cfg(not(target_vendor = "apple"))]
    {
        let _ = open;
        Ok(())
    }
}
