//! [`MemoryVaultStore`] against the suite, and what only it can do.

use async_trait::async_trait;
use obsidian_sync::Millis;

use super::MemoryVaultStore;
use crate::conformance::VaultHome;
use crate::path::VaultPath;
use crate::store::{Folding, Found, StoreErrorKind, VaultStore};

struct Home(MemoryVaultStore);

#[async_trait]
impl VaultHome for Home {
    async fn open(&self) -> Box<dyn VaultStore> {
        Box::new(self.0.clone())
    }

    async fn write(&self, path: &str, content: &[u8]) {
        self.0.write(path, content.to_vec());
    }

    async fn remove(&self, path: &str) {
        self.0.remove(path);
    }

    async fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.0.read(path).map(Into::into)
    }

    async fn mtime(&self, path: &str) -> Option<Millis> {
        self.0.mtime(path)
    }

    async fn trashed(&self) -> Option<Vec<Vec<u8>>> {
        Some(
            self.0
                .trashed()
                .into_iter()
                .map(|(_, content)| content.into())
                .collect(),
        )
    }
}

mod plain {
    async fn home() -> super::Home {
        let store = super::MemoryVaultStore::new();
        store.list_in_pages(2);
        super::Home(store)
    }
    crate::vault_store_tests!(home);
}

mod folding {
    async fn home() -> super::Home {
        let folding = super::Folding {
            case: true,
            unicode: true,
        };
        super::Home(super::MemoryVaultStore::with_folding(folding))
    }
    crate::vault_store_tests!(home);
}

fn path(text: &str) -> VaultPath {
    VaultPath::parse(text).unwrap()
}

#[tokio::test]
async fn links_are_never_followed() {
    let store = MemoryVaultStore::new();
    store.plant_link("link");
    for name in ["link", "link/a.md"] {
        let found = store.inspect(&path(name), None).await.unwrap();
        assert!(matches!(found, Found::Foreign(_)), "{name}");
    }
    assert_eq!(
        store.create_folder(&path("link/d")).await.unwrap_err().kind,
        StoreErrorKind::InTheWay
    );
}

#[tokio::test]
async fn power_loss_takes_what_was_not_flushed() {
    let store = MemoryVaultStore::new();
    store.create_folder(&path("kept")).await.unwrap();
    store.flush().await.unwrap();
    store.create_folder(&path("lost")).await.unwrap();
    store.lose_unflushed();
    assert_eq!(store.folders(), ["kept"]);
}
