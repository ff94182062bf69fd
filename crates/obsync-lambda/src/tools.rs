//! [`Tools`]: what a process sets up once and all its invocations use. Making it asks nobody.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use obsidian_sync::VaultId;
use obsidian_sync::rest::{RestClient, RestDeadlines};
use obsync_config::{
    CombinedText, Environment, Flags, LambdaSettings, Settings, VaultKeys, env_vars,
};
use obsync_core::clock::SystemClock;
use obsync_core::{StoreError, SyncOptions};
use obsync_s3::{EnvironmentCredentials, S3Homes, S3Settings};

use crate::answer::VaultError;
use crate::options::sync_options;
use crate::vaults::Vaults;

/// How obsync calls itself to the service.
pub(crate) const USER_AGENT: &str = concat!("obsync-lambda/", env!("CARGO_PKG_VERSION"));

/// Lambda's variable with the function's memory in MB.
const MEMORY_SIZE: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";

/// What lives as long as the process.
pub(crate) struct Tools {
    /// The variables, with a place for the token added.
    environment: Environment,
    /// What only a function is told.
    pub(crate) lambda: LambdaSettings,
    /// The options of every run.
    pub(crate) options: SyncOptions,
    /// The account API, with its connections.
    pub(crate) rest: RestClient,
    /// The bucket, with its connections and the states in memory.
    pub(crate) homes: S3Homes,
    /// The account's vaults.
    pub(crate) vaults: Vaults,
    /// Keys that were derived.
    pub(crate) keys: VaultKeys,
    /// One run at a time on each vault.
    pub(crate) turns: Turns,
    /// The function's memory in bytes.
    pub(crate) memory: u64,
}

impl Tools {
    /// Reads the settings and sets everything up. `tmp` is the one folder that can be written to.
    ///
    /// # Errors
    /// When a setting makes no sense, or one that is needed is missing.
    pub(crate) fn new(environment: Environment, tmp: &Path) -> Result<Self, VaultError> {
        let environment = with_state_dir(environment, tmp);
        let lambda =
            LambdaSettings::load(&environment).map_err(|error| VaultError::from(&error))?;
        // Without the secret: what it holds is not needed yet.
        let settings = Settings::load(&Flags::default(), &environment)
            .map_err(|error| VaultError::from(&error))?;
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        let mut options = sync_options(&settings, usize::from(lambda.connections.value))
            .map_err(|error| VaultError::from(&error))?;
        options.batch_size = lambda.batch_size.value as usize;
        let memory = memory(&environment)?;
        // State and plan want the rest.
        options.most_backlog = memory / 2;

        let variable = |name: &str| Some(environment.get(name)?.to_str()?.to_owned());
        let mut s3 = S3Settings::from_variables(variable).map_err(|error| unusable(&error))?;
        s3.trash = settings.trash.value;
        let credentials = EnvironmentCredentials::from_variables(variable).ok_or_else(|| {
            VaultError::new(
                "settings",
                "there are no AWS credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not \
                 set; Lambda sets them for a function that has an execution role",
            )
        })?;
        let homes = S3Homes::new(&s3, Arc::new(credentials), Arc::new(SystemClock));
        let api_url = settings.api_url.value;
        let rest = RestClient::new(api_url, USER_AGENT, RestDeadlines::default());
        Ok(Self {
            memory,
            lambda,
            options,
            rest: rest.map_err(|error| VaultError::from(&error))?,
            homes: homes.map_err(|error| unusable(&error))?,
            vaults: Vaults::new(Arc::new(SystemClock)),
            keys: VaultKeys::default(),
            turns: Turns::default(),
            environment,
        })
    }

    /// The settings, with the credentials of a secret that was fetched.
    ///
    /// # Errors
    /// When the secret is malformed.
    pub(crate) fn settings(&self, secret: Option<&CombinedText>) -> Result<Settings, VaultError> {
        Settings::load_with(&Flags::default(), &self.environment, secret)
            .map_err(|error| VaultError::from(&error))
    }

    /// Loads the states of the vaults that the function is set up for.
    pub(crate) async fn preload(&self) {
        let mut known = match self.homes.known().await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, "the states could not be loaded yet");
                return;
            }
        };
        if let Some(wanted) = &self.lambda.vaults {
            let is_wanted = |id: &VaultId| wanted.value.iter().any(|wanted| wanted == id.as_str());
            // Which vault a name means only the service knows.
            let only_ids = wanted
                .value
                .iter()
                .all(|wanted| known.iter().any(|id| id.as_str() == wanted));
            if only_ids {
                known.retain(is_wanted);
            }
        }
        // As a document, a state takes less than half of what it takes once read.
        self.homes.preload(&known, self.memory / 16).await;
        tracing::debug!(states = known.len(), "loaded states");
    }

    /// All variables.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// A function has no home; what it may keep lies in its temporary folder.
fn with_state_dir(environment: Environment, tmp: &Path) -> Environment {
    if environment.get(env_vars::OBSYNC_STATE_DIR).is_some() {
        return environment;
    }
    environment.with(env_vars::OBSYNC_STATE_DIR, tmp.join("obsync"))
}

fn memory(environment: &Environment) -> Result<u64, VaultError> {
    let text = environment
        .text(MEMORY_SIZE)
        .map_err(|error| VaultError::from(&error))?;
    let text = text.unwrap_or("128");
    let megabytes: u64 = text.parse().map_err(|_| {
        let message = format!("{MEMORY_SIZE} must be a number of MB, not '{text}'");
        VaultError::new("settings", message)
    })?;
    Ok(megabytes * 1024 * 1024)
}

fn unusable(error: &StoreError) -> VaultError {
    VaultError::new("settings", error.to_string())
}

/// A turn for each vault: of two runs on one vault in this process, the second comes after the first.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<VaultId, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits until nobody else in this process works on the vault.
    pub(crate) async fn wait(&self, vault: &VaultId) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(vault.clone()).or_default())
        };
        turn.lock_owned().await
    }

    /// Whether this process has worked on several vaults.
    pub(crate) fn are_many(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [(&str, &str); 5] = [
        ("S3_BUCKET", "notes"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hidden key"),
        (MEMORY_SIZE, "512"),
    ];

    fn tools(changes: &[(&str, &str)]) -> Result<Tools, VaultError> {
        let variables = WHOLE.iter().chain(changes);
        Tools::new(variables.copied().collect(), Path::new("/tmp"))
    }

    #[test]
    fn everything_is_set_up_from_the_environment() {
        let tools = tools(&[("LAMBDA_MAX_CONCURRENT", "5"), ("LAMBDA_BATCH_SIZE", "7")]).unwrap();
        assert_eq!(tools.memory, 512 << 20);
        assert_eq!(
            (tools.options.connections, tools.options.batch_size),
            (5, 7)
        );
        let settings = tools.settings(None).unwrap();
        assert_eq!(settings.state_dir.value, Path::new("/tmp/obsync"));
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_named() {
        for (name, value) in [
            ("S3_BUCKET", ""),
            ("S3_SSE", "DES"),
            ("AWS_REGION", ""),
            ("AWS_SECRET_ACCESS_KEY", ""),
            ("LAMBDA_BATCH_SIZE", "many"),
            ("OBSIDIAN_API_URL", "http://example.org"),
            (MEMORY_SIZE, "much"),
        ] {
            let changed: Environment = WHOLE
                .iter()
                .filter(|(known, _)| *known != name)
                .chain(&[(name, value)])
                .copied()
                .collect();
            let error = Tools::new(changed, Path::new("/tmp")).err().unwrap();
            assert!(error.message.contains(name), "{error:?}");
            assert_eq!((error.kind, error.retryable), ("settings", false));
        }
    }

    #[tokio::test]
    async fn the_second_on_a_vault_waits_for_the_first() {
        let turns = Arc::new(Turns::default());
        let (one, other) = (VaultId::new("one"), VaultId::new("other"));
        let first = turns.wait(&one).await;
        assert!(!turns.are_many());
        let _beside = turns.wait(&other).await;
        assert!(turns.are_many());
        let second = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { drop(turns.wait(&one).await) }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap();
    }
}
