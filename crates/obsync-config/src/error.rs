//! What is wrong with a setting or a secret, told so that a person can mend it.
//!
//! Rules: a message names where the value came from (file with line and column, variable, flag)
//! and what was expected. It quotes a bad value only where the value can't be a secret.

use std::error::Error as StdError;
use std::fmt;

/// A setting, config file or secret that can't be used.
#[derive(Debug)]
pub struct ConfigError {
    kind: ConfigErrorKind,
    message: String,
    hints: Vec<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A [`ConfigError`], named by what the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigErrorKind {
    /// A value, key or file is not what it must be: wrong usage.
    Invalid,
    /// A file that was named can't be read: wrong usage.
    Unreadable,
    /// A secret that is needed was given nowhere, and nobody can be asked.
    Missing,
}

impl ConfigError {
    /// Makes an error of a kind.
    pub fn new(kind: ConfigErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
            source: None,
        }
    }

    /// A value, key or file that is not what it must be.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ConfigErrorKind::Invalid, message)
    }

    /// Adds a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds a way out, if there is one.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hints.extend(hint);
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller does next.
    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }

    /// A stable word for the kind, for JSON.
    pub fn word(&self) -> &'static str {
        match self.kind {
            ConfigErrorKind::Invalid => "settings",
            ConfigErrorKind::Unreadable => "settings_unreadable",
            ConfigErrorKind::Missing => "credentials_missing",
        }
    }

    /// Ways out, for people.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for ConfigError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
