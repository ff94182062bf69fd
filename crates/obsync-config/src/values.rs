//! The types of settings, and how their text is read.
//!
//! A parser's error says what was expected; where the value came from is added by the layers.

use serde::Serialize;

use crate::json::Raw;

/// What a parser expected instead.
pub(crate) type Expected = String;

/// What a sync does with what is only here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Local edits and extra files are never lost.
    Pull,
    /// The destination becomes the vault.
    Mirror,
}

/// The groups to sync, of attachments or of a vault's own configuration. Which names there are is
/// the engine's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Groups {
    /// Every one.
    All,
    /// These; perhaps none.
    These(Vec<String>),
}

impl Serialize for Groups {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::These(names) if names.is_empty() => serializer.serialize_str("none"),
            Self::These(names) => names.serialize(serializer),
        }
    }
}

/// How much to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// What log lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogFormat {
    Text,
    Json,
}

/// The most download connections.
pub const MAX_CONNECTIONS: u8 = 16;

pub(crate) fn text(raw: Raw) -> Result<String, Expected> {
    match raw {
        Raw::Text(text) if !text.trim().is_empty() => Ok(text),
        _ => Err("a text that is not empty".to_owned()),
    }
}

pub(crate) fn list(raw: Raw) -> Result<Vec<String>, Expected> {
    match raw {
        Raw::List(items) => Ok(items),
        Raw::Text(_) => Err("a list of strings".to_owned()),
    }
}

/// One word of a few.
pub(crate) fn word<T: Copy>(raw: &Raw, words: &[(&str, T)]) -> Result<T, Expected> {
    let found = match raw {
        Raw::Text(text) => words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text.trim())),
        Raw::List(_) => None,
    };
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        one_of(&words)
    })
}

pub(crate) fn mode(raw: &Raw) -> Result<Mode, Expected> {
    word(raw, &[("pull", Mode::Pull), ("mirror", Mode::Mirror)])
}

pub(crate) fn truth(raw: &Raw) -> Result<bool, Expected> {
    word(raw, &[("true", true), ("false", false)])
}

pub(crate) fn log_level(raw: &Raw) -> Result<LogLevel, Expected> {
    let words = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    word(raw, &words)
}

pub(crate) fn log_format(raw: &Raw) -> Result<LogFormat, Expected> {
    word(raw, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}

/// A whole number in a range.
pub(crate) fn number(raw: &Raw, least: u64, most: u64) -> Result<u64, Expected> {
    let number = match raw {
        Raw::Text(text) => text.trim().parse().ok(),
        Raw::List(_) => None,
    };
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("a number from {least} to {most}"))
}

/// Names of groups: a list, or one text with commas between; or `all`, or `none`.
pub(crate) fn groups(raw: Raw) -> Result<Groups, Expected> {
    let names: Vec<String> = match raw {
        Raw::List(items) => items,
        Raw::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    match names.as_slice() {
        [one] if one == "none" => Ok(Groups::These(Vec::new())),
        [one] if one == "all" => Ok(Groups::All),
        some if some.iter().any(String::is_empty) => {
            Err("'all', 'none' or a list of group names".to_owned())
        }
        _ => Ok(Groups::These(names)),
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw {
        Raw::Text(text.to_owned())
    }

    #[test]
    fn groups_are_names_all_or_none() {
        let these = |names: &[&str]| Groups::These(names.iter().map(|&n| n.to_owned()).collect());
        for (text, read) in [
            ("image, pdf", Some(these(&["image", "pdf"]))),
            ("none", Some(these(&[]))),
            ("all", Some(Groups::All)),
            ("image,,pdf", None),
            ("", None),
        ] {
            assert_eq!(groups(raw(text)).ok(), read, "{text}");
        }
        assert_eq!(
            groups(Raw::List(vec!["pdf".to_owned()])),
            Ok(these(&["pdf"]))
        );
        assert_eq!(groups(Raw::List(vec![])), Ok(these(&[])));
    }

    #[test]
    fn numbers_stay_in_range() {
        for (text, value) in [
            ("1", Some(1)),
            ("16", Some(16)),
            ("0", None),
            ("17", None),
            ("4.0", None),
        ] {
            assert_eq!(number(&raw(text), 1, 16).ok(), value, "{text}");
        }
        assert_eq!(
            log_level(&raw("loud")).unwrap_err(),
            "error, warn, info, debug or trace"
        );
    }
}
