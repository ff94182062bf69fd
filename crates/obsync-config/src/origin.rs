//! Where a value came from.

use std::fmt;
use std::path::PathBuf;

use crate::error::ConfigError;

/// The layer, and the place in it, that a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// obsync's own choice.
    Default,
    /// A key of the config file or of the combined credentials.
    File {
        /// The file, or the name of the text that was fetched in its stead.
        path: PathBuf,
        /// The key, with dots between levels.
        key: String,
        /// The line of the value.
        line: usize,
        /// The column of the value.
        column: usize,
    },
    /// A variable of the environment.
    Variable(&'static str),
    /// A file that a variable or flag names and that holds nothing but the value.
    Content {
        /// The file.
        path: PathBuf,
        /// The variable or flag.
        named_by: String,
    },
    /// A flag of the command line.
    Flag(&'static str),
    /// Standard input.
    Stdin,
    /// A person, just now.
    Prompt,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File {
                path,
                key,
                line,
                column,
            } => {
                write!(f, "{}:{line}:{column}: {key}", path.display())
            }
            Self::Variable(name) => f.write_str(name),
            Self::Content { path, named_by } => {
                write!(f, "{} (named by {named_by})", path.display())
            }
            Self::Flag(name) => f.write_str(name),
            Self::Stdin => f.write_str("standard input"),
            Self::Prompt => f.write_str("what was typed"),
        }
    }
}

/// A value that remembers where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

impl<T> Sourced<T> {
    /// Joins a value with its origin.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// obsync's own choice.
    pub fn default_value(value: T) -> Self {
        Self::new(value, Origin::Default)
    }

    /// Reads the value by rules that are not this crate's.
    ///
    /// # Errors
    /// When `read` complains; the error names the origin.
    pub fn read<U, E: fmt::Display>(
        &self,
        read: impl FnOnce(&T) -> Result<U, E>,
    ) -> Result<U, ConfigError> {
        read(&self.value).map_err(|fault| ConfigError::invalid(format!("{}: {fault}", self.origin)))
    }
}
