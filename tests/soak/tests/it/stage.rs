//! A service with one vault, used by one history after the other.

use std::future::Future;

use obsidian_sync::client::Connector;
use obsidian_sync::crypto::VaultCipher;
use obsidian_sync::{EncryptionVersion, Millis, Token, Vault as Listed, VaultId, VaultVersion};
use obsync_devserver::{DevServer, VaultSpec};
use obsync_doubles::s3::Double;
use tokio::runtime::{Builder, Runtime};

use crate::devices::Devices;
use crate::model::Vault;

const OWNER: &str = "me@example.com";

/// One service with one vault, one S3 beside it, and what runs them.
pub(crate) struct Stage {
    runtime: Runtime,
    pub(crate) service: DevServer,
    pub(crate) vault: VaultId,
    pub(crate) cipher: VaultCipher,
    pub(crate) double: Double,
    token: Token,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(VaultSpec::managed("Notes", OWNER))
    }

    /// The same, of a vault that is encrypted in this way.
    pub(crate) fn of_version(version: EncryptionVersion) -> Self {
        Self::with(VaultSpec::encrypted("Notes", OWNER, "secret").version(version))
    }

    fn with(spec: VaultSpec) -> Self {
        // One thread: then time can be made to fly while a service hangs.
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (service, vault, cipher, double, token) = runtime.block_on(async {
            let service = DevServer::start().await.unwrap();
            service.add_account(OWNER, "account", None).unwrap();
            let vault = service.add_vault(spec).unwrap();
            let token = service.issue_token(OWNER).unwrap();
            let cipher = service.cipher(&vault).unwrap();
            let double = Double::start().await;
            (service, vault, cipher, double, token)
        });
        Self {
            runtime,
            service,
            vault,
            cipher,
            double,
            token,
        }
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Empties the vault and mends the service.
    pub(crate) fn clear(&self) {
        self.service.faults().clear();
        self.service.rollback(&self.vault, VaultVersion(0)).unwrap();
        self.service.reset_stats();
    }

    /// All other devices of the vault.
    pub(crate) fn devices(&self) -> Devices {
        Devices {
            service: (*self.service).clone(),
            vault: self.vault.clone(),
        }
    }

    /// The vault as it stands.
    pub(crate) fn contents(&self) -> Vault {
        self.devices().contents()
    }

    pub(crate) fn connector(&self) -> Connector {
        let vault = Listed {
            id: self.vault.clone(),
            name: "Notes".into(),
            host: self.service.host(),
            region: String::new(),
            salt: String::new(),
            encryption_version: self.cipher.version().number(),
            created: Millis(0),
            size: 0,
            managed_password: None,
            shared: false,
        };
        Connector::new(&vault, self.token.clone(), &self.cipher).unwrap()
    }
}
