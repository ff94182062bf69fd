//! The suites of `obsync_core::conformance`.

use std::fs;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use obsidian_sync::{Millis, VaultId};
use obsync_core::conformance::{StateHome, VaultHome};
use obsync_core::{StateStore, VaultStore};
use obsync_local::{About, FolderOptions, FolderStore, SqliteStateStore, StateDir, Trash};
use tempfile::TempDir;

struct FolderHome(TempDir);

impl FolderHome {
    fn file(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join("notes").join(path)
    }
}

#[async_trait]
impl VaultHome for FolderHome {
    async fn open(&self) -> Box<dyn VaultStore> {
        let trash = Trash::new(&self.0.path().join("trash"), Millis(0));
        let options = FolderOptions {
            trash: Some(trash),
            ..FolderOptions::default()
        };
        Box::new(FolderStore::open(&self.file(""), options).unwrap())
    }

    async fn write(&self, path: &str, content: &[u8]) {
        fs::create_dir_all(self.file(path).parent().unwrap()).unwrap();
        fs::write(self.file(path), content).unwrap();
    }

    async fn remove(&self, path: &str) {
        fs::remove_file(self.file(path)).unwrap();
    }

    async fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.file(path)).ok()
    }

    async fn mtime(&self, path: &str) -> Option<Millis> {
        let time = self.file(path).metadata().ok()?.modified().unwrap();
        Some(Millis(
            time.duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
        ))
    }

    async fn trashed(&self) -> Option<Vec<Vec<u8>>> {
        let mut contents = Vec::new();
        let mut folders = vec![self.0.path().join("trash")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    contents.push(fs::read(path).unwrap());
                }
            }
        }
        Some(contents)
    }
}

mod folder {
    async fn home() -> super::FolderHome {
        super::FolderHome(tempfile::tempdir().unwrap())
    }
    obsync_core::vault_store_tests!(home);
}

struct SqliteHome(TempDir);

#[async_trait]
impl StateHome for SqliteHome {
    async fn open(&self) -> Box<dyn StateStore> {
        let about = About::new(&VaultId::new("0a1b"), "Vault", "/notes");
        let paths = StateDir::new(self.0.path()).state(&about);
        Box::new(SqliteStateStore::open(&paths, &about).unwrap())
    }
}

mod sqlite {
    async fn home() -> super::SqliteHome {
        super::SqliteHome(tempfile::tempdir().unwrap())
    }
    obsync_core::state_store_tests!(home);
}
