//! What other devices do to the vault.

use bytes::Bytes;
use obsidian_sync::{Millis, VaultId, VaultVersion};
use obsync_devserver::Service;

use crate::model::Vault;

/// All other devices of the vault. Clones are the same.
#[derive(Clone)]
pub(crate) struct Devices {
    pub(crate) service: Service,
    pub(crate) vault: VaultId,
}

/// When a content was written: always the same for the same content, so that nobody has to remember it.
pub(crate) fn mtime_of(content: &Bytes) -> Millis {
    let sum = content.iter().fold(7_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(*byte))
    });
    Millis(1_700_000_000_000 + i64::from(sum))
}

impl Devices {
    /// The vault as it stands.
    pub(crate) fn contents(&self) -> Vault {
        let uid = |path: &str| self.service.uid_of(&self.vault, path).unwrap().0;
        let files = self.service.tree(&self.vault).unwrap().into_iter();
        let folders = self.service.folders(&self.vault).unwrap().into_iter();
        Vault {
            files: files
                .map(|(path, content)| {
                    let uid = uid(&path);
                    (path, (uid, Bytes::from(content)))
                })
                .collect(),
            folders: folders.map(|path| (path.clone(), uid(&path))).collect(),
        }
    }

    pub(crate) fn version(&self) -> VaultVersion {
        self.service.version(&self.vault).unwrap()
    }

    /// Writes a file. What is in its way goes first.
    pub(crate) fn put(&self, path: &str, content: &Bytes) {
        self.make_room(path);
        let folders = self.service.folders(&self.vault).unwrap();
        if folders.contains(path) {
            self.service.delete(&self.vault, path).unwrap();
        }
        let mtime = mtime_of(content);
        self.service.put(&self.vault, path, content, mtime).unwrap();
    }

    pub(crate) fn mkdir(&self, path: &str) {
        self.make_room(path);
        let contents = self.contents();
        if contents.files.contains_key(path) {
            self.service.delete(&self.vault, path).unwrap();
        }
        if !contents.folders.contains_key(path) {
            self.service.mkdir(&self.vault, path).unwrap();
        }
    }

    /// Makes the folders above a path, as a device has them.
    fn make_room(&self, path: &str) {
        if let Some((above, _)) = path.rsplit_once('/') {
            self.mkdir(above);
        }
    }

    /// Deletes a file, or a folder with all below it.
    pub(crate) fn delete(&self, of: u8) {
        if let Some(path) = self.live(of) {
            self.service.delete(&self.vault, &path).unwrap();
        }
    }

    pub(crate) fn rename(&self, of: u8, to: &str) {
        let Some(from) = self.live(of) else { return };
        let below = |path: &str, dir: &str| path == dir || path.starts_with(&format!("{dir}/"));
        if below(&from, to) || below(to, &from) {
            return;
        }
        self.make_room(to);
        let Vault { files, folders } = self.contents();
        if files.contains_key(to) || folders.contains_key(to) {
            self.service.delete(&self.vault, to).unwrap();
        }
        self.service.rename(&self.vault, &from, to).unwrap();
    }

    fn live(&self, of: u8) -> Option<String> {
        let Vault { files, folders } = self.contents();
        let mut all: Vec<_> = files.into_keys().chain(folders.into_keys()).collect();
        all.sort();
        pick(all, of)
    }
}

/// One of what is there.
pub(crate) fn pick(mut all: Vec<String>, of: u8) -> Option<String> {
    if all.is_empty() {
        return None;
    }
    let index = usize::from(of) % all.len();
    Some(all.swap_remove(index))
}
