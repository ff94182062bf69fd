//! Listing what is there.

use obsync_core::{Found, Listed, StoreError, VaultPath};
use rustix::fd::AsFd as _;
use rustix::fs::{Dir, FileType};
use rustix::io::Errno;

use super::Inner;
use super::inspect::{Seen, look};
use super::names::BESIDE;
use crate::error::Context as _;

impl Inner {
    pub(super) fn list(&self, config_dir: &str) -> Result<Vec<Listed>, StoreError> {
        let mut all = Vec::new();
        let mut folders = vec![None];
        while let Some(folder) = folders.pop() {
            let mut here = self.list_folder(folder.as_ref())?;
            here.sort_unstable_by(|a, b| a.path.cmp(&b.path));
            let inside = here.iter().filter(|entry| {
                entry.found == Found::Folder
                    && (!entry.path.file_name().starts_with('.')
                        || entry.path.as_str() == config_dir)
            });
            folders.extend(inside.map(|entry| Some(entry.path.clone())));
            all.append(&mut here);
        }
        Ok(all)
    }

    /// What is right in a folder, the root with `None`. Nothing where it is gone again.
    fn list_folder(&self, folder: Option<&VaultPath>) -> Result<Vec<Listed>, StoreError> {
        let name = folder.map_or("", VaultPath::as_str);
        let deed = || format!("can't list {}", self.path.join(name).display());
        let Some(root) = self.root()? else {
            return Ok(Vec::new());
        };
        let open = match root.folder(name) {
            Ok(open) => open,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
            Err(error) => return Err(error).context(deed),
        };
        let mut listed = Vec::new();
        for entry in Dir::read_from(&open).context(deed)? {
            let entry = entry.context(deed)?;
            let Ok(leaf) = entry.file_name().to_str() else {
                // Not ours: every name of a vault is text.
                tracing::debug!(folder = name, "a name that is not UTF-8 is left alone");
                continue;
            };
            if matches!(leaf, "." | "..") || leaf.starts_with(BESIDE) {
                continue;
            }
            let path = if name.is_empty() {
                leaf.to_owned()
            } else {
                format!("{name}/{leaf}")
            };
            let Ok(path) = VaultPath::parse(&path) else {
                continue;
            };
            if self.is_own(&path) {
                continue;
            }
            let seen = match entry.file_type() {
                FileType::Directory => Seen::Folder,
                _ => look(open.as_fd(), leaf).context(deed)?,
            };
            if seen != Seen::Absent {
                listed.push(Listed {
                    path,
                    found: seen.into(),
                });
            }
        }
        Ok(listed)
    }

    pub(super) fn is_empty(&self) -> Result<bool, StoreError> {
        let deed = || format!("can't list {}", self.path.display());
        let Some(root) = self.root()? else {
            return Ok(true);
        };
        for entry in Dir::read_from(root.root()).context(deed)? {
            let entry = entry.context(deed)?;
            let own = match entry.file_name().to_str() {
                Ok("." | "..") => true,
                Ok(leaf) => VaultPath::parse(leaf).is_ok_and(|path| self.is_own(&path)),
                Err(_) => false,
            };
            if !own {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
