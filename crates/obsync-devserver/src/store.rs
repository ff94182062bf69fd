//! The state of the service behind its one lock: accounts, vaults, and what is saved of them.
//!
//! Every change goes through here: saved first, then in memory, then broadcast.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::{EncryptionVersion, Millis, Password, VaultId, VaultVersion};

use crate::accounts::Accounts;
use crate::error::Error;
use crate::log::VaultLog;
use crate::persist::{Folder, Saved};
use crate::record::{Change, Record};
use crate::vault::{Content, Vault, VaultInfo};

/// Accounts and vaults.
#[derive(Default)]
pub(crate) struct Store {
    pub accounts: Accounts,
    vaults: BTreeMap<VaultId, Vault>,
    folder: Option<Folder>,
}

impl Store {
    /// Opens what a data folder holds.
    pub(crate) fn open(data: PathBuf) -> Result<Self, Error> {
        let folder = Folder::open(data)?;
        let mut store = Self::default();
        if let Some(saved) = folder.load()? {
            store.accounts = saved.accounts;
            for (id, info) in saved.vaults {
                let (records, content) = folder.load_vault(&id)?;
                let log = VaultLog::restore(records, content, info.floor);
                store.vaults.insert(id, Vault::new(info, log, None));
            }
        }
        store.folder = Some(folder);
        Ok(store)
    }

    /// Saves accounts and vaults after a change to them.
    pub(crate) fn save(&self) -> Result<(), Error> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let vaults = self
            .vaults
            .iter()
            .map(|(id, vault)| (id.clone(), vault.info.clone()))
            .collect();
        folder.save(&Saved::new(self.accounts.clone(), vaults))
    }

    pub(crate) fn vault(&self, id: &VaultId) -> Result<&Vault, Error> {
        self.vaults
            .get(id)
            .ok_or_else(|| Error::NoVault(id.clone()))
    }

    pub(crate) fn vault_mut(&mut self, id: &VaultId) -> Result<&mut Vault, Error> {
        self.vaults
            .get_mut(id)
            .ok_or_else(|| Error::NoVault(id.clone()))
    }

    /// All vaults.
    pub(crate) fn vaults(&self) -> impl Iterator<Item = &Vault> {
        self.vaults.values()
    }

    /// Ends every sync connection.
    pub(crate) fn disconnect(&mut self) {
        self.vaults.values_mut().for_each(Vault::disconnect);
    }

    /// Adds an empty vault.
    pub(crate) fn add_vault(
        &mut self,
        info: VaultInfo,
        cipher: Option<VaultCipher>,
    ) -> Result<VaultId, Error> {
        let id = info.id.clone();
        if self.vaults.contains_key(&id) {
            return Err(Error::Invalid(format!("there is already a vault {id}")));
        }
        self.vaults
            .insert(id.clone(), Vault::new(info, VaultLog::default(), cipher));
        self.save()?;
        Ok(id)
    }

    /// Drops a vault and ends its connections.
    pub(crate) fn remove_vault(&mut self, id: &VaultId) -> Result<(), Error> {
        self.vaults
            .remove(id)
            .ok_or_else(|| Error::NoVault(id.clone()))?;
        self.save()?;
        self.folder
            .as_ref()
            .map_or(Ok(()), |folder| folder.remove_vault(id))
    }

    /// The key of a vault, where the service knows it. Derives it for a managed vault that was loaded.
    pub(crate) fn cipher(&mut self, id: &VaultId) -> Result<VaultCipher, Error> {
        let vault = self.vault_mut(id)?;
        if vault.cipher.is_none()
            && let Some(password) = vault.info.password.clone()
        {
            self.unlock(id, &Password::new(password))?;
        }
        self.vault(id)?
            .cipher
            .clone()
            .ok_or_else(|| Error::Locked(id.clone()))
    }

    /// Learns the password of a vault.
    pub(crate) fn unlock(&mut self, id: &VaultId, password: &Password) -> Result<(), Error> {
        let vault = self.vault_mut(id)?;
        let VaultInfo {
            encryption_version,
            salt,
            keyhash,
            ..
        } = &vault.info;
        let version = EncryptionVersion::from_number(*encryption_version).ok_or_else(|| {
            Error::Invalid(format!(
                "vault {id} has the unknown encryption {encryption_version}"
            ))
        })?;
        let cipher = VaultCipher::new(version, &VaultKey::derive(password, salt), salt);
        if cipher.keyhash() != keyhash {
            return Err(Error::WrongPassword(id.clone()));
        }
        vault.cipher = Some(cipher);
        Ok(())
    }

    /// Adds a record to a vault: saved, then in memory, then broadcast.
    pub(crate) fn commit(
        &mut self,
        id: &VaultId,
        change: Change,
        content: Content,
        now: Millis,
    ) -> Result<Arc<Record>, Error> {
        let record = self.vault(id)?.draft(change, &content, now);
        self.commit_record(id, record, content)
    }

    /// Adds a record made with [`Vault::draft`].
    pub(crate) fn commit_record(
        &mut self,
        id: &VaultId,
        record: Record,
        content: Content,
    ) -> Result<Arc<Record>, Error> {
        if let Some(folder) = &self.folder {
            if let Content::New(bytes) = &content {
                folder.keep(id, record.uid, bytes)?;
            }
            folder.append(id, &record)?;
        }
        let record = Arc::new(record);
        self.vault_mut(id)?.publish(&record, content);
        Ok(record)
    }

    /// Drops superseded and deleted records; the version stays.
    pub(crate) fn purge(&mut self, id: &VaultId) -> Result<(), Error> {
        let vault = self.vault_mut(id)?;
        vault.log.purge();
        self.rewritten(id)
    }

    /// Goes back to an earlier version and ends the vault's connections.
    pub(crate) fn rollback(&mut self, id: &VaultId, version: VaultVersion) -> Result<(), Error> {
        let vault = self.vault_mut(id)?;
        vault.log.rollback(version);
        vault.disconnect();
        self.rewritten(id)
    }

    fn rewritten(&mut self, id: &VaultId) -> Result<(), Error> {
        let vault = self.vault_mut(id)?;
        vault.info.floor = vault.log.version().0;
        // The version first: it must not fall if the process ends in between.
        self.save()?;
        match &self.folder {
            Some(folder) => folder.rewrite(id, self.vault(id)?.log.records()),
            None => Ok(()),
        }
    }
}
