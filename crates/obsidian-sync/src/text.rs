//! Foreign text in messages: bounded, escaped, and without our secrets.

use std::fmt::Write as _;

/// How many characters of a foreign text go into a message.
const LIMIT: usize = 200;

/// Puts a foreign text in quotes: one line, at most 200 characters, nothing that steers a terminal.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for (count, character) in text.chars().enumerate() {
        if count == LIMIT {
            quoted.push('…');
            break;
        }
        if misleads(character) {
            // Writing to a string can't fail.
            let _ = write!(quoted, "{}", character.escape_unicode());
        } else {
            quoted.push(character);
        }
    }
    quoted.push('"');
    quoted
}

/// Quotes what a service said, should it echo one of our secrets.
pub(crate) fn quote_without(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "…");
    }
    quote(&text)
}

/// Whether a character of a foreign text has to be escaped before people see it: one that a terminal
/// acts on, that breaks a line, or that is not seen and can so disguise a name (marks of direction,
/// fillers). A joiner inside an emoji or an Indic word is ordinary text.
pub fn misleads(character: char) -> bool {
    let joiner = matches!(character, '\u{200c}' | '\u{200d}');
    let unseen = matches!(
        character,
        '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
    );
    character.is_control() || unseen && !joiner
}

/// Why JSON can't be read, without a word of it: what serde_json says quotes values, and a service may
/// echo a secret in one.
#[derive(Debug, thiserror::Error)]
#[error("{what}, at line {line}, column {column}")]
pub(crate) struct Unreadable {
    what: &'static str,
    line: usize,
    column: usize,
}

impl Unreadable {
    pub(crate) fn of(error: &serde_json::Error) -> Self {
        use serde_json::error::Category;
        let what = match error.classify() {
            Category::Syntax => "it is no JSON",
            Category::Eof => "it is cut short",
            Category::Data => "a value is not what it must be",
            Category::Io => "it could not be read",
        };
        Self {
            what,
            line: error.line(),
            column: error.column(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_tamed() {
        assert_eq!(quote("Größe 🚀"), "\"Größe 🚀\"");
        assert_eq!(
            quote("a\u{1b}[31m\nb\u{202e}"),
            r#""a\u{1b}[31m\u{a}b\u{202e}""#
        );
        assert_eq!(quote("a\u{61c}b\u{2065}"), r#""a\u{61c}b\u{2065}""#);
        let family = "\u{1f468}\u{200d}\u{1f469}";
        assert_eq!(quote(family), format!("\"{family}\""));
        assert_eq!(quote(&"x".repeat(9000)).chars().count(), 203);
    }

    #[test]
    fn an_echoed_secret_is_taken_out() {
        assert_eq!(
            quote_without("bad token hunter2!", &["", "hunter2"]),
            "\"bad token …!\""
        );
        let long = format!("{}hunter2", "x".repeat(195));
        assert!(!quote_without(&long, &["hunter2"]).contains("hun"));
    }
}
