//! Small JSON documents of the state folder that are nobody else's business: mode 0600, replaced
//! in one step.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// A file of the state folder that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("can't {what} {}", .path.display())]
pub struct FileError {
    /// "read" or "write".
    what: &'static str,
    /// The file.
    path: PathBuf,
    /// Why.
    #[source]
    source: io::Error,
}

impl FileError {
    pub(crate) fn new(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

/// Reads a document; `None` when it is not there.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    match std::fs::read(path) {
        // serde_json would quote a value of the wrong type, and the value may be the token.
        Ok(bytes) => serde_json::from_slice(&Zeroizing::new(bytes))
            .map(Some)
            .map_err(|error| {
                let damaged = format!(
                    "it is damaged (line {}, column {}); delete it to go on",
                    error.line(),
                    error.column()
                );
                FileError::new(
                    "read",
                    path,
                    io::Error::new(io::ErrorKind::InvalidData, damaged),
                )
            }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::new("read", path, error)),
    }
}

/// Writes a document in one step, creating the folder above it.
pub(crate) fn write(path: &Path, document: &impl Serialize) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let attempt = || {
        create_private_folder(folder)?;
        // A temporary file of this crate is made with mode 0600 where there are modes.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, document)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    attempt().map_err(|error| FileError::new("write", path, error))
}

/// Removes a document; absent is success.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Opens a file to lock it, creating it for its owner alone.
pub(crate) fn open_or_create(path: &Path) -> io::Result<std::fs::File> {
    let mut options = std::fs::File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

pub(crate) fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
