//! [`Stage`]: the service and the bucket.

use std::collections::BTreeMap;
use std::path::Path;

use obsidian_sync::{Millis, VaultId};
use obsync_devserver::{Builder, DevServer, VaultSpec};
use obsync_doubles::runtime::{Function, Setup};
use obsync_doubles::s3::{BUCKET, Double};

/// The account's address.
pub const EMAIL: &str = "me@example.com";
/// The account's password.
pub const PASSWORD: &str = "account password";
/// The password of every vault.
pub const VAULT_PASSWORD: &str = "vault password";
/// The sample vault of the sample events: its id and its name.
pub const SAMPLE: (&str, &str) = ("5a3c9e0f7b1d4c28a6e2f0d94b7c1e35", "My vault");
/// The other vault of the sample events.
pub const TEAM: (&str, &str) = ("c41d8b62e97f4a0593d6a8e1f27b0c54", "Team notes");

/// When the files were written that a test does not care about.
const TIME: Millis = Millis(1_746_381_600_000);

/// Where the copies go.
#[derive(Debug, Clone)]
pub enum Bucket {
    /// The double, in this process.
    Double(Double),
    /// Another S3 service, without secrets.
    Elsewhere {
        /// Its address.
        url: String,
        /// The bucket's name.
        name: String,
    },
}

/// A Sync service with one account, and a bucket.
#[derive(Debug)]
pub struct Stage {
    /// The service.
    pub service: DevServer,
    /// The bucket.
    pub bucket: Bucket,
}

impl Stage {
    /// Starts a service without vaults, and the double.
    ///
    /// # Panics
    /// Where either can't listen.
    pub async fn start() -> Self {
        let double = Double::start().await;
        Self::with(DevServer::builder(), Bucket::Double(double)).await
    }

    /// Starts a service with settings of one's own.
    ///
    /// # Panics
    /// Where it can't listen.
    pub async fn with(builder: Builder, bucket: Bucket) -> Self {
        let service = builder.start().await.unwrap();
        service.add_account(EMAIL, PASSWORD, None).unwrap();
        Self { service, bucket }
    }

    /// Adds an empty vault with end-to-end encryption.
    ///
    /// # Panics
    /// Where the id is taken.
    pub fn vault(&self, (id, name): (&str, &str)) -> VaultId {
        let spec = VaultSpec::encrypted(name, EMAIL, VAULT_PASSWORD).id(id);
        self.service.add_vault(spec).unwrap()
    }

    /// Adds the two vaults of the sample events, with notes.
    pub fn samples(&self) -> [VaultId; 2] {
        let sample = self.vault(SAMPLE);
        self.service.seed_sample(&sample).unwrap();
        let team = self.vault(TEAM);
        self.put(
            &team,
            "Minutes/2026-11-16.md",
            b"# Minutes\n\nAll agreed.\n",
        );
        self.put(&team, "Who is who.md", b"- Mireille\n- Jonas\n");
        [sample, team]
    }

    /// The names of the sample vaults that are there.
    pub fn names(&self) -> Vec<&'static str> {
        let names = [SAMPLE.1, TEAM.1].into_iter();
        names
            .filter(|name| !self.service.vaults_named(name).is_empty())
            .collect()
    }

    /// Writes a file, as another device would.
    ///
    /// # Panics
    /// Where the service refuses it.
    pub fn put(&self, vault: &VaultId, path: &str, content: &[u8]) {
        self.service.put(vault, path, content, TIME).unwrap();
    }

    /// The double.
    ///
    /// # Panics
    /// Where the bucket is elsewhere.
    pub fn double(&self) -> &Double {
        match &self.bucket {
            Bucket::Double(double) => double,
            Bucket::Elsewhere { url, .. } => panic!("the bucket is at {url}"),
        }
    }

    /// The objects below `vaults/<folder>/`, by path, without what obsync keeps for itself.
    pub fn objects(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let double = self.double();
        let prefix = format!("vaults/{folder}/");
        let keys = double.keys().into_iter();
        keys.filter_map(|key| {
            let path = key.strip_prefix(&prefix)?.to_owned();
            let object = double.object(&key)?;
            (!path.starts_with(".obsync/")).then(|| (path, object.bytes.to_vec()))
        })
        .collect()
    }

    /// A function that is told about this stage.
    pub fn function(&self, bootstrap: &Path) -> Setup {
        let (url, bucket) = match &self.bucket {
            Bucket::Double(double) => (double.url.as_str(), BUCKET),
            Bucket::Elsewhere { url, name } => (url.as_str(), name.as_str()),
        };
        Function::of(bootstrap)
            .env("OBSIDIAN_API_URL", self.service.url())
            .env("OBSIDIAN_EMAIL", EMAIL)
            .env("OBSIDIAN_PASSWORD", PASSWORD)
            .env("OBSIDIAN_VAULT_PASSWORD", VAULT_PASSWORD)
            .env("AWS_ENDPOINT_URL_S3", url)
            .env("S3_BUCKET", bucket)
    }
}
