//! The environment as a value: the front end takes it once, nothing else reads it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::env_vars;
use crate::error::ConfigError;
use crate::suggest::did_you_mean;

/// A snapshot of the environment's variables. A variable that is set but empty counts as not set,
/// as containers often can't unset one.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

// The values hold secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self {
            variables: variables.filter(|(_, value)| !value.is_empty()).collect(),
        }
    }
}

impl Environment {
    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
    }

    /// The same with one variable set.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// A variable's value as text.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&str>, ConfigError> {
        self.get(name)
            .map(|value| {
                let not_text = || ConfigError::invalid(format!("{name} is not valid UTF-8"));
                value.to_str().ok_or_else(not_text)
            })
            .transpose()
    }

    /// A warning for each variable that has one of our prefixes and is none of ours.
    pub fn unknown(&self) -> Vec<String> {
        let names: Vec<String> = env_vars::names().collect();
        self.variables
            .keys()
            .filter_map(|name| name.to_str())
            .filter(|name| env_vars::is_unknown(name))
            .map(|name| {
                let hint = did_you_mean(name, names.iter().map(String::as_str));
                let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                format!("the variable {name} is set, but obsync knows no such variable{hint}")
            })
            .collect()
    }

    /// The config file's usual place; `None` when there is no home to look in.
    pub fn usual_config_file(&self) -> Option<PathBuf> {
        let base = if cfg!(windows) {
            self.folder("APPDATA")
        } else {
            self.folder("XDG_CONFIG_HOME")
                .or_else(|| Some(self.home()?.join(".config")))
        };
        Some(base?.join("obsync").join("config.json"))
    }

    /// The state folder's usual place; `None` when there is no home to look in.
    pub fn usual_state_dir(&self) -> Option<PathBuf> {
        let base = if cfg!(windows) {
            self.folder("LOCALAPPDATA")
        } else {
            self.folder("XDG_STATE_HOME")
                .or_else(|| Some(self.home()?.join(".local/state")))
        };
        Some(base?.join("obsync"))
    }

    /// A path as a person wrote it: what begins with `~/` lies in the home folder.
    pub fn at_home(&self, written: impl AsRef<Path>) -> PathBuf {
        let written = written.as_ref();
        match (written.strip_prefix("~"), self.home()) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => written.to_owned(),
        }
    }

    /// As [`Environment::at_home`]; what does not begin with `~/` is relative to `base`.
    pub(crate) fn resolve(&self, written: &str, base: &Path) -> PathBuf {
        base.join(self.at_home(written))
    }

    fn home(&self) -> Option<PathBuf> {
        self.folder(if cfg!(windows) { "USERPROFILE" } else { "HOME" })
    }

    /// A folder that a variable names. The XDG rules say to ignore relative ones: they would lie in
    /// the working directory.
    fn folder(&self, name: &str) -> Option<PathBuf> {
        self.get(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().copied().collect()
    }

    #[test]
    #[cfg(unix)]
    fn places_follow_xdg_and_ignore_relative_ones() {
        for (variables, config, state) in [
            (&[][..], None, None),
            (
                &[("HOME", "/h")][..],
                Some("/h/.config/obsync/config.json"),
                Some("/h/.local/state/obsync"),
            ),
            (
                &[
                    ("HOME", "/h"),
                    ("XDG_CONFIG_HOME", "/c"),
                    ("XDG_STATE_HOME", "/s"),
                ],
                Some("/c/obsync/config.json"),
                Some("/s/obsync"),
            ),
            (
                &[
                    ("HOME", "/h"),
                    ("XDG_CONFIG_HOME", "."),
                    ("XDG_STATE_HOME", "s"),
                ],
                Some("/h/.config/obsync/config.json"),
                Some("/h/.local/state/obsync"),
            ),
        ] {
            let environment = environment(variables);
            assert_eq!(environment.usual_config_file(), config.map(PathBuf::from));
            assert_eq!(environment.usual_state_dir(), state.map(PathBuf::from));
        }
    }

    #[test]
    fn warns_of_mistyped_variables() {
        let environment = environment(&[
            ("OBSIDIAN_PASWORD", "hunter2"),
            ("OBSYNC_ZEBRA", "1"),
            ("OBSIDIAN_EMAIL", "a@example.org"),
            ("S3_BUCKET", "b"),
        ]);
        assert_eq!(
            environment.unknown(),
            [
                "the variable OBSIDIAN_PASWORD is set, but obsync knows no such variable; \
                 did you mean 'OBSIDIAN_PASSWORD'?",
                "the variable OBSYNC_ZEBRA is set, but obsync knows no such variable",
            ]
        );
        assert!(!format!("{environment:?}").contains("hunter2"));
    }

    #[test]
    #[cfg(unix)]
    fn a_tilde_is_the_home_folder_and_only_in_front() {
        let at_home = environment(&[("HOME", "/h")]);
        for (written, resolved) in [
            ("~/a", "/h/a"),
            ("~", "/h"),
            ("~me/a", "/b/~me/a"),
            ("a/~/c", "/b/a/~/c"),
            ("/a", "/a"),
        ] {
            let path = at_home.resolve(written, Path::new("/b"));
            assert_eq!(path, Path::new(resolved), "{written}");
        }
        assert_eq!(environment(&[]).at_home("~/a"), Path::new("~/a"));
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        assert!(
            environment(&[("OBSIDIAN_EMAIL", "")])
                .get("OBSIDIAN_EMAIL")
                .is_none()
        );
    }
}
