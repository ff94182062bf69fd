//! The REST calls (protocol section 1): JSON in, JSON or the service's word of refusal out.

use obsidian_sync::VaultId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::accounts::Account;
use crate::error::Error;
use crate::service::Service;
use crate::vault::{VaultInfo, VaultSpec, random_hex};

/// The one region there is.
pub(crate) const REGION: &str = "local";

/// Why a call is refused: what stands in `error`.
#[derive(Debug)]
pub(crate) struct Refused(pub String);

impl From<&str> for Refused {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::NoVault(_) => "Vault not found.".into(),
            other => Self(other.to_string()),
        }
    }
}

type Answer = Result<Value, Refused>;

/// Answers one call; `None` where there is no such path.
pub(crate) async fn answer(service: &Service, path: &str, body: Value) -> Option<Answer> {
    Some(match path {
        "/user/signin" => sign_in(service, body),
        "/user/signout" => sign_out(service, body),
        "/user/info" => user_info(service, body),
        "/vault/regions" => regions(service, body),
        "/vault/list" => list(service, body),
        "/vault/create" => create(service, body).await,
        "/vault/access" => access(service, body),
        _ => return None,
    })
}

#[derive(Deserialize)]
struct SignIn {
    email: String,
    password: String,
    // Clients always send it, "" where they have no code.
    mfa: String,
}

fn sign_in(service: &Service, body: Value) -> Answer {
    service.counters().get().sign_in_attempts += 1;
    let SignIn {
        email,
        password,
        mfa,
    } = read(body)?;
    let now = service.now();
    let mut store = service.store();
    let token = random_hex();
    let account = store
        .accounts
        .sign_in(&email, &password, &mfa, now, token.clone())
        .map_err(|refusal| Refused::from(refusal.0))?;
    let answer =
        json!({"token": token, "name": account.name, "email": account.email, "license": ""});
    store.save()?;
    service.counters().get().sign_ins += 1;
    Ok(answer)
}

#[derive(Deserialize)]
struct WithToken {
    token: String,
}

fn sign_out(service: &Service, body: Value) -> Answer {
    let WithToken { token } = read(body)?;
    let mut store = service.store();
    account(&store.accounts, &token)?;
    store.accounts.sign_out(&token);
    store.save()?;
    Ok(json!({}))
}

fn user_info(service: &Service, body: Value) -> Answer {
    let WithToken { token } = read(body)?;
    let store = service.store();
    let account = account(&store.accounts, &token)?;
    Ok(json!({
        "uid": account.user.to_string(),
        "name": account.name,
        "email": account.email,
        "mfa": account.totp.is_some(),
        "license": "",
    }))
}

fn regions(service: &Service, body: Value) -> Answer {
    let WithToken { token } = read(body)?;
    account(&service.store().accounts, &token)?;
    Ok(json!({"regions": [{"value": REGION, "name": "This machine"}]}))
}

#[derive(Deserialize)]
struct List {
    token: String,
    // An older client does not send it, and does not see vaults that it could not read.
    #[serde(default)]
    supported_encryption_version: u64,
}

fn list(service: &Service, body: Value) -> Answer {
    let List {
        token,
        supported_encryption_version,
    } = read(body)?;
    let store = service.store();
    let user = account(&store.accounts, &token)?.user;
    let host = service.host();
    let (mut vaults, mut shared) = (Vec::new(), Vec::new());
    for vault in store.vaults() {
        let info = &vault.info;
        if info.encryption_version > supported_encryption_version || !info.is_open_to(user) {
            continue;
        }
        let entry = info.to_json(&host, vault.log.size());
        if info.owner == user {
            vaults.push(entry);
        } else {
            shared.push(entry);
        }
    }
    Ok(json!({"vaults": vaults, "shared": shared}))
}

#[derive(Deserialize)]
struct Create {
    token: String,
    name: String,
    keyhash: Option<String>,
    salt: Option<String>,
    region: String,
    encryption_version: u64,
}

async fn create(service: &Service, body: Value) -> Answer {
    let Create {
        token,
        name,
        keyhash,
        salt,
        region,
        encryption_version,
    } = read(body)?;
    let (owner, email) = {
        let store = service.store();
        let account = account(&store.accounts, &token)?;
        (account.user, account.email.clone())
    };
    if name.trim().is_empty() {
        return Err("Vault name is required.".into());
    }
    if !region.is_empty() && region != REGION {
        return Err("Unknown region.".into());
    }
    let version = obsidian_sync::EncryptionVersion::from_number(encryption_version)
        .ok_or_else(|| Refused::from("Encryption version not supported."))?;
    let created = service.now_millis();
    let (info, cipher) = match (keyhash, salt) {
        (None, None) => {
            let spec = VaultSpec::managed(name, email).version(version);
            let made = tokio::task::spawn_blocking(move || spec.make(owner, created)).await;
            let (info, cipher) = made.map_err(|error| Refused(error.to_string()))??;
            (info, Some(cipher))
        }
        (Some(keyhash), Some(salt)) if is_keyhash(&keyhash) && !salt.is_empty() => {
            let info = VaultInfo {
                id: VaultId::new(random_hex()),
                name,
                owner,
                guests: std::collections::BTreeSet::new(),
                keyhash,
                password: None,
                salt,
                encryption_version,
                region: REGION.to_owned(),
                created,
                floor: 0,
                overrides: Map::new(),
            };
            (info, None)
        }
        _ => return Err("keyhash and salt are both null, or 64 hex digits and a text.".into()),
    };
    let entry = info.to_json(&service.host(), 0);
    service.store().add_vault(info, cipher)?;
    Ok(entry)
}

#[derive(Deserialize)]
struct Access {
    token: String,
    vault_uid: VaultId,
    keyhash: String,
    host: String,
    encryption_version: u64,
}

fn access(service: &Service, body: Value) -> Answer {
    let Access {
        token,
        vault_uid,
        keyhash,
        host,
        encryption_version,
    } = read(body)?;
    let store = service.store();
    let user = account(&store.accounts, &token)?.user;
    let vault = store.vault(&vault_uid)?;
    if !vault.info.is_open_to(user) {
        return Err("Vault not found.".into());
    }
    let listed = vault.info.to_json(&service.host(), 0);
    if listed["host"] != host {
        return Err("The vault is on another host.".into());
    }
    if listed["encryption_version"] != encryption_version || vault.info.keyhash != keyhash {
        return Err("Incorrect encryption password.".into());
    }
    Ok(json!({}))
}

fn read<T: DeserializeOwned>(body: Value) -> Result<T, Refused> {
    serde_json::from_value(body).map_err(|error| Refused(format!("Bad request: {error}")))
}

fn account<'a>(
    accounts: &'a crate::accounts::Accounts,
    token: &str,
) -> Result<&'a Account, Refused> {
    accounts
        .by_token(token)
        .ok_or_else(|| "Not logged in".into())
}

pub(crate) fn is_keyhash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
