//! Is the state folder as it should be: writable, and nobody else's business?

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use obsync_core::StoreError;

use crate::error::Context as _;
use crate::paths::StateDir;
use crate::private;

/// What was found of the state folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateDirCheck {
    /// Whether it is there. If not, it can be created.
    pub exists: bool,
    /// What in it others than its owner may read or write, with its mode; the folder itself is first.
    pub exposed: Vec<(PathBuf, u32)>,
}

impl StateDir {
    /// Looks whether the folder can be written, and who else may look into it.
    ///
    /// # Errors
    /// When it can't be used; the message says why not.
    pub fn check(&self) -> Result<StateDirCheck, StoreError> {
        let path = self.path();
        let deed = || format!("can't use the state folder {}", path.display());
        if !fs::exists(path).context(deed)? {
            private::creatable(path)?;
            return Ok(StateDirCheck::default());
        }
        // Of one name, so that one who is killed leaves it to the next.
        let probe = path.join("probe");
        let written = private::open(&probe).and_then(|file| file.sync_all());
        let removed = private::remove(&probe);
        written.and(removed).context(deed)?;
        let mut exposed = Vec::new();
        look(path, &mut exposed).context(deed)?;
        Ok(StateDirCheck {
            exists: true,
            exposed,
        })
    }
}

/// The folder, its documents, and all below `vaults`. What lies in the trash has the modes that it had.
fn look(path: &Path, exposed: &mut Vec<(PathBuf, u32)>) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        exposed.push((path.to_owned(), mode));
    }
    if !found.is_dir() {
        return Ok(());
    }
    let mut inside = Vec::new();
    for entry in fs::read_dir(path)? {
        inside.push(entry?.path());
    }
    inside.sort();
    for path in inside {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        // Locks hold nothing.
        let told = !name.ends_with(".lock") && name != "trash";
        if told && !fs::symlink_metadata(&path)?.is_symlink() {
            look(&path, exposed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let dirs = StateDir::new(&state);
        assert_eq!(dirs.check().unwrap(), StateDirCheck::default());
        assert!(!state.exists(), "nothing is created");

        private::create_folder(&state.join("vaults/a")).unwrap();
        private::create_folder(&state.join("trash")).unwrap();
        for name in ["token.json", "sign-in.lock", "trash/x", "vaults/a/1.db"] {
            fs::write(state.join(name), "").unwrap();
        }
        let mode = |name: &str, mode| {
            fs::set_permissions(state.join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        for name in ["sign-in.lock", "trash/x"] {
            mode(name, 0o644);
        }
        for name in ["token.json", "vaults/a/1.db"] {
            mode(name, 0o600);
        }
        let private = StateDirCheck {
            exists: true,
            exposed: Vec::new(),
        };
        assert_eq!(dirs.check().unwrap(), private);

        mode("token.json", 0o640);
        mode("vaults/a/1.db", 0o604);
        mode("vaults", 0o755);
        let found = dirs.check().unwrap().exposed;
        let named = |name: &str, mode| (state.join(name), mode);
        assert_eq!(
            found,
            [
                named("token.json", 0o640),
                named("vaults", 0o755),
                named("vaults/a/1.db", 0o604),
            ]
        );
        let left = fs::read_dir(&state).unwrap().count();
        assert_eq!(left, 4, "the probe is gone");
    }

    #[test]
    fn one_that_can_not_be_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = StateDir::new(file.join("state")).check().unwrap_err();
        assert!(error.message.contains("can't "), "{error}");
        let error = StateDir::new(&file).check().unwrap_err();
        assert!(error.message.contains("can't use the state"), "{error}");
    }
}
