//! Where a vault's files and state live: a folder and SQLite, or a bucket. Past this point a run does
//! not know which.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use obsidian_sync::Vault;
use obsync_config::find_vault;
use obsync_core::clock::{Clock as _, SystemClock};
use obsync_core::{Counts, Header, StateStore, StoreError, VaultStore};
use obsync_local::{About, FolderOptions, FolderStore, SqliteStateStore, Trash, destination};
use obsync_s3::{AwsCredentialProvider, Place, S3Home, S3Settings, Tried};

use crate::aws;
use crate::context::Context;
use crate::exit::{Exit, Failure};

/// A destination as the command line names it.
pub(crate) enum Site {
    Folder(PathBuf),
    S3(Box<Bucket>),
}

/// A place in a bucket, and how to get there.
pub(crate) struct Bucket {
    settings: S3Settings,
    place: Place,
    credentials: AwsCredentialProvider,
}

/// What a run may do at its home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// No lock and no lease is taken, and nothing is written.
    Read,
    Write,
}

/// Both stores of a vault.
pub(crate) struct Home {
    pub(crate) files: Arc<dyn VaultStore>,
    pub(crate) state: Arc<dyn StateStore>,
}

impl Site {
    /// Reads `--dest`. What is wrong with an S3 destination's settings is told here, where nobody
    /// was asked for anything yet.
    pub(crate) async fn new(dest: &Path, s3: bool, context: &Context) -> Result<Self, Failure> {
        let environment = &context.environment;
        let place = match dest.to_str().and_then(|text| text.strip_prefix("s3://")) {
            Some(rest) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let prefix = prefix.trim_matches('/');
                if bucket.is_empty() || prefix.is_empty() {
                    let message = format!("--dest {} names no place in a bucket", dest.display());
                    return Err(Failure::usage(message)
                        .hint("give bucket and prefix, as in s3://my-bucket/notes"));
                }
                Some((Some(bucket), Place::Prefix(prefix.to_owned())))
            }
            None if s3 || environment.get("AWS_LAMBDA_FUNCTION_NAME").is_some() => {
                let name = dest.file_name().and_then(|name| name.to_str());
                let name = name.ok_or_else(|| {
                    let message = format!("--dest {} names no folder", dest.display());
                    Failure::usage(message)
                        .hint("with S3_PREFIX, its last part is the vault's folder in the bucket")
                })?;
                Some((None, Place::Folder(name.to_owned())))
            }
            None => None,
        };
        let Some((bucket, place)) = place else {
            return Ok(Self::Folder(dest.to_owned()));
        };
        let variable = |name: &str| match (name, bucket) {
            ("S3_BUCKET", Some(bucket)) => Some(bucket.to_owned()),
            _ => aws::variable(environment, name),
        };
        let mut settings = S3Settings::from_variables(variable).map_err(unusable)?;
        if settings.region.is_none() {
            settings.region = aws::region().await;
        }
        settings.check().map_err(unusable)?;
        settings.trash = context.settings.trash.value;
        Ok(Self::S3(Box::new(Bucket {
            settings,
            place,
            credentials: aws::credentials(environment).await?,
        })))
    }

    /// The destination for people, checked as far as it can be without knowing the vault.
    pub(crate) fn location(&self) -> Result<String, StoreError> {
        match self {
            Self::Folder(dest) => Ok(FolderStore::open(dest, FolderOptions::default())?.location()),
            Self::S3(bucket) => {
                let name = &bucket.settings.bucket;
                Ok(match &bucket.place {
                    Place::Prefix(prefix) => format!("s3://{name}/{prefix}"),
                    Place::Folder(folder) => {
                        format!("s3://{name}/{}{folder}", bucket.settings.prefix)
                    }
                    Place::Usual => format!("s3://{name}/{}", bucket.settings.prefix),
                })
            }
        }
    }

    /// Opens a vault's home there. In a folder, writing takes the lock at once; in a bucket, the
    /// first effect takes the lease.
    pub(crate) async fn open(
        &self,
        context: &Context,
        vault: &Vault,
        access: Access,
    ) -> Result<Home, StoreError> {
        match self {
            Self::Folder(dest) => open_folder(dest, context, vault, access),
            Self::S3(bucket) => bucket.open(vault).await,
        }
    }
}

fn open_folder(
    dest: &Path,
    context: &Context,
    vault: &Vault,
    access: Access,
) -> Result<Home, StoreError> {
    let trash = context
        .settings
        .trash
        .value
        .then(|| Trash::new(&context.state_dir().trash(&vault.id), SystemClock.now()));
    let options = FolderOptions {
        vault_id: Some(vault.id.clone()),
        trash,
        ..FolderOptions::default()
    };
    let files = FolderStore::open(dest, options)?;
    let about = About::new(&vault.id, &vault.name, destination(dest));
    let paths = context.state_dir().state(&about);
    let state = match access {
        Access::Read => SqliteStateStore::open_read_only(&paths),
        Access::Write => {
            let state = SqliteStateStore::open(&paths, &about)?;
            files.lock()?;
            state
        }
    };
    Ok(Home {
        files: Arc::new(files),
        state: Arc::new(state),
    })
}

impl Bucket {
    /// Tries whether a run could work there; each try takes at most `patience`.
    pub(crate) async fn probe(&self, patience: Duration) -> Result<Vec<Tried>, StoreError> {
        let prefix = match &self.place {
            Place::Prefix(prefix) => format!("{}/", prefix.trim_matches('/')),
            Place::Folder(folder) => format!("{}{folder}/", self.settings.prefix),
            Place::Usual => self.settings.prefix.clone(),
        };
        let credentials = Arc::clone(&self.credentials);
        obsync_s3::probe(&self.settings, credentials, &prefix, patience).await
    }

    /// What a vault's state there says, and whether a run works on it just now.
    pub(crate) async fn look(&self, vault: &Vault) -> Result<(Header, Counts, bool), StoreError> {
        let state = self.home(vault).await?.state;
        let (header, counts) = (state.header().await?, state.counts().await?);
        Ok((header, counts, state.is_leased().await?))
    }

    async fn open(&self, vault: &Vault) -> Result<Home, StoreError> {
        let home = self.home(vault).await?;
        Ok(Home {
            files: Arc::new(home.files),
            state: Arc::new(home.state),
        })
    }

    async fn home(&self, vault: &Vault) -> Result<S3Home, StoreError> {
        let about = obsync_s3::About {
            vault: vault.id.clone(),
            name: vault.name.clone(),
            // Only matters where the vault's own name is the place.
            shared_name: false,
            place: self.place.clone(),
        };
        let credentials = Arc::clone(&self.credentials);
        let clock = Arc::new(SystemClock);
        S3Home::open(&self.settings, &about, credentials, clock).await
    }

    /// Opens the home of a vault that the account finds by its id or name: which state in the bucket
    /// is its own, only the id tells.
    pub(crate) async fn find(
        &self,
        context: &Context,
        wanted: &str,
    ) -> Result<(Vault, Home), Failure> {
        let vault = find_vault(&context.account, &context.rest, wanted).await?;
        let home = self.open(&vault).await?;
        Ok((vault, home))
    }
}

fn unusable(error: StoreError) -> Failure {
    Failure::new(Exit::Usage, "settings", error.message)
}
