//! One vault on a dev server of its own, and the folders around it.

use std::path::PathBuf;

use obsidian_sync::{EncryptionVersion, Password, VaultId};
use obsync_devserver::{DevServer, VaultSpec};
use tempfile::TempDir;

use crate::tree::Tree;
use obsync_interop::Outcome;
use obsync_interop::install::Client;
use obsync_interop::official::Official;

/// Who signs in.
pub(crate) const ACCOUNT: (&str, &str) = ("someone@example.com", "account password");
/// What every vault is called.
pub(crate) const VAULT: &str = "My vault";
/// NFKC changes it.
const PASSWORD: &str = "pässwörd ﬁ①Å";

/// How a vault is encrypted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) version: EncryptionVersion,
    pub(crate) managed: bool,
}

/// All kinds of vaults.
pub(crate) const KINDS: [Kind; 5] = [
    Kind {
        name: "version 0",
        version: EncryptionVersion::V0,
        managed: false,
    },
    Kind {
        name: "version 2",
        version: EncryptionVersion::V2,
        managed: false,
    },
    Kind {
        name: "version 3",
        version: EncryptionVersion::V3,
        managed: false,
    },
    Kind {
        name: "managed, version 0",
        version: EncryptionVersion::V0,
        managed: true,
    },
    Kind {
        name: "managed, version 3",
        version: EncryptionVersion::V3,
        managed: true,
    },
];

impl Kind {
    /// What the user types; `None` where the service keeps the password.
    pub(crate) fn password(self) -> Option<&'static str> {
        (!self.managed).then_some(PASSWORD)
    }
}

/// A service with one vault, and a signed-in official client.
pub(crate) struct Stage {
    pub(crate) server: DevServer,
    pub(crate) vault: VaultId,
    pub(crate) official: Official,
    folder: TempDir,
}

impl Stage {
    /// A vault that the service made.
    ///
    /// # Errors
    /// Where the service or the client fails.
    pub(crate) async fn with_vault(kind: Kind, client: Client) -> Outcome<Self> {
        let mut stage = Self::without_vault(client).await?;
        let (owner, _) = ACCOUNT;
        let spec = match kind.password() {
            Some(password) => VaultSpec::encrypted(VAULT, owner, password),
            None => VaultSpec::managed(VAULT, owner),
        };
        stage.vault = stage.server.add_vault(spec.version(kind.version))?;
        Ok(stage)
    }

    /// A vault that the official client made, where it can: it knows version 3 only.
    ///
    /// # Errors
    /// Where the service or the client fails.
    pub(crate) async fn with_vault_of_the_client(kind: Kind, client: Client) -> Outcome<Self> {
        if kind.version != EncryptionVersion::V3 {
            return Self::with_vault(kind, client).await;
        }
        let mut stage = Self::without_vault(client).await?;
        stage.official.create(VAULT, kind.password()).await?;
        let mut made = stage.server.vaults_named(VAULT);
        stage.vault = made.pop().ok_or("the official client made no vault")?;
        if let Some(password) = kind.password() {
            stage
                .server
                .unlock(&stage.vault, &Password::new(password))?;
        }
        Ok(stage)
    }

    async fn without_vault(client: Client) -> Outcome<Self> {
        let server = DevServer::start().await?;
        let (email, password) = ACCOUNT;
        server.add_account(email, password, None)?;
        let folder = tempfile::tempdir()?;
        let home = folder.path().join("home");
        let official = Official::sign_in(client, home, server.url(), ACCOUNT).await?;
        Ok(Self {
            server,
            vault: VaultId::new(""),
            official,
            folder,
        })
    }

    /// Files for the vault.
    ///
    /// # Errors
    /// Where the service does not know the vault's keys.
    pub(crate) async fn sample(&self) -> Outcome<Tree> {
        let cipher = self.server.cipher(&self.vault)?;
        // It tries thousands of names.
        Ok(tokio::task::spawn_blocking(move || Tree::sample(&cipher)).await?)
    }

    /// A place in the folder that goes with the stage.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
