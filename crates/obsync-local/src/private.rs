//! Files that are nobody else's business: the state folder and what is in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use obsync_core::{StoreError, StoreErrorKind};
use rustix::fs::{Access, access};

use crate::durable;
use crate::error::{Context as _, in_the_way};

/// Creates a folder, and those above it, open to its owner only; durable.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    let new: Vec<_> = path
        .ancestors()
        .take_while(|above| !above.exists())
        .collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for above in new.iter().filter_map(|new| new.parent()) {
        durable::folder_at(if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        })?;
    }
    Ok(())
}

/// The nearest folder above a path that is not there, if the path can be created from it.
pub(crate) fn creatable(path: &Path) -> Result<&Path, StoreError> {
    let deed = || format!("can't create {}", path.display());
    let above = path.ancestors().skip(1).find(|above| above.exists());
    let above = above.ok_or_else(|| {
        StoreError::new(
            StoreErrorKind::Other,
            format!("{}: nothing above it is there", deed()),
        )
    })?;
    if !above.is_dir() {
        let reason = format!("{}: {} is no folder", deed(), above.display());
        return Err(in_the_way(reason));
    }
    access(above, Access::WRITE_OK | Access::EXEC_OK).context(deed)?;
    Ok(above)
}

/// Opens a file for reading and writing, creating it for its owner only. Content stays.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Replaces a file in one step, durably: readers see the old text or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    path.parent().map_or(Ok(()), durable::folder_at)
}

/// Removes a file. Absent is success.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
