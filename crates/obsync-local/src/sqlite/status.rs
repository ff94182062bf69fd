//! How runs went: a small JSON file beside the database, for people and scripts too.

use std::fs;
use std::io;
use std::path::Path;

use obsync_core::{RunStatus, StoreError};

use crate::error::Context as _;
use crate::private;

pub(super) fn read(path: &Path) -> Result<RunStatus, StoreError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(RunStatus::default()),
        Err(error) => return Err(error).context(|| format!("can't read {}", path.display())),
    };
    // It only tells of the past. One that can't be understood must not stop the next run.
    Ok(serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "the note on past runs is damaged");
        RunStatus::default()
    }))
}

pub(super) fn write(path: &Path, status: &RunStatus) -> Result<(), StoreError> {
    let mut text = serde_json::to_vec_pretty(status).expect("a status is plain data");
    text.push(b'\n');
    private::replace(path, &text).context(|| format!("can't write {}", path.display()))
}
