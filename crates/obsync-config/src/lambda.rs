//! [`LambdaSettings`]: what only a Lambda function is told, by its environment alone.
//!
//! They are read before [`crate::Settings`], since they say where the combined credentials are.

use std::time::Duration;

use crate::env_vars;
use crate::environment::Environment;
use crate::error::ConfigError;
use crate::json::Raw;
use crate::origin::{Origin, Sourced};
use crate::values::{self, Expected, LogFormat, LogLevel, MAX_CONNECTIONS};

/// Set by Lambda where the function's own log format and level were chosen. Its JSON lines have the
/// fields that Lambda's filters look for.
const AWS_LAMBDA_LOG_FORMAT: &str = "AWS_LAMBDA_LOG_FORMAT";
const AWS_LAMBDA_LOG_LEVEL: &str = "AWS_LAMBDA_LOG_LEVEL";

/// The longest part of an invocation that can be kept back.
const LONGEST_BUFFER: u64 = 600;

/// Settings of a Lambda function, each with its origin.
#[derive(Debug, Clone)]
pub struct LambdaSettings {
    /// `OBSYNC_VAULTS`: what a schedule syncs, ids or names, none twice; `None`: every vault whose
    /// password is known.
    pub vaults: Option<Sourced<Vec<String>>>,
    /// `OBSYNC_SECRET_NAME`: the Secrets Manager secret with the combined credentials.
    pub secret_name: Option<Sourced<String>>,
    /// `LAMBDA_BATCH_SIZE`: files per checkpoint.
    pub batch_size: Sourced<u32>,
    /// `LAMBDA_MAX_CONCURRENT`: connections per vault.
    pub connections: Sourced<u8>,
    /// `LAMBDA_DOWNLOAD_ON_STARTUP`: whether states are loaded during init.
    pub download_on_startup: Sourced<bool>,
    /// `LAMBDA_TIMEOUT_BUFFER`: what is kept back before the deadline.
    pub timeout_buffer: Sourced<Duration>,
}

impl LambdaSettings {
    /// Reads them.
    ///
    /// # Errors
    /// When a value is not what it must be; the message names the variable.
    pub fn load(environment: &Environment) -> Result<Self, ConfigError> {
        let pick = Picker(environment);
        Ok(Self {
            vaults: pick.value(env_vars::OBSYNC_VAULTS, vaults)?,
            secret_name: pick.value(env_vars::OBSYNC_SECRET_NAME, |raw| {
                values::text(raw).map(|name| name.trim().to_owned())
            })?,
            batch_size: pick.or(env_vars::LAMBDA_BATCH_SIZE, 50, |raw| {
                number(&raw, 1, 10_000)
            })?,
            connections: pick.or(env_vars::LAMBDA_MAX_CONCURRENT, 3, |raw| {
                number(&raw, 1, MAX_CONNECTIONS.into())
            })?,
            download_on_startup: pick.or(env_vars::LAMBDA_DOWNLOAD_ON_STARTUP, true, |raw| {
                values::truth(&raw)
            })?,
            timeout_buffer: pick.or(
                env_vars::LAMBDA_TIMEOUT_BUFFER,
                Duration::from_secs(30),
                |raw| match values::number(&raw, 1, LONGEST_BUFFER) {
                    Ok(seconds) => Ok(Duration::from_secs(seconds)),
                    Err(_) => Err(format!("a number of seconds from 1 to {LONGEST_BUFFER}")),
                },
            )?,
        })
    }
}

/// How a Lambda function logs: `LOG_LEVEL` and `OBSYNC_LOG_FORMAT`, or else what was chosen for the
/// function on AWS's side. Apart from [`LambdaSettings`], so that a bad value elsewhere is logged
/// as wished.
///
/// # Errors
/// When a value is not what it must be; the message names the variable.
pub fn logging(environment: &Environment) -> Result<(LogLevel, LogFormat), ConfigError> {
    let pick = Picker(environment);
    let level = match pick.value(env_vars::LOG_LEVEL, |raw| values::log_level(&raw))? {
        Some(level) => level,
        None => pick.or(AWS_LAMBDA_LOG_LEVEL, LogLevel::Info, |raw| match &raw {
            Raw::Text(text) if text.eq_ignore_ascii_case("fatal") => Ok(LogLevel::Error),
            raw => values::log_level(raw),
        })?,
    };
    let format = match pick.value(env_vars::OBSYNC_LOG_FORMAT, |raw| values::log_format(&raw))? {
        Some(format) => format,
        None => pick.or(AWS_LAMBDA_LOG_FORMAT, LogFormat::Text, |raw| {
            values::log_format(&raw)
        })?,
    };
    Ok((level.value, format.value))
}

/// Reads variables one by one.
struct Picker<'a>(&'a Environment);

impl Picker<'_> {
    fn value<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(Raw) -> Result<T, Expected>,
    ) -> Result<Option<Sourced<T>>, ConfigError> {
        let Some(text) = self.0.text(name)? else {
            return Ok(None);
        };
        let value = parse(Raw::Text(text.to_owned())).map_err(|expected| {
            ConfigError::invalid(format!("{name} must be {expected}, not '{text}'"))
        })?;
        Ok(Some(Sourced::new(value, Origin::Variable(name))))
    }

    fn or<T>(
        &self,
        name: &'static str,
        default: T,
        parse: impl FnOnce(Raw) -> Result<T, Expected>,
    ) -> Result<Sourced<T>, ConfigError> {
        let value = self.value(name, parse)?;
        Ok(value.unwrap_or_else(|| Sourced::default_value(default)))
    }
}

fn number<T: TryFrom<u64>>(raw: &Raw, least: u64, most: u64) -> Result<T, Expected> {
    let number = values::number(raw, least, most)?;
    T::try_from(number).map_err(|_| format!("a number from {least} to {most}"))
}

/// Ids or names with commas between; a comma too many does no harm, a vault twice counts once.
fn vaults(raw: Raw) -> Result<Vec<String>, Expected> {
    let expected = || "ids or names of vaults with commas between".to_owned();
    let text = values::text(raw).map_err(|_| expected())?;
    let mut vaults: Vec<String> = Vec::new();
    for vault in text.split(',').map(str::trim) {
        if !vault.is_empty() && !vaults.iter().any(|known| known == vault) {
            vaults.push(vault.to_owned());
        }
    }
    if vaults.is_empty() {
        return Err(expected());
    }
    Ok(vaults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<LambdaSettings, ConfigError> {
        LambdaSettings::load(&variables.iter().copied().collect())
    }

    #[test]
    fn defaults_are_those_of_the_docs() {
        let settings = load(&[]).unwrap();
        assert!(settings.vaults.is_none() && settings.secret_name.is_none());
        assert_eq!(settings.batch_size.value, 50);
        assert_eq!(settings.connections.value, 3);
        assert!(settings.download_on_startup.value);
        assert_eq!(settings.timeout_buffer.value, Duration::from_secs(30));
        assert_eq!(settings.timeout_buffer.origin, Origin::Default);
    }

    #[test]
    fn variables_are_read() {
        let settings = load(&[
            ("OBSYNC_VAULTS", " My notes,abc123,, My notes ,"),
            ("OBSYNC_SECRET_NAME", "obsync/prod "),
            ("LAMBDA_BATCH_SIZE", "10"),
            ("LAMBDA_MAX_CONCURRENT", "16"),
            ("LAMBDA_DOWNLOAD_ON_STARTUP", "False"),
            ("LAMBDA_TIMEOUT_BUFFER", "45"),
        ])
        .unwrap();
        assert_eq!(settings.vaults.unwrap().value, ["My notes", "abc123"]);
        assert_eq!(settings.secret_name.unwrap().value, "obsync/prod");
        assert_eq!(settings.batch_size.value, 10);
        assert_eq!(settings.connections.value, 16);
        assert!(!settings.download_on_startup.value);
        assert_eq!(settings.timeout_buffer.value, Duration::from_secs(45));
    }

    #[test]
    fn a_bad_value_is_refused_with_its_variable() {
        for (name, value, complaint) in [
            (
                "OBSYNC_VAULTS",
                " , ",
                "ids or names of vaults with commas between",
            ),
            ("OBSYNC_SECRET_NAME", " ", "a text that is not empty"),
            ("LAMBDA_BATCH_SIZE", "0", "a number from 1 to 10000"),
            ("LAMBDA_MAX_CONCURRENT", "17", "a number from 1 to 16"),
            ("LAMBDA_DOWNLOAD_ON_STARTUP", "maybe", "true or false"),
            (
                "LAMBDA_TIMEOUT_BUFFER",
                "30s",
                "a number of seconds from 1 to 600",
            ),
        ] {
            let error = load(&[(name, value)]).unwrap_err().to_string();
            assert_eq!(error, format!("{name} must be {complaint}, not '{value}'"));
        }
    }

    #[test]
    fn our_own_logging_variables_win_over_those_of_aws() {
        let read = |variables: &[(&str, &str)]| logging(&variables.iter().copied().collect());
        let aws = [
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_LAMBDA_LOG_LEVEL", "FATAL"),
        ];
        assert_eq!(read(&[]).unwrap(), (LogLevel::Info, LogFormat::Text));
        assert_eq!(read(&aws).unwrap(), (LogLevel::Error, LogFormat::Json));
        let ours = [("OBSYNC_LOG_FORMAT", "text"), ("LOG_LEVEL", "debug")];
        let both = [aws, ours].concat();
        assert_eq!(read(&both).unwrap(), (LogLevel::Debug, LogFormat::Text));
        let error = read(&[("AWS_LAMBDA_LOG_FORMAT", "XML")]).unwrap_err();
        assert!(error.to_string().starts_with("AWS_LAMBDA_LOG_FORMAT must"));
    }
}
