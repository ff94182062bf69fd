//! Which vaults there are: asked once while the process is warm, and again when a name is not among
//! them.

use std::sync::Arc;

use obsidian_sync::rest::RestClient;
use obsidian_sync::{Millis, Vault};
use obsync_config::vaults::{VaultChoiceError, choose};
use obsync_config::{Account, Credentials, OpenError};
use obsync_core::clock::Clock;
use tokio::sync::Mutex;

use crate::access::Access;
use crate::answer::VaultError;
use crate::event::VaultRequest;
use crate::fresh::is_fresh;
use crate::tools::Tools;

/// The account's vaults, as they were last told.
pub(crate) struct Vaults {
    clock: Arc<dyn Clock>,
    kept: Mutex<Option<(Millis, Vec<Vault>)>>,
}

/// A vault of the account.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The vault.
    pub(crate) vault: Vault,
    /// Whether another one bears the same name.
    pub(crate) shared_name: bool,
}

impl Vaults {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            kept: Mutex::default(),
        }
    }

    /// Finds the vault that goes by an id or a name.
    ///
    /// # Errors
    /// When none or several do, or the service can't be asked.
    pub(crate) async fn find(
        &self,
        account: &Account,
        rest: &RestClient,
        wanted: &str,
    ) -> Result<Found, OpenError> {
        // Held while the service is asked: others who want the list wait for this one.
        let mut kept = self.kept.lock().await;
        if let Some((at, list)) = &*kept
            && is_fresh(*at, self.clock.now())
            && let Ok(found) = find(list, wanted)
        {
            return Ok(found);
        }
        let list = ask(account, rest).await?;
        let (_, list) = kept.insert((self.clock.now(), list));
        Ok(find(list, wanted)?)
    }

    /// All vaults.
    ///
    /// # Errors
    /// When the service can't be asked.
    pub(crate) async fn all(
        &self,
        account: &Account,
        rest: &RestClient,
    ) -> Result<Vec<Vault>, OpenError> {
        let mut kept = self.kept.lock().await;
        if let Some((at, list)) = &*kept
            && is_fresh(*at, self.clock.now())
        {
            return Ok(list.clone());
        }
        let list = ask(account, rest).await?;
        Ok(kept.insert((self.clock.now(), list)).1.clone())
    }

    /// Forgets the list: something of it proved wrong.
    pub(crate) async fn forget(&self) {
        *self.kept.lock().await = None;
    }
}

async fn ask(account: &Account, rest: &RestClient) -> Result<Vec<Vault>, OpenError> {
    let list = async |token| rest.vaults(&token).await;
    Ok(account.with_token(list).await?)
}

fn find(list: &[Vault], wanted: &str) -> Result<Found, VaultChoiceError> {
    let vault = choose(list, wanted)?;
    let same = list.iter().filter(|other| other.name == vault.name);
    Ok(Found {
        vault: vault.clone(),
        shared_name: same.count() > 1,
    })
}

/// The vaults whose password is known, of those there are.
///
/// `OBSIDIAN_VAULT_PASSWORD` is the password of one vault: it counts where only one is left that
/// has no other.
fn with_known_password<'a>(list: &'a [Vault], credentials: &Credentials) -> Vec<&'a Vault> {
    let known = |vault: &&Vault| {
        let own = credentials.of_vault(vault.id.as_str(), &vault.name);
        vault.managed_password.is_some() || own.is_some()
    };
    let (mut known, rest): (Vec<&Vault>, Vec<&Vault>) = list.iter().partition(known);
    match (&credentials.vault_password, rest.as_slice()) {
        (Some(_), [only]) => known.push(only),
        (Some(_), [_, _, ..]) => tracing::warn!(
            vaults = rest.len(),
            "OBSIDIAN_VAULT_PASSWORD is set, but it is not clear for which of these vaults: name \
             them in OBSYNC_VAULTS"
        ),
        _ => {}
    }
    known
}

/// The vaults of a schedule: those of `OBSYNC_VAULTS`, or all whose password is known.
///
/// # Errors
/// When there are none, or the service can't be asked.
pub(crate) async fn scheduled(
    tools: &Tools,
    access: Arc<Access>,
) -> Result<Vec<VaultRequest>, VaultError> {
    let request = |vault: &str| VaultRequest {
        vault: vault.to_owned(),
        password: None,
    };
    if let Some(vaults) = &tools.lambda.vaults {
        return Ok(vaults.value.iter().map(|vault| request(vault)).collect());
    }
    let all = tools.vaults.all(&access.account, &tools.rest).await;
    let all = all.map_err(|error| VaultError::from(&error))?;
    let known = with_known_password(&all, &access.settings.credentials);
    if known.is_empty() {
        let message = format!(
            "of the account's {} vaults there is none whose password is known",
            all.len()
        );
        return Err(VaultError::new("credentials_missing", message));
    }
    Ok(known
        .iter()
        .map(|vault| request(vault.id.as_str()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use obsidian_sync::{Millis, Password, VaultId};
    use obsync_config::Sourced;

    fn vault(id: &str, managed: bool) -> Vault {
        Vault {
            id: VaultId::new(id),
            name: format!("name of {id}"),
            host: String::new(),
            region: String::new(),
            salt: String::new(),
            encryption_version: 3,
            created: Millis(0),
            size: 0,
            managed_password: managed.then(|| Password::new("managed")),
            shared: false,
        }
    }

    #[test]
    fn a_schedule_takes_the_vaults_whose_password_is_known() {
        let list = [vault("a", true), vault("b", false), vault("c", false)];
        let given = |text: &str| Sourced::default_value(Password::new(text));
        let mut credentials = Credentials::default();
        let ids = |credentials: &Credentials| -> Vec<String> {
            let known = with_known_password(&list, credentials);
            let ids = known.iter().map(|vault| vault.id.to_string());
            ids.collect()
        };
        assert_eq!(ids(&credentials), ["a"]);
        credentials.vault_password = Some(given("which?"));
        assert_eq!(ids(&credentials), ["a"], "it may be either's");
        credentials.vaults = vec![("name of b".to_owned(), given("b"))];
        assert_eq!(ids(&credentials), ["a", "b", "c"]);
        credentials.vault_password = None;
        assert_eq!(ids(&credentials), ["a", "b"]);
    }

    #[test]
    fn a_name_that_several_bear_is_known_to_be_shared() {
        let mut list = [vault("a", true), vault("b", true), vault("c", true)];
        list[2].name = "name of a".to_owned();
        let shared = |id| find(&list, id).unwrap().shared_name;
        assert_eq!(["a", "b", "c"].map(shared), [true, false, true]);
    }
}
