//! A vault: what it is called and how it is encrypted, its log, and who listens to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::{EncryptionVersion, Millis, Password, Uid, VaultId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;

use crate::error::Error;
use crate::log::VaultLog;
use crate::record::{Change, Record};

/// A vault to be made.
#[derive(Debug, Clone)]
pub struct VaultSpec {
    name: String,
    owner: String,
    password: Option<Password>,
    version: EncryptionVersion,
    salt: Option<String>,
    id: Option<VaultId>,
}

impl VaultSpec {
    /// A vault with "standard" encryption: the service makes the password and hands it out.
    pub fn managed(name: impl Into<String>, owner: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            owner: owner.into(),
            password: None,
            version: EncryptionVersion::LATEST,
            salt: None,
            id: None,
        }
    }

    /// A vault with end-to-end encryption under a password of the user's own.
    pub fn encrypted(
        name: impl Into<String>,
        owner: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        Self {
            password: Some(Password::new(password)),
            ..Self::managed(name, owner)
        }
    }

    /// Another encryption scheme than the latest.
    #[must_use]
    pub fn version(self, version: EncryptionVersion) -> Self {
        Self { version, ..self }
    }

    /// A salt of one's own, in place of a random one.
    #[must_use]
    pub fn salt(self, salt: impl Into<String>) -> Self {
        Self {
            salt: Some(salt.into()),
            ..self
        }
    }

    /// An id of one's own, in place of a random one: letters, digits, `-` and `_`.
    #[must_use]
    pub fn id(self, id: impl Into<String>) -> Self {
        Self {
            id: Some(VaultId::new(id)),
            ..self
        }
    }

    pub(crate) fn owner_email(&self) -> &str {
        &self.owner
    }

    /// Derives the key: some 85 ms.
    pub(crate) fn make(
        self,
        owner: u64,
        created: Millis,
    ) -> Result<(VaultInfo, VaultCipher), Error> {
        let id = self.id.unwrap_or_else(|| VaultId::new(random_hex()));
        check_id(&id)?;
        let salt = self.salt.unwrap_or_else(random_hex);
        let managed = self.password.is_none();
        let password = self.password.unwrap_or_else(|| Password::new(random_hex()));
        let cipher = VaultCipher::new(self.version, &VaultKey::derive(&password, &salt), &salt);
        let info = VaultInfo {
            id,
            name: self.name,
            owner,
            guests: BTreeSet::new(),
            keyhash: cipher.keyhash().to_owned(),
            password: managed.then(|| password.expose().to_owned()),
            salt,
            encryption_version: self.version.number(),
            region: crate::api::REGION.to_owned(),
            created,
            floor: 0,
            overrides: Map::new(),
        };
        Ok((info, cipher))
    }
}

/// What the service knows of a vault, apart from its records.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct VaultInfo {
    pub id: VaultId,
    pub name: String,
    pub owner: u64,
    pub guests: BTreeSet<u64>,
    pub keyhash: String,
    /// Only for managed vaults.
    pub password: Option<String>,
    pub salt: String,
    pub encryption_version: u64,
    pub region: String,
    pub created: Millis,
    /// The version below which it never falls, though a purge drops the last records.
    pub floor: u64,
    /// Fields of the list entry that a test replaced.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub overrides: Map<String, Value>,
}

impl VaultInfo {
    pub(crate) fn is_open_to(&self, user: u64) -> bool {
        self.owner == user || self.guests.contains(&user)
    }

    /// Its entry in a vault list.
    pub(crate) fn to_json(&self, host: &str, size: u64) -> Value {
        let mut json = json!({
            "id": self.id,
            "name": self.name,
            "host": host,
            "region": self.region,
            "salt": self.salt,
            "encryption_version": self.encryption_version,
            "created": self.created,
            "size": size,
            "password": self.password.as_deref().unwrap_or_default(),
        });
        if let Value::Object(fields) = &mut json {
            fields.extend(self.overrides.clone());
        }
        json
    }
}

/// Content that a record brings or refers to.
pub(crate) enum Content {
    /// A folder or a deletion.
    None,
    /// Sealed bytes that are new here.
    New(Bytes),
    /// Kept already, under this uid.
    Kept(Uid),
}

/// A vault in the running service.
pub(crate) struct Vault {
    pub info: VaultInfo,
    pub log: VaultLog,
    /// The key, where the service knows the password.
    pub cipher: Option<VaultCipher>,
    listeners: Vec<UnboundedSender<Arc<Record>>>,
}

impl Vault {
    pub(crate) fn new(info: VaultInfo, log: VaultLog, cipher: Option<VaultCipher>) -> Self {
        Self {
            info,
            log,
            cipher,
            listeners: Vec::new(),
        }
    }

    /// The next record, not yet in the log.
    pub(crate) fn draft(&self, change: Change, content: &Content, ts: Millis) -> Record {
        let uid = self.log.next_uid();
        let content = match content {
            Content::None => None,
            Content::New(_) => Some(uid),
            Content::Kept(kept) => Some(*kept),
        };
        Record {
            uid,
            ts,
            content,
            change,
            forged: false,
            overrides: Map::new(),
        }
    }

    /// Takes a record in and tells every connection.
    pub(crate) fn publish(&mut self, record: &Arc<Record>, content: Content) {
        if let Content::New(bytes) = content {
            self.log.keep(record.uid, bytes);
        }
        self.log.append(Arc::clone(record));
        self.listeners
            .retain(|listener| listener.send(Arc::clone(record)).is_ok());
    }

    /// Adds a connection to those that are told.
    pub(crate) fn listen(&mut self, listener: UnboundedSender<Arc<Record>>) {
        self.listeners.push(listener);
    }

    /// Ends all connections: they see their channel closed.
    pub(crate) fn disconnect(&mut self) {
        self.listeners.clear();
    }
}

/// Ids become folder names, so they are plain words.
fn check_id(id: &VaultId) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if id.as_str().is_empty() || !id.as_str().chars().all(plain) {
        return Err(Error::Invalid(format!(
            "{:?} can't be a vault's id",
            id.as_str()
        )));
    }
    Ok(())
}

/// 32 hex digits for ids, tokens, salts and managed passwords.
pub(crate) fn random_hex() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    hex::encode(bytes)
}
