//! What the function needs around it, on one machine: a Sync service with vaults, a bucket, and
//! a Lambda runtime that starts it from its zip. For tests, and for people (`make lambda-local`).

#![allow(clippy::unwrap_used)]

mod stage;

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

pub use stage::{Bucket, EMAIL, PASSWORD, SAMPLE, Stage, TEAM, VAULT_PASSWORD};

/// Unpacks the function's zip as Lambda does, modes included; `bootstrap` lies at its root.
///
/// # Errors
/// Where it is no zip, or holds no `bootstrap` that may be run.
pub fn unpack(zip: &Path) -> Result<TempDir, String> {
    use std::os::unix::fs::PermissionsExt as _;

    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", zip.display());
    let file = std::fs::File::open(zip).map_err(|error| failed(&error))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| failed(&error))?;
    let folder = TempDir::new().map_err(|error| failed(&error))?;
    archive
        .extract(folder.path())
        .map_err(|error| failed(&error))?;
    let mode = folder.path().join("bootstrap").metadata();
    let mode = mode.map_err(|_| failed(&"there is no bootstrap at its root"))?;
    if mode.permissions().mode() & 0o111 != 0o111 {
        return Err(failed(&"not everyone may run its bootstrap"));
    }
    Ok(folder)
}

/// A sample event of `deploy/events`, by its name with or without `.json`, or any other file.
///
/// # Errors
/// Where it can't be read, or is not JSON.
pub fn event(name: &str) -> Result<Value, String> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/events");
    let sample = samples.join(name).with_extension("json");
    let path = if sample.exists() {
        &sample
    } else {
        Path::new(name)
    };
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}
