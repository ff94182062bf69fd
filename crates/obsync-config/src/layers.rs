//! The layers a setting can come from, as raw values: config file, environment, flags.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::env_vars::OBSYNC_CONFIG;
use crate::environment::Environment;
use crate::error::{ConfigError, ConfigErrorKind};
use crate::json::{Raw, Text};
use crate::keys::{self, Key};
use crate::origin::{Origin, Sourced};
use crate::values::Expected;

/// What the command line says. Values stay text, so that all layers are read by the same rules.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the flag of the same name; see `keys`")]
pub struct Flags {
    pub config: Option<PathBuf>,
    pub email: Option<String>,
    pub device: Option<String>,
    pub mode: Option<String>,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    pub exclude_folders: Vec<String>,
    pub file_types: Option<String>,
    pub configs: Option<String>,
    pub max_delete: Option<String>,
    pub connections: Option<String>,
    pub no_trash: bool,
    pub log_level: Option<String>,
    pub log_format: Option<String>,
}

impl Flags {
    fn raw(&self, key: &Key) -> Option<Raw> {
        let text = |value: &Option<String>| value.clone().map(Raw::Text);
        let list = |values: &Vec<String>| (!values.is_empty()).then(|| Raw::List(values.clone()));
        match key.name {
            "email" => text(&self.email),
            "device" => text(&self.device),
            "mode" => text(&self.mode),
            "include" => list(&self.include),
            "exclude" => list(&self.exclude),
            "exclude_folders" => list(&self.exclude_folders),
            "file_types" => text(&self.file_types),
            "configs" => text(&self.configs),
            "max_delete" => text(&self.max_delete),
            "connections" => text(&self.connections),
            "trash" => self.no_trash.then(|| Raw::Text("false".to_owned())),
            "log_level" => text(&self.log_level),
            "log_format" => text(&self.log_format),
            _ => None,
        }
    }
}

/// The config file that is read, or would be: the one that the flag or the variable names, else the
/// one in the usual place. `None` when there is no home to look in.
pub fn config_file(flags: &Flags, environment: &Environment) -> Option<Sourced<PathBuf>> {
    if let Some(path) = &flags.config {
        return Some(Sourced::new(path.clone(), Origin::Flag("--config")));
    }
    if let Some(path) = environment.get(OBSYNC_CONFIG) {
        let path = environment.at_home(path);
        return Some(Sourced::new(path, Origin::Variable(OBSYNC_CONFIG)));
    }
    environment.usual_config_file().map(Sourced::default_value)
}

/// The config file that is used, and what it holds.
pub(crate) struct ConfigFile {
    /// Where it is, or would be. `None` when there is no home to look in.
    pub(crate) path: Option<Sourced<PathBuf>>,
    values: HashMap<&'static str, Sourced<Raw>>,
}

impl ConfigFile {
    /// Reads it. Only the one in the usual place may be missing.
    pub(crate) fn read(flags: &Flags, environment: &Environment) -> Result<Self, ConfigError> {
        let path = config_file(flags, environment);
        let mut values = HashMap::new();
        if let Some(Sourced {
            value: path,
            origin,
        }) = &path
        {
            match std::fs::read_to_string(path) {
                Ok(text) => values = parse(path, &text)?,
                Err(error)
                    if *origin == Origin::Default
                        && error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    let named = match origin {
                        Origin::Default => String::new(),
                        origin => format!(" that {origin} names"),
                    };
                    return Err(ConfigError::new(
                        ConfigErrorKind::Unreadable,
                        format!("can't read the config file {}{named}", path.display()),
                    )
                    .with_source(error));
                }
            }
        }
        Ok(Self { path, values })
    }
}

fn parse(path: &Path, text: &str) -> Result<HashMap<&'static str, Sourced<Raw>>, ConfigError> {
    let text = Text::new(path, text);
    let mut values = HashMap::new();
    for member in text.root()? {
        let Some(key) = keys::ALL.iter().find(|key| key.name == member.name) else {
            let error = text.unknown(&member, &keys::names());
            let secret = [
                "password",
                "totp_secret",
                "auth",
                "vaults",
                "token",
                "auth_token",
            ];
            let elsewhere = secret.contains(&member.name.as_str()).then_some(
                "secrets belong in the file that 'credentials_file' names, or in the environment",
            );
            return Err(error.maybe_hint(elsewhere.map(str::to_owned)));
        };
        if let Some(raw) = text.raw(member.value, key.name)? {
            values.insert(
                key.name,
                Sourced::new(raw, text.origin(member.value, key.name)),
            );
        }
    }
    Ok(values)
}

/// All layers together.
pub(crate) struct Layers<'a> {
    pub(crate) file: &'a ConfigFile,
    pub(crate) environment: &'a Environment,
    pub(crate) flags: &'a Flags,
}

impl Layers<'_> {
    /// The value of the last layer that has one. A bad value is an error in whichever layer it is.
    pub(crate) fn pick<T>(
        &self,
        key: &Key,
        parse: impl Fn(Raw) -> Result<T, Expected>,
    ) -> Result<Option<Sourced<T>>, ConfigError> {
        let from_file = self.file.values.get(key.name).cloned();
        let from_variable = match key.variable {
            Some(name) => self
                .environment
                .text(name)?
                .map(|text| Sourced::new(Raw::Text(text.to_owned()), Origin::Variable(name))),
            None => None,
        };
        let from_flag = (self.flags.raw(key).zip(key.flag))
            .map(|(raw, flag)| Sourced::new(raw, Origin::Flag(flag)));
        let mut picked = None;
        for Sourced { value, origin } in [from_file, from_variable, from_flag].into_iter().flatten()
        {
            let shown = match &value {
                // A URL may carry a password before its host.
                Raw::Text(text) if !text.contains('@') => format!(", not '{text}'"),
                _ => String::new(),
            };
            let value = parse(value).map_err(|expected| {
                ConfigError::invalid(format!("{origin} must be {expected}{shown}"))
            })?;
            picked = Some(Sourced::new(value, origin));
        }
        Ok(picked)
    }

    /// As [`Layers::pick`], with obsync's own choice where no layer has a value.
    pub(crate) fn pick_or<T>(
        &self,
        key: &Key,
        default: T,
        parse: impl Fn(Raw) -> Result<T, Expected>,
    ) -> Result<Sourced<T>, ConfigError> {
        Ok(self
            .pick(key, parse)?
            .unwrap_or_else(|| Sourced::default_value(default)))
    }

    /// A path. In the config file it is relative to the file's folder, elsewhere to the working
    /// directory.
    pub(crate) fn path(&self, key: &Key) -> Result<Option<Sourced<PathBuf>>, ConfigError> {
        let text = self.pick(key, crate::values::text)?;
        Ok(text.map(|Sourced { value, origin }| {
            let base = match &origin {
                Origin::File { path, .. } => path.parent().unwrap_or(Path::new("")),
                _ => Path::new(""),
            };
            Sourced::new(self.environment.resolve(&value, base), origin)
        }))
    }
}
