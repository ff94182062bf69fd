//! Where things lie under the state folder.
//!
//! ```text
//! <state folder>/vaults/<vault>/<destination>.db           sync state (and -wal, -shm while open)
//!                               <destination>.status.json  how runs went
//!                               <destination>.lock         held during a run
//!                trash/<vault>/<run>/…                     what mirror removed
//! ```
//!
//! `<vault>` is the vault's id made safe for a file name, `<destination>` a short hash of the
//! destination's text, so that a second destination starts from nothing.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use obsidian_sync::VaultId;
use obsync_core::StoreError;
use sha2::{Digest as _, Sha256};

use crate::error::Context as _;

/// Which vault and which destination a state is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The vault's id.
    pub vault_id: String,
    /// Its name at the last run.
    pub vault_name: String,
    /// The destination's text, see [`destination`].
    pub destination: String,
}

impl About {
    /// Puts the three together.
    pub fn new(
        vault: &VaultId,
        vault_name: impl Into<String>,
        destination: impl Into<String>,
    ) -> Self {
        Self {
            vault_id: vault.as_str().to_owned(),
            vault_name: vault_name.into(),
            destination: destination.into(),
        }
    }
}

/// The state folder.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: PathBuf,
}

/// The places of one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePaths {
    /// The database.
    pub db: PathBuf,
    /// How runs went.
    pub status: PathBuf,
    /// The lock.
    pub lock: PathBuf,
}

impl StateDir {
    /// Names the folder. Nothing is created.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The places of a vault's state for a destination.
    pub fn state(&self, about: &About) -> StatePaths {
        StatePaths::in_folder(
            &self.vault(&about.vault_id),
            &short_hash(&about.destination),
        )
    }

    /// The places of all states, or of one vault's, that are here. In a fixed order.
    ///
    /// # Errors
    /// When a folder can't be listed.
    pub fn known(&self, vault: Option<&VaultId>) -> Result<Vec<StatePaths>, StoreError> {
        let folders = match vault {
            Some(vault) => vec![self.vault(vault.as_str())],
            None => children(&self.path.join("vaults"))?,
        };
        let mut known = Vec::new();
        for folder in folders {
            let mut stems: Vec<_> = children(&folder)?
                .iter()
                .filter_map(|path| path.file_name()?.to_str())
                .filter_map(|name| {
                    name.strip_suffix(".db")
                        .or_else(|| name.strip_suffix(".status.json"))
                })
                .map(str::to_owned)
                .collect();
            stems.sort();
            stems.dedup();
            known.extend(
                stems
                    .iter()
                    .map(|stem| StatePaths::in_folder(&folder, stem)),
            );
        }
        Ok(known)
    }

    /// The trash of one vault; see [`crate::Trash`].
    pub fn trash(&self, vault: &VaultId) -> PathBuf {
        self.path.join("trash").join(safe_name(vault.as_str()))
    }

    fn vault(&self, id: &str) -> PathBuf {
        self.path.join("vaults").join(safe_name(id))
    }
}

impl StatePaths {
    fn in_folder(folder: &Path, stem: &str) -> Self {
        Self {
            db: folder.join(format!("{stem}.db")),
            status: folder.join(format!("{stem}.status.json")),
            lock: folder.join(format!("{stem}.lock")),
        }
    }

    /// The database's side files, which SQLite makes.
    pub(crate) fn side_files(&self) -> [PathBuf; 2] {
        ["-wal", "-shm"].map(|suffix| {
            let mut name = self.db.as_os_str().to_owned();
            name.push(suffix);
            name.into()
        })
    }
}

fn children(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let deed = || format!("can't list {}", folder.display());
    let entries = match fs::read_dir(folder) {
        // Not there, or a file of somebody's where we keep folders.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        entries => entries.context(deed)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.context(deed)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// A file name for an id. Ids are short hex; any other text is made safe and told apart by a hash.
fn safe_name(id: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !id.is_empty() && id.len() <= 64 && id.chars().all(plain) {
        return id.to_owned();
    }
    let safe: String = id
        .to_lowercase()
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .take(40)
        .collect();
    format!("{safe}.{}", &short_hash(id)[..8])
}

/// Sixteen hex digits that stand for a text.
pub(crate) fn short_hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}

/// The text that stands for a folder as a destination: absolute, links resolved as far as the
/// path exists, so that one folder has one text however it is named.
pub fn destination(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let whole = resolve(&absolute);
    match whole.to_str() {
        Some(text) => text.to_owned(),
        // Two names that differ must not get one text.
        None => whole
            .as_os_str()
            .as_encoded_bytes()
            .escape_ascii()
            .to_string(),
    }
}

/// Resolves the links of an absolute path as far as it exists. What is missing will be folders.
pub(crate) fn resolve(absolute: &Path) -> PathBuf {
    let mut existing = absolute;
    let mut missing = Vec::new();
    let resolved = loop {
        match existing.canonicalize() {
            Ok(resolved) => break resolved,
            Err(_) => match (existing.parent(), existing.components().next_back()) {
                (Some(parent), Some(last)) => {
                    missing.push(last);
                    existing = parent;
                }
                _ => break existing.to_owned(),
            },
        }
    };
    missing.iter().rev().fold(resolved, |mut path, part| {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(vault: &str, destination: &str) -> About {
        About::new(&VaultId::new(vault), "name", destination)
    }

    #[test]
    fn keyed_by_vault_and_destination() {
        let dir = StateDir::new("/state");
        let one = dir.state(&about("0a1b", "/notes"));
        assert_eq!(one.db, Path::new("/state/vaults/0a1b/46bd1cc6315ac282.db"));
        assert_ne!(one, dir.state(&about("0a1b", "/other")));
        assert_ne!(one, dir.state(&about("0a1c", "/notes")));
    }

    #[test]
    fn hostile_ids_stay_inside() {
        for id in [
            "..",
            "../../etc",
            "",
            "a/b",
            "A",
            "a",
            "a_b",
            &"x".repeat(500),
            "\0",
        ] {
            let name = safe_name(id);
            assert!(!name.contains('/') && !name.starts_with("..") || name.starts_with("__"));
            assert!(name.len() <= 64 && !name.is_empty(), "{name}");
        }
        assert_ne!(safe_name("A"), safe_name("a"));
        assert_ne!(safe_name("a/b"), safe_name("a_b"));
    }

    #[test]
    fn one_folder_has_one_text() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap().join("real");
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, dir.path().join("link")).unwrap();
        let text = real.to_str().unwrap();
        for name in ["real", "real/", "link", "./real/../real", "link/."] {
            assert_eq!(destination(&dir.path().join(name)), text, "{name}");
        }
        assert_eq!(
            destination(&dir.path().join("link/new/er")),
            format!("{text}/new/er")
        );
    }

    #[test]
    fn finds_what_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        assert_eq!(state.known(None).unwrap(), []);
        let paths = [about("a", "/1"), about("a", "/2"), about("b", "/1")].map(|a| state.state(&a));
        for path in &paths {
            fs::create_dir_all(path.db.parent().unwrap()).unwrap();
            fs::write(&path.lock, "").unwrap();
        }
        fs::write(&paths[0].db, "").unwrap();
        fs::write(&paths[0].status, "").unwrap();
        fs::write(&paths[2].status, "").unwrap();
        assert_eq!(
            state.known(None).unwrap(),
            [paths[0].clone(), paths[2].clone()]
        );
        let one = state.known(Some(&VaultId::new("b"))).unwrap();
        assert_eq!(one, [paths[2].clone()]);
        assert_eq!(state.known(Some(&VaultId::new("none"))).unwrap(), []);
    }

    #[test]
    fn files_of_others_are_no_states() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        let paths = state.state(&about("a", "/1"));
        fs::create_dir_all(paths.db.parent().unwrap()).unwrap();
        for name in [".DS_Store", "x.db", "a/.DS_Store"] {
            fs::write(dir.path().join("vaults").join(name), "").unwrap();
        }
        assert_eq!(state.known(None).unwrap(), []);
        let file = VaultId::new("file");
        fs::write(dir.path().join("vaults/file"), "").unwrap();
        assert_eq!(state.known(Some(&file)).unwrap(), []);
        fs::write(&paths.db, "").unwrap();
        assert_eq!(state.known(None).unwrap(), [paths]);
    }
}
