//! [`Settings`]: what obsync is told, gathered from all layers.
//!
//! Later layers win: defaults, config file, combined credentials, environment, flags. A list
//! from a later layer replaces the earlier one's.

use std::path::PathBuf;

use serde_json::{Value, json};
use url::Url;

use crate::credentials::{CombinedText, Credentials};
use crate::environment::Environment;
use crate::error::ConfigError;
use crate::keys::{self, Key};
use crate::layers::{ConfigFile, Flags, Layers};
use crate::origin::Sourced;
use crate::values::{self, Groups, LogFormat, LogLevel, Mode};

/// All settings, each with its origin.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "each is the config key of the same name; see `keys`"
)]
pub struct Settings {
    /// The config file that was read, or would be; `None` when there is no home to look in.
    pub config_file: Option<Sourced<PathBuf>>,
    pub state_dir: Sourced<PathBuf>,
    pub api_url: Sourced<Url>,
    pub credentials_file: Option<Sourced<PathBuf>>,
    /// `None`: the host's name.
    pub device: Option<Sourced<String>>,
    pub mode: Sourced<Mode>,
    pub include: Sourced<Vec<String>>,
    pub exclude: Sourced<Vec<String>>,
    pub exclude_folders: Sourced<Vec<String>>,
    pub file_types: Sourced<Groups>,
    pub configs: Sourced<Groups>,
    /// A number or a percentage, in the engine's words; `None`: the engine's choice.
    pub max_delete: Option<Sourced<String>>,
    pub trash: Sourced<bool>,
    pub connections: Sourced<u8>,
    pub batch_size: Sourced<u32>,
    pub log_level: Sourced<LogLevel>,
    pub log_format: Sourced<LogFormat>,
    /// Who signs in, and vault passwords.
    pub credentials: Credentials,
    /// What a person should know, and what stops nothing.
    pub warnings: Vec<String>,
}

/// One line of `config show`.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The key.
    pub key: String,
    /// The value; a secret is only said to be set or not.
    pub value: Value,
    /// Where it came from.
    pub origin: String,
}

impl Settings {
    /// Gathers the settings. Reads the config file, the combined credentials file and files that
    /// hold one secret; nothing else.
    ///
    /// # Errors
    /// When a file can't be read or is malformed, or a value is not what it must be.
    pub fn load(flags: &Flags, environment: &Environment) -> Result<Self, ConfigError> {
        Self::load_with(flags, environment, None)
    }

    /// As [`Settings::load`], with combined credentials that were fetched. They stand where the
    /// file would: above the config file, below the environment.
    ///
    /// # Errors
    /// As [`Settings::load`]; also when a credentials file is named besides.
    pub fn load_with(
        flags: &Flags,
        environment: &Environment,
        fetched: Option<&CombinedText>,
    ) -> Result<Self, ConfigError> {
        let file = ConfigFile::read(flags, environment)?;
        let layers = Layers {
            file: &file,
            environment,
            flags,
        };
        let mut warnings = environment.unknown();
        let credentials_file = layers.path(&keys::CREDENTIALS_FILE)?;
        let file_of_credentials = credentials_file.as_ref();
        let credentials =
            Credentials::gather(&layers, file_of_credentials, fetched, &mut warnings)?;
        Ok(Self {
            state_dir: state_dir(&layers)?,
            api_url: api_url(&layers)?,
            device: layers.pick(&keys::DEVICE, values::text)?,
            mode: layers.pick_or(&keys::MODE, Mode::Pull, |raw| values::mode(&raw))?,
            include: layers.pick_or(&keys::INCLUDE, Vec::new(), values::list)?,
            exclude: layers.pick_or(&keys::EXCLUDE, Vec::new(), values::list)?,
            exclude_folders: layers.pick_or(&keys::EXCLUDE_FOLDERS, Vec::new(), values::list)?,
            file_types: layers.pick_or(&keys::FILE_TYPES, Groups::All, values::groups)?,
            configs: layers.pick_or(&keys::CONFIGS, Groups::All, values::groups)?,
            max_delete: layers.pick(&keys::MAX_DELETE, values::text)?,
            trash: layers.pick_or(&keys::TRASH, true, |raw| values::truth(&raw))?,
            connections: number(&layers, &keys::CONNECTIONS, 4, values::MAX_CONNECTIONS)?,
            batch_size: number(&layers, &keys::BATCH_SIZE, 50, 10_000)?,
            log_level: layers.pick_or(&keys::LOG_LEVEL, LogLevel::Info, |raw| {
                values::log_level(&raw)
            })?,
            log_format: layers.pick_or(&keys::LOG_FORMAT, LogFormat::Text, |raw| {
                values::log_format(&raw)
            })?,
            config_file: file.path,
            credentials_file,
            credentials,
            warnings,
        })
    }

    /// All settings for `config show`, in the order of the docs; no secret among them.
    pub fn shown(&self) -> Vec<Shown> {
        fn line<T: serde::Serialize>(key: &Key, value: &Sourced<T>) -> Shown {
            let origin = value.origin.to_string();
            Shown {
                key: key.name.to_owned(),
                value: json!(value.value),
                origin,
            }
        }
        fn maybe<T: serde::Serialize>(key: &Key, value: Option<&Sourced<T>>) -> Shown {
            value.map_or_else(|| unset(key.name), |value| line(key, value))
        }
        let mut shown = vec![
            maybe(&keys::EMAIL, self.credentials.email.as_ref()),
            maybe(&keys::CREDENTIALS_FILE, self.credentials_file.as_ref()),
            line(&keys::STATE_DIR, &self.state_dir),
            line(&keys::API_URL, &self.api_url),
            maybe(&keys::DEVICE, self.device.as_ref()),
            line(&keys::MODE, &self.mode),
            line(&keys::INCLUDE, &self.include),
            line(&keys::EXCLUDE, &self.exclude),
            line(&keys::EXCLUDE_FOLDERS, &self.exclude_folders),
            line(&keys::FILE_TYPES, &self.file_types),
            line(&keys::CONFIGS, &self.configs),
            maybe(&keys::MAX_DELETE, self.max_delete.as_ref()),
            line(&keys::TRASH, &self.trash),
            line(&keys::CONNECTIONS, &self.connections),
            line(&keys::BATCH_SIZE, &self.batch_size),
            line(&keys::LOG_LEVEL, &self.log_level),
            line(&keys::LOG_FORMAT, &self.log_format),
        ];
        shown.extend(
            self.credentials
                .secrets()
                .into_iter()
                .map(|(key, origin)| match origin {
                    Some(origin) => Shown {
                        key,
                        value: json!("(set)"),
                        origin: origin.to_string(),
                    },
                    None => unset(&key),
                }),
        );
        shown
    }
}

fn unset(key: &str) -> Shown {
    Shown {
        key: key.to_owned(),
        value: Value::Null,
        origin: "not set".to_owned(),
    }
}

fn state_dir(layers: &Layers<'_>) -> Result<Sourced<PathBuf>, ConfigError> {
    if let Some(named) = layers.path(&keys::STATE_DIR)? {
        return Ok(named);
    }
    layers
        .environment
        .usual_state_dir()
        .map(Sourced::default_value)
        .ok_or_else(|| {
            ConfigError::invalid("there is no place for state: no home folder is known")
                .hint("set OBSYNC_STATE_DIR, or HOME")
        })
}

fn api_url(layers: &Layers<'_>) -> Result<Sourced<Url>, ConfigError> {
    let parse = |raw| {
        let expected = "an https:// URL, or an http:// URL on this machine (loopback)";
        obsidian_sync::host::api_base(&values::text(raw)?).map_err(|_| expected.to_owned())
    };
    if let Some(url) = layers.pick(&keys::API_URL, parse)? {
        return Ok(url);
    }
    let usual = obsidian_sync::host::api_base(obsidian_sync::rest::API_BASE);
    Ok(Sourced::default_value(
        usual.expect("the real service's base is a valid one"),
    ))
}

fn number<T: TryFrom<u64> + Into<u64> + Copy>(
    layers: &Layers<'_>,
    key: &Key,
    default: T,
    most: T,
) -> Result<Sourced<T>, ConfigError> {
    layers.pick_or(key, default, |raw| {
        let number = values::number(&raw, 1, most.into())?;
        T::try_from(number).map_err(|_| format!("a number from 1 to {}", most.into()))
    })
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
