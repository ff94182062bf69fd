//! The handle on a service: settings, accounts, vaults, faults and counts.
//!
//! What concerns the files of a vault is in [`seed`](crate::seed).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use obsidian_sync::{Millis, Password, Token, VaultId, VaultVersion};
use serde_json::Value;

use crate::builder::{Builder, Settings};
use crate::error::Error;
use crate::faults::{Action, Faults, Place, Point};
use crate::pace::Pace;
use crate::stats::{Counters, Stats};
use crate::store::Store;
use crate::vault::{VaultSpec, random_hex};

struct Inner {
    settings: Settings,
    store: Mutex<Store>,
    host: Mutex<String>,
    preflights: Mutex<u64>,
    faults: Faults,
    counters: Counters,
    pace: Pace,
}

/// The service: what it holds and how it behaves, whether it listens or not. Clones share all.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("host", &self.host())
            .finish_non_exhaustive()
    }
}

impl Service {
    pub(crate) fn new(settings: Settings, store: Store) -> Self {
        Self(Arc::new(Inner {
            settings,
            store: Mutex::new(store),
            host: Mutex::default(),
            preflights: Mutex::default(),
            faults: Faults::default(),
            counters: Counters::default(),
            pace: Pace::default(),
        }))
    }

    /// Starts to build a service.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The faults, to set and clear them at any time.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// What clients have done so far.
    pub fn stats(&self) -> Stats {
        self.0.counters.get().clone()
    }

    /// Counts from here.
    pub fn reset_stats(&self) {
        self.0.counters.reset();
    }

    /// Adds an account, with two-factor sign-in where a base32 secret is given.
    ///
    /// # Errors
    /// Where the address is taken or the secret is not base32.
    pub fn add_account(
        &self,
        email: &str,
        password: &str,
        totp: Option<&str>,
    ) -> Result<(), Error> {
        let mut store = self.store();
        store.accounts.add(email, password, totp)?;
        store.save()
    }

    /// Makes a token without a sign-in.
    ///
    /// # Errors
    /// Where there is no such account.
    pub fn issue_token(&self, email: &str) -> Result<Token, Error> {
        let mut store = self.store();
        let token = random_hex();
        store.accounts.find_mut(email)?.tokens.insert(token.clone());
        store.save()?;
        Ok(Token::new(token))
    }

    /// Takes all tokens of an account back, as signing out on all devices does. Open sync connections stay.
    ///
    /// # Errors
    /// Where there is no such account.
    pub fn revoke_tokens(&self, email: &str) -> Result<(), Error> {
        let mut store = self.store();
        store.accounts.find_mut(email)?.tokens.clear();
        store.save()
    }

    /// Lets the account's subscription expire, or renews it: `init` fails while it is expired.
    ///
    /// # Errors
    /// Where there is no such account.
    pub fn expire_subscription(&self, email: &str, expired: bool) -> Result<(), Error> {
        let mut store = self.store();
        store.accounts.find_mut(email)?.expired = expired;
        store.save()
    }

    /// Makes an empty vault. Deriving its key takes some 85 ms.
    ///
    /// # Errors
    /// Where there is no such account, or the id is taken or unusable.
    pub fn add_vault(&self, spec: VaultSpec) -> Result<VaultId, Error> {
        let owner = self.store().accounts.find(spec.owner_email())?.user;
        let (info, cipher) = spec.make(owner, self.now_millis())?;
        self.store().add_vault(info, Some(cipher))
    }

    /// Tells the service the password of a vault that a client made, or that was loaded from a
    /// data folder, so that it can be written to and read here.
    ///
    /// # Errors
    /// Where there is no such vault or the password is not its own.
    pub fn unlock(&self, vault: &VaultId, password: &Password) -> Result<(), Error> {
        self.store().unlock(vault, password)
    }

    /// Shares a vault with another account.
    ///
    /// # Errors
    /// Where there is no such vault or account.
    pub fn share(&self, vault: &VaultId, email: &str) -> Result<(), Error> {
        let mut store = self.store();
        let guest = store.accounts.find(email)?.user;
        store.vault_mut(vault)?.info.guests.insert(guest);
        store.save()
    }

    /// Replaces fields of the vault's entry in vault lists, such as `host` or `encryption_version`.
    ///
    /// # Errors
    /// Where there is no such vault, or `fields` is not an object.
    pub fn override_listing(&self, vault: &VaultId, fields: Value) -> Result<(), Error> {
        let Value::Object(fields) = fields else {
            return Err(Error::Invalid(
                "a list entry's fields are an object".to_owned(),
            ));
        };
        let mut store = self.store();
        store.vault_mut(vault)?.info.overrides = fields;
        store.save()
    }

    /// Removes a vault; its connections end.
    ///
    /// # Errors
    /// Where there is no such vault.
    pub fn remove_vault(&self, vault: &VaultId) -> Result<(), Error> {
        self.store().remove_vault(vault)
    }

    /// The vaults of this name, in the order of their ids.
    pub fn vaults_named(&self, name: &str) -> Vec<VaultId> {
        let store = self.store();
        let named = store.vaults().filter(|vault| vault.info.name == name);
        named.map(|vault| vault.info.id.clone()).collect()
    }

    /// The uid of the vault's newest record.
    ///
    /// # Errors
    /// Where there is no such vault.
    pub fn version(&self, vault: &VaultId) -> Result<VaultVersion, Error> {
        Ok(self.store().vault(vault)?.log.version())
    }

    /// Goes back to an earlier version, as after a restore from a backup; 0 empties the vault.
    /// Its connections end.
    ///
    /// # Errors
    /// Where there is no such vault.
    pub fn rollback(&self, vault: &VaultId, version: VaultVersion) -> Result<(), Error> {
        self.store().rollback(vault, version)
    }

    /// Drops superseded and deleted records of a vault with their content, as a client's `purge` does.
    ///
    /// # Errors
    /// Where there is no such vault.
    pub fn purge(&self, vault: &VaultId) -> Result<(), Error> {
        self.store().purge(vault)
    }

    /// Ends every sync connection, as a restart of the real service does.
    pub fn disconnect_all(&self) {
        self.store().disconnect();
    }

    /// Where the service listens, `127.0.0.1:PORT`; empty before it does.
    pub fn host(&self) -> String {
        self.0
            .host
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Makes vault lists name another host than the port that is listened on: a proxy in front.
    /// Set anew whenever the service starts to listen.
    pub fn set_host(&self, host: impl Into<String>) {
        *self.0.host.lock().unwrap_or_else(PoisonError::into_inner) = host.into();
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.0.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.0.pace
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.0.settings.clock)()
    }

    pub(crate) fn now_millis(&self) -> Millis {
        to_millis(self.now())
    }

    /// Notes an `OPTIONS` to the sign-in.
    pub(crate) fn add_preflight(&self) {
        *self
            .0
            .preflights
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += 1;
    }

    /// Uses up one such note.
    pub(crate) fn take_preflight(&self) -> bool {
        let mut preflights = self
            .0
            .preflights
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let there = *preflights > 0;
        *preflights = preflights.saturating_sub(1);
        there
    }

    /// What goes wrong at a point that concerns no record and no path.
    pub(crate) fn strike(&self, point: Point) -> Option<Action> {
        self.strike_at(point, None, None)
    }

    /// What goes wrong at a point.
    pub(crate) fn strike_at(
        &self,
        point: Point,
        uid: Option<obsidian_sync::Uid>,
        path: Option<&str>,
    ) -> Option<Action> {
        let sockets = self.0.counters.get().sockets_open;
        self.0.faults.strike(&Place {
            point,
            uid,
            path,
            sockets,
        })
    }
}

/// Milliseconds since the epoch; negative before it.
pub(crate) fn to_millis(time: SystemTime) -> Millis {
    let millis = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()),
        Err(before) => i64::try_from(before.duration().as_millis()).map(std::ops::Neg::neg),
    };
    Millis(millis.unwrap_or_default())
}
