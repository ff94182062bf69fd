//! The suites, over the double.

use async_trait::async_trait;
use obsidian_sync::Millis;
use obsync_core::conformance::{StateHome, VaultHome};
use obsync_core::{StateStore, VaultStore};
use obsync_s3::S3Home;
use tokio::sync::Mutex;

use crate::support::{HandClock, open};
use obsync_doubles::s3::Double;

const PREFIX: &str = "vaults/Notes/";

pub(crate) struct Home {
    double: Double,
    clock: HandClock,
    last: Mutex<Option<S3Home>>,
}

impl Home {
    /// As a new process would, the one before having ended well.
    async fn fresh(&self) -> S3Home {
        let mut last = self.last.lock().await;
        if let Some(before) = last.take() {
            before.state.close().await.unwrap();
        }
        let home = open(&self.double.url, &self.clock).await;
        *last = Some(home.clone());
        home
    }
}

async fn home() -> Home {
    Home {
        double: Double::start().await,
        clock: HandClock::new(),
        last: Mutex::default(),
    }
}

#[async_trait]
impl VaultHome for Home {
    async fn open(&self) -> Box<dyn VaultStore> {
        Box::new(self.fresh().await.files)
    }

    async fn write(&self, path: &str, content: &[u8]) {
        self.double.put(&format!("{PREFIX}{path}"), content);
    }

    async fn remove(&self, path: &str) {
        self.double.remove(&format!("{PREFIX}{path}"));
    }

    async fn read(&self, path: &str) -> Option<Vec<u8>> {
        let object = self.double.object(&format!("{PREFIX}{path}"));
        object.map(|object| object.bytes.to_vec())
    }

    async fn mtime(&self, path: &str) -> Option<Millis> {
        let object = self.double.object(&format!("{PREFIX}{path}"))?;
        let seconds: f64 = object.headers.get("x-amz-meta-mtime")?.parse().ok()?;
        Some(Millis((seconds * 1000.0).round() as i64))
    }

    async fn trashed(&self) -> Option<Vec<Vec<u8>>> {
        let keys = self.double.keys().into_iter();
        let trash = format!("{PREFIX}.obsync/trash/");
        let kept = keys.filter(|key| key.starts_with(&trash));
        Some(
            kept.filter_map(|key| Some(self.double.object(&key)?.bytes.to_vec()))
                .collect(),
        )
    }

    fn has_folders(&self) -> bool {
        false
    }
}

#[async_trait]
impl StateHome for Home {
    async fn open(&self) -> Box<dyn StateStore> {
        Box::new(self.fresh().await.state)
    }
}

mod files {
    obsync_core::vault_store_tests!(super::home);
}

mod state {
    obsync_core::state_store_tests!(super::home);
}
