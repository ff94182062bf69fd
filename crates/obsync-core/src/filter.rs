//! What of a vault is synced: attachment types, config groups, folders and globs.
//!
//! The rules of protocol section 5 come first and can't be switched off; the user's come after.

mod kinds;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde::{Deserialize, Serialize};

pub use kinds::{ConfigGroup, FileType, UnknownName};

use crate::path::VaultPath;

/// What the user wants synced, as data. By default all that a client may sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterSpec {
    /// Attachment groups to sync. Notes are always synced.
    pub file_types: BTreeSet<FileType>,
    /// Groups of the config folder to sync.
    pub configs: BTreeSet<ConfigGroup>,
    /// The config folder's name, one segment.
    pub config_dir: String,
    /// Folders to leave out, with all below them.
    pub excluded_folders: Vec<String>,
    /// When not empty, only files that match one of these globs are synced.
    pub include: Vec<String>,
    /// What matches one of these globs is left out; a folder with all below it.
    pub exclude: Vec<String>,
    /// The text of the destination's `.obsyncignore`, in the syntax of `.gitignore`.
    pub ignore_file: Option<String>,
}

impl Default for FilterSpec {
    fn default() -> Self {
        Self {
            file_types: FileType::ALL.into_iter().collect(),
            configs: ConfigGroup::ALL.into_iter().collect(),
            config_dir: ".obsidian".to_owned(),
            excluded_folders: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            ignore_file: None,
        }
    }
}

/// A filter ready to use.
#[derive(Debug)]
pub struct Filter {
    spec: FilterSpec,
    fingerprint: String,
    include: Option<GlobSet>,
    exclude: GlobSet,
    ignore: Gitignore,
}

/// What a filter says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is synced.
    Sync,
    /// The user's settings leave it out: neither written nor deleted, only counted.
    Hidden,
    /// It must never be written, whatever the settings: reported with this reason.
    Refused(&'static str),
}

/// A filter setting that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {message}")]
pub struct FilterError {
    /// Which setting.
    pub place: &'static str,
    /// What is wrong with it.
    pub message: String,
}

const DOT_NAME: &str =
    "a dot-file or dot-folder; only the listed files of the config folder are synced";
const UNLISTED_CONFIG: &str = "not one of the config folder's files that Obsidian syncs";

impl Filter {
    /// Compiles a spec.
    ///
    /// # Errors
    /// When a glob or the ignore file can't be understood.
    pub fn new(mut spec: FilterSpec) -> Result<Self, FilterError> {
        // A file that says nothing is as good as none, and not worth a comparison of everything.
        spec.ignore_file = spec.ignore_file.filter(|text| !text.trim().is_empty());
        let include = match spec.include.as_slice() {
            [] => None,
            globs => Some(glob_set("--include", globs)?),
        };
        let exclude = glob_set("--exclude", &spec.exclude)?;
        let mut ignore = GitignoreBuilder::new("");
        for (number, line) in spec
            .ignore_file
            .as_deref()
            .unwrap_or_default()
            .lines()
            .enumerate()
        {
            ignore.add_line(None, line).map_err(|error| FilterError {
                place: ".obsyncignore",
                message: format!("line {}: {error}", number + 1),
            })?;
        }
        let ignore = ignore.build().map_err(|error| FilterError {
            place: ".obsyncignore",
            message: error.to_string(),
        })?;
        let fingerprint = fingerprint(&spec);
        Ok(Self {
            spec,
            fingerprint,
            include,
            exclude,
            ignore,
        })
    }

    /// A short text that changes whenever the filter could decide otherwise.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The config folder's name.
    pub fn config_dir(&self) -> &str {
        &self.spec.config_dir
    }

    /// Decides on a path.
    pub fn verdict(&self, path: &VaultPath, folder: bool) -> Verdict {
        match self.by_protocol(path, folder) {
            Verdict::Sync if self.left_out(path, folder) => Verdict::Hidden,
            verdict => verdict,
        }
    }

    fn by_protocol(&self, path: &VaultPath, folder: bool) -> Verdict {
        if let Some(inside) = path.as_str().strip_prefix(&self.spec.config_dir) {
            match inside.strip_prefix('/') {
                Some(inside) => return self.in_config(inside, folder),
                None if inside.is_empty() && folder => {
                    return if self.spec.configs.is_empty() {
                        Verdict::Hidden
                    } else {
                        Verdict::Sync
                    };
                }
                None => {}
            }
        }
        if path.segments().any(is_dot_name) {
            return Verdict::Refused(DOT_NAME);
        }
        if folder {
            return Verdict::Sync;
        }
        let extension = path.extension();
        if FileType::is_note(&extension) {
            return Verdict::Sync;
        }
        if FileType::of_extension(&extension).any(|kind| self.spec.file_types.contains(&kind)) {
            Verdict::Sync
        } else {
            Verdict::Hidden
        }
    }

    fn in_config(&self, inside: &str, folder: bool) -> Verdict {
        if inside
            .split('/')
            .any(|s| is_dot_name(s) || s == "node_modules")
        {
            return Verdict::Refused(UNLISTED_CONFIG);
        }
        let group = if folder {
            ConfigGroup::of_folder(inside)
        } else {
            ConfigGroup::of_file(inside)
        };
        match group {
            None => Verdict::Refused(UNLISTED_CONFIG),
            Some(group) if self.spec.configs.contains(&group) => Verdict::Sync,
            Some(_) => Verdict::Hidden,
        }
    }

    fn left_out(&self, path: &VaultPath, folder: bool) -> bool {
        let text = path.as_str();
        if self
            .spec
            .excluded_folders
            .iter()
            .any(|dir| path.is_within(dir.trim_matches('/')))
        {
            return true;
        }
        // Most people have no globs, and matching none takes its time, too.
        if !self.exclude.is_empty()
            && (self.exclude.is_match(text)
                || path
                    .ancestors()
                    .any(|dir| self.exclude.is_match(dir.as_str())))
        {
            return true;
        }
        if !self.ignore.is_empty()
            && self
                .ignore
                .matched_path_or_any_parents(text, folder)
                .is_ignore()
        {
            return true;
        }
        match &self.include {
            // Folders then come into being with the files in them.
            Some(_) if folder => true,
            Some(include) => {
                !include.is_match(text)
                    && !path.ancestors().any(|dir| include.is_match(dir.as_str()))
            }
            None => false,
        }
    }
}

/// Whether a segment is a dot-name, also for file systems that ignore some invisible characters.
fn is_dot_name(segment: &str) -> bool {
    segment
        .trim_start_matches(|c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'))
        .starts_with('.')
}

/// A pattern without a slash matches at any depth, as people know it from `.gitignore`.
fn glob_set(place: &'static str, globs: &[String]) -> Result<GlobSet, FilterError> {
    let failed = |message: String| FilterError { place, message };
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let trimmed = glob.trim_end_matches('/');
        let anchored = match trimmed.strip_prefix('/') {
            Some(rest) => rest.to_owned(),
            None if trimmed.contains('/') => trimmed.to_owned(),
            None => format!("**/{trimmed}"),
        };
        let glob = GlobBuilder::new(&anchored)
            .literal_separator(true)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        set.add(glob);
    }
    set.build().map_err(|error| failed(error.to_string()))
}

fn fingerprint(spec: &FilterSpec) -> String {
    use sha2::Digest as _;
    // The derived form is stable for equal specs; a change of it costs one full comparison.
    let digest = sha2::Sha256::digest(format!("{spec:?}").as_bytes());
    digest.iter().take(8).fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests;
