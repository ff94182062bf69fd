//! JSON files that people write: read so that each complaint has a line and a column, and so that
//! no complaint quotes a value, which may be a secret.

use std::path::Path;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::ConfigError;
use crate::origin::Origin;
use crate::suggest::did_you_mean;

/// A file's text with its name, to report positions in it.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) path: &'a Path,
    text: &'a str,
}

/// One member of an object.
pub(crate) struct Member<'a> {
    pub(crate) name: String,
    key: &'a RawValue,
    pub(crate) value: &'a RawValue,
}

/// A value as the config file may have it, its type still open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Raw {
    /// A string, number or truth value, as its text.
    Text(String),
    /// A list of strings.
    List(Vec<String>),
}

impl<'a> Text<'a> {
    pub(crate) fn new(path: &'a Path, text: &'a str) -> Self {
        Self {
            path,
            text: text.strip_prefix('\u{feff}').unwrap_or(text),
        }
    }

    /// The members of the one object that the file must hold.
    pub(crate) fn root(&self) -> Result<Vec<Member<'a>>, ConfigError> {
        let raw: &RawValue = serde_json::from_str(self.text)
            .map_err(|error| self.at(error.line(), error.column(), &bare_message(&error)))?;
        self.members(raw, "the file")
    }

    /// The members of an object; `what` names it in a complaint. `null` is an empty one.
    pub(crate) fn members(
        &self,
        raw: &'a RawValue,
        what: &str,
    ) -> Result<Vec<Member<'a>>, ConfigError> {
        if is_null(raw) {
            return Ok(Vec::new());
        }
        let Ok(Members(pairs)) = serde_json::from_str::<Members<'a>>(raw.get()) else {
            return Err(self.expected(raw, what, "an object { … }"));
        };
        let mut members: Vec<Member<'a>> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let name: String = serde_json::from_str(key.get())
                .map_err(|error| self.fail(key, &bare_message(&error)))?;
            if members.iter().any(|member| member.name == name) {
                return Err(self.fail(key, &format!("the key '{name}' is there twice")));
            }
            members.push(Member { name, key, value });
        }
        Ok(members)
    }

    /// A string that is not empty; `null` is none.
    pub(crate) fn string(&self, raw: &RawValue, what: &str) -> Result<Option<String>, ConfigError> {
        if is_null(raw) {
            return Ok(None);
        }
        match serde_json::from_str::<String>(raw.get()) {
            Ok(text) if !text.is_empty() => Ok(Some(text)),
            _ => Err(self.expected(raw, what, "a string that is not empty")),
        }
    }

    /// A plain value or a list of strings; `null` is none.
    pub(crate) fn raw(&self, raw: &RawValue, what: &str) -> Result<Option<Raw>, ConfigError> {
        let text = raw.get();
        let value = match text.as_bytes().first() {
            _ if is_null(raw) => return Ok(None),
            Some(b'"') => serde_json::from_str(text).map(Raw::Text).ok(),
            Some(b'[') => serde_json::from_str(text).map(Raw::List).ok(),
            Some(b'{') => None,
            _ => Some(Raw::Text(text.to_owned())),
        };
        let expected = "a string, a number, true, false or a list of strings";
        value
            .map(Some)
            .ok_or_else(|| self.expected(raw, what, expected))
    }

    /// The complaint that a key is none of those known.
    pub(crate) fn unknown(&self, member: &Member<'_>, known: &[&str]) -> ConfigError {
        self.fail(member.key, &format!("unknown key '{}'", member.name))
            .maybe_hint(did_you_mean(&member.name, known.iter().copied()))
            .hint(format!("known keys here are {}", known.join(", ")))
    }

    /// The complaint that a value is not what it must be.
    pub(crate) fn expected(&self, at: &RawValue, what: &str, expected: &str) -> ConfigError {
        self.fail(at, &format!("{what} must be {expected}"))
    }

    /// Where a part of the file is, under the key by which it goes.
    pub(crate) fn origin(&self, part: &RawValue, key: impl Into<String>) -> Origin {
        let (line, column) = self.position(part);
        Origin::File {
            path: self.path.to_owned(),
            key: key.into(),
            line,
            column,
        }
    }

    fn fail(&self, at: &RawValue, message: &str) -> ConfigError {
        let (line, column) = self.position(at);
        self.at(line, column, message)
    }

    fn at(&self, line: usize, column: usize, message: &str) -> ConfigError {
        ConfigError::invalid(format!(
            "{}:{line}:{column}: {message}",
            self.path.display()
        ))
    }

    /// Line and column of a part, both from 1. Parts borrow from the text, so that their distance
    /// from its start is their place in it.
    fn position(&self, part: &RawValue) -> (usize, usize) {
        let offset = (part.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let before = self.text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }
}

fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// serde_json's message without the position, which is told in front.
fn bare_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// An object's members in order, doubles included, each still raw.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Members(pairs))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        let text = Text::new(Path::new("c.json"), text);
        let read = || {
            for member in text.root()? {
                match member.name.as_str() {
                    "name" => drop(text.string(member.value, "name")?),
                    "raw" => drop(text.raw(member.value, "raw")?),
                    _ => return Err(text.unknown(&member, &["name", "raw"])),
                }
            }
            Ok::<(), ConfigError>(())
        };
        read().expect_err("a complaint").to_string()
    }

    #[test]
    fn complaints_name_line_and_column_and_quote_no_value() {
        for (text, expected) in [
            ("", "c.json:1:0: EOF while parsing a value"),
            (
                "{\n  \"name\": \"a\"\n  \"raw\": 1\n}",
                "c.json:3:3: expected `,` or `}`",
            ),
            ("{\"name\": hunter2}", "c.json:1:10: expected value"),
            ("[]", "c.json:1:1: the file must be an object { … }"),
            (
                "{\n  \"name\": 5}",
                "c.json:2:11: name must be a string that is not empty",
            ),
            (
                "{\"name\": \"\"}",
                "c.json:1:10: name must be a string that is not empty",
            ),
            (
                "{\"ä\": 1,\n \"nmae\": \"hunter2\"}",
                "c.json:1:2: unknown key 'ä'",
            ),
            (
                "{\"name\": \"a\",\n \"name\": \"b\"}",
                "c.json:2:2: the key 'name' is there twice",
            ),
            (
                "{\"raw\": [1]}",
                "c.json:1:9: raw must be a string, a number, true, false or a list of strings",
            ),
        ] {
            assert_eq!(complaint(text), expected);
        }
    }

    #[test]
    fn a_byte_order_mark_and_null_are_fine() {
        let text = Text::new(Path::new("c.json"), "\u{feff}{\"a\": null, \"b\": true}");
        let members = text.root().unwrap();
        assert_eq!(text.string(members[0].value, "a").unwrap(), None);
        assert_eq!(
            text.raw(members[1].value, "b").unwrap(),
            Some(Raw::Text("true".into()))
        );
    }
}
