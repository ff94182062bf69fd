//! The keys of the config file: one table for reading, for `config show` and for the example.

use crate::env_vars;

/// One setting: its key in the config file, and the variable and flag that override it.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in the config file.
    pub name: &'static str,
    /// Its variable.
    pub variable: Option<&'static str>,
    /// Its flag.
    pub flag: Option<&'static str>,
    /// An example value, as JSON.
    pub example: &'static str,
    /// What it means, and its default.
    pub meaning: &'static str,
}

macro_rules! keys {
    ($($konst:ident $name:literal, $variable:expr, $flag:expr, $example:literal, $meaning:literal;)*) => {
        $(
            pub(crate) const $konst: Key = Key {
                name: $name, variable: $variable, flag: $flag, example: $example, meaning: $meaning,
            };
        )*
        /// All keys, in the order of the docs.
        pub const ALL: &[Key] = &[$($konst),*];
    };
}

keys! {
    EMAIL "email", Some(env_vars::OBSIDIAN_EMAIL), Some("--email"),
        r#""you@example.org""#, "E-mail address of the account";
    CREDENTIALS_FILE "credentials_file", Some(env_vars::OBSYNC_CREDENTIALS), None,
        r#""credentials.json""#,
        "Combined credentials file; a relative path starts at this file's folder";
    STATE_DIR "state_dir", Some(env_vars::OBSYNC_STATE_DIR), None,
        r#""~/.local/state/obsync""#, "Folder for state, token and trash";
    API_URL "api_url", Some(env_vars::OBSIDIAN_API_URL), None,
        r#""https://api.obsidian.md""#, "Base of the account API: https, or http on loopback";
    DEVICE "device", None, Some("--device"),
        r#""laptop""#, "Name under which this device appears; default: the host's name";
    MODE "mode", None, Some("--mode"),
        r#""pull""#, "pull keeps local edits and extra files, mirror makes the folder the vault";
    INCLUDE "include", None, Some("--include"),
        r#"["**"]"#, "Globs of what to sync; default: everything";
    EXCLUDE "exclude", None, Some("--exclude"),
        r#"["drafts/**", "*.tmp"]"#, "Globs of what to leave out";
    EXCLUDE_FOLDERS "exclude_folders", None, Some("--exclude-folder"),
        r#"["archive"]"#, "Folders to leave out with all below them";
    FILE_TYPES "file_types", None, Some("--file-types"),
        r#"["image", "audio", "video", "pdf", "unsupported"]"#,
        "Attachment groups to sync besides notes, or \"none\"; default: all";
    CONFIGS "configs", None, Some("--configs"),
        r#"["app", "appearance", "hotkey", "core-plugin"]"#,
        "Groups of the vault's own configuration to sync, or \"none\"; default: all";
    MAX_DELETE "max_delete", None, Some("--max-delete"),
        r#""50%""#, "Stop before deleting more files than this: a number, or a percentage";
    TRASH "trash", None, Some("--no-trash"),
        "true", "Whether mirror keeps what it removes or replaces in a trash";
    CONNECTIONS "connections", Some(env_vars::OBSYNC_CONNECTIONS), Some("--connections"),
        "4", "Download connections, 1 to 16";
    BATCH_SIZE "batch_size", Some(env_vars::LAMBDA_BATCH_SIZE), None,
        "50", "Files per checkpoint batch";
    LOG_LEVEL "log_level", Some(env_vars::LOG_LEVEL), Some("--verbose/--quiet"),
        r#""info""#, "How much to log: error, warn, info, debug or trace";
    LOG_FORMAT "log_format", Some(env_vars::OBSYNC_LOG_FORMAT), Some("--log-format"),
        r#""text""#, "Log lines as text or json";
}

/// The names of all keys.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|key| key.name).collect()
}

/// A config file with every key, as JSON.
pub fn example() -> String {
    let lines: Vec<String> = ALL
        .iter()
        .map(|key| format!("  \"{}\": {}", key.name, key.example))
        .collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// What the keys of the example mean: JSON has no comments.
pub fn explanation() -> String {
    let width = ALL
        .iter()
        .map(|key| key.name.len())
        .max()
        .unwrap_or_default();
    ALL.iter()
        .map(|key| {
            let overrides: Vec<&str> = [key.variable, key.flag].into_iter().flatten().collect();
            let overrides = match overrides.as_slice() {
                [] => String::new(),
                some => format!(" [{}]", some.join(", ")),
            };
            format!("{:width$}  {}{overrides}\n", key.name, key.meaning)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_docs_name_every_key_and_variable() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        let text = std::fs::read_to_string(docs).unwrap();
        let missing: Vec<&str> = names()
            .into_iter()
            .chain(env_vars::ALL.iter().map(|variable| variable.name))
            .filter(|name| !text.contains(&format!("`{name}`")))
            .collect();
        assert!(
            missing.is_empty(),
            "not in docs/configuration.md: {missing:?}"
        );
    }
}
