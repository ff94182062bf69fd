//! [`S3Home`]: both stores of one vault, set up together.

use std::sync::Arc;

use object_store::aws::AwsCredentialProvider;
use object_store::path::Path;
use obsidian_sync::VaultId;
use obsync_core::clock::Clock;
use obsync_core::{StoreError, StoreErrorKind};
use sha2::Digest as _;

use crate::bucket::Bucket;
use crate::homes::S3Homes;
use crate::keys;
use crate::objects::S3VaultStore;
use crate::prefix::folder_name;
use crate::register::Register;
use crate::settings::{S3Settings, folder};
use crate::state::S3StateStore;

/// Where in the bucket a vault's files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Below `S3_PREFIX`, in a folder with the vault's name: the usual one.
    Usual,
    /// Below `S3_PREFIX`, in a folder with this name.
    Folder(String),
    /// Right below this prefix.
    Prefix(String),
}

/// Whose home it is.
#[derive(Debug, Clone)]
pub struct About {
    /// The vault.
    pub vault: VaultId,
    /// Its name when it was last seen.
    pub name: String,
    /// Whether another vault of the account bears the same name.
    pub shared_name: bool,
    /// Where its files lie.
    pub place: Place,
}

/// Both stores of one vault. They share one lease, which the first effect of either takes.
#[derive(Debug, Clone)]
pub struct S3Home {
    /// The files.
    pub files: S3VaultStore,
    /// The state.
    pub state: S3StateStore,
}

impl S3Home {
    /// Opens a vault's home for one run: reads its state, and writes nothing. Whoever opens more than
    /// once keeps [`S3Homes`].
    ///
    /// # Errors
    /// When the settings make no sense, the bucket can't be read, or the state is damaged or of a
    /// newer obsync.
    pub async fn open(
        settings: &S3Settings,
        about: &About,
        credentials: AwsCredentialProvider,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        S3Homes::new(settings, credentials, clock)?
            .open(about)
            .await
    }
}

/// A prefix that can hold a vault and nothing else: `mirror` would remove states that lie in it.
pub(crate) fn check_prefix(settings: &S3Settings, prefix: &str) -> Result<(), StoreError> {
    plain_key(prefix.trim_end_matches('/'))?;
    let states = folder(&settings.state_prefix);
    if !states.starts_with(prefix) {
        return Ok(());
    }
    let what = format!(
        "the vault's files at 's3://{0}/{prefix}' would lie around the states at \
         's3://{0}/{states}': give the files a prefix of their own, or set S3_STATE_PREFIX",
        settings.bucket
    );
    Err(StoreError::new(StoreErrorKind::Unusable, what))
}

/// The prefix of a vault that has none yet.
pub(crate) async fn choose(
    bucket: &Bucket,
    settings: &S3Settings,
    about: &About,
) -> Result<String, StoreError> {
    let below = folder(&settings.prefix);
    let vault = about.vault.as_str();
    let name = match &about.place {
        Place::Prefix(prefix) => return Ok(folder(prefix)),
        Place::Folder(name) => {
            return Ok(format!(
                "{below}{}",
                folder(folder_name(name, vault, false))
            ));
        }
        Place::Usual => &about.name,
    };
    let plain = format!("{below}{}/", folder_name(name, vault, about.shared_name));
    if owner(bucket, &plain)
        .await?
        .is_none_or(|owner| owner == vault)
    {
        return Ok(plain);
    }
    Ok(format!("{below}{}/", folder_name(name, vault, true)))
}

/// The id of the vault whose mark a prefix bears.
async fn owner(bucket: &Bucket, prefix: &str) -> Result<Option<String>, StoreError> {
    let key = plain_key(&format!("{prefix}{}id.json", keys::OWN_FOLDER))?;
    let read = bucket.read(&key, None).await;
    let read = read.map_err(|fault| bucket.error(fault, "s3:GetObject", key.as_ref()))?;
    Ok(read.and_then(|read| {
        let value: serde_json::Value = serde_json::from_slice(&read.bytes).ok()?;
        let (vault, _) = value.get("mark")?.as_str()?.rsplit_once('/')?;
        Some(vault.to_owned())
    }))
}

/// The documents of a vault's usual place, or of one beside it: state, status, lease.
pub(crate) fn registers(
    bucket: &Bucket,
    settings: &S3Settings,
    about: &About,
) -> Result<[Register; 3], StoreError> {
    let usual = Place::Folder(about.name.clone());
    let beside = match &about.place {
        Place::Usual => String::new(),
        place if *place == usual => String::new(),
        Place::Folder(name) => beside(&format!("{}{name}", folder(&settings.prefix))),
        Place::Prefix(prefix) => beside(prefix.trim_matches('/')),
    };
    registers_at(bucket, settings, &about.vault, &beside)
}

/// The documents of a vault's usual place.
pub(crate) fn usual_registers(
    bucket: &Bucket,
    settings: &S3Settings,
    vault: &VaultId,
) -> Result<[Register; 3], StoreError> {
    registers_at(bucket, settings, vault, "")
}

fn registers_at(
    bucket: &Bucket,
    settings: &S3Settings,
    vault: &VaultId,
    beside: &str,
) -> Result<[Register; 3], StoreError> {
    let vault = vault.as_str();
    // An id is the service's word: it must not lead elsewhere.
    if !is_id(vault) {
        let what = format!("'{}' is no vault id", obsync_core::escape_name(vault));
        return Err(StoreError::new(StoreErrorKind::Unusable, what));
    }
    let base = format!("{}{vault}{beside}", folder(&settings.state_prefix));
    let register = |end: &str| Ok(Register::new(bucket, plain_key(&format!("{base}{end}"))?));
    Ok([
        register(".json")?,
        register(".status.json")?,
        register(".lease.json")?,
    ])
}

fn is_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !text.is_empty() && text.chars().all(plain)
}

/// The vault whose usual state has this name below the state prefix, if it is such a one.
pub(crate) fn vault_of_state(name: &str) -> Option<VaultId> {
    let id = name.strip_suffix(".json").filter(|id| is_id(id))?;
    let beside = id.rsplit_once('-').is_some_and(|(_, end)| {
        end.len() == 8 && end.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
    });
    (!beside).then(|| VaultId::new(id))
}

/// The vault whose usual status has this name below the state prefix, if it is such a one.
pub(crate) fn vault_of_status(name: &str) -> Option<VaultId> {
    let id = name.strip_suffix(".status.json")?;
    vault_of_state(&format!("{id}.json"))
}

/// Another destination than the usual one has a state of its own.
fn beside(prefix: &str) -> String {
    format!("-{}", hex::encode(&sha2::Sha256::digest(prefix)[..4]))
}

fn plain_key(text: &str) -> Result<Path, StoreError> {
    keys::exact(text).map_err(|problem| {
        let what = format!("'{}': {problem}", obsync_core::escape_name(text));
        StoreError::new(StoreErrorKind::Unusable, what)
    })
}
