//! [`Fields`]: one JSON object of an event, read so that each complaint names the field.

use std::num::NonZeroUsize;

use serde_json::{Map, Value};

use super::{EventError, hint, list, quoted};

/// One object, and where in the event it is.
pub(super) struct Fields<'a> {
    at: String,
    members: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The event itself.
    pub(super) fn top(members: &'a Map<String, Value>) -> Self {
        Self {
            at: String::new(),
            members,
        }
    }

    /// A field's whole name.
    pub(super) fn path(&self, name: &str) -> String {
        if self.at.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.at)
        }
    }

    /// A field's value; `null` is none.
    pub(super) fn given(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// The complaint that a field is not what it must be.
    pub(super) fn wrong(&self, name: &str, expected: &str) -> EventError {
        let field = self.path(name);
        let message = format!("{field} must be {expected}");
        EventError::new(field, message)
    }

    /// The complaint that a field is none of a few words, with the nearest of them.
    pub(super) fn not_one_of(&self, name: &str, given: &str, known: &[&str]) -> EventError {
        let words = list(known);
        let near = hint(given, known);
        self.wrong(name, &format!("{words}, not {}{near}", quoted(given)))
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, EventError> {
        self.typed(name, "a text", Value::as_str)
    }

    /// A truth value.
    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, EventError> {
        self.typed(name, "true or false", Value::as_bool)
    }

    /// A whole number from 1.
    pub(super) fn count(
        &self,
        name: &str,
        most: usize,
    ) -> Result<Option<NonZeroUsize>, EventError> {
        let expected = format!("a whole number from 1 to {most}");
        self.typed(name, &expected, |value| {
            let number = usize::try_from(value.as_u64()?).ok()?;
            NonZeroUsize::new(number).filter(|number| number.get() <= most)
        })
    }

    /// An object.
    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, EventError> {
        let members = self.typed(name, "an object { … }", Value::as_object)?;
        Ok(members.map(|members| Self {
            at: self.path(name),
            members,
        }))
    }

    /// A list; none is an empty one.
    pub(super) fn items(&self, name: &str, most: usize) -> Result<&'a [Value], EventError> {
        let items = self.typed(name, "a list [ … ]", Value::as_array)?;
        let items = items.map(Vec::as_slice).unwrap_or_default();
        if items.len() > most {
            let expected = format!("a list of at most {most}, and has {}", items.len());
            return Err(self.wrong(name, &expected));
        }
        Ok(items)
    }

    /// A list of objects.
    pub(super) fn objects(&self, name: &str, most: usize) -> Result<Vec<Self>, EventError> {
        let items = self.items(name, most)?.iter().enumerate();
        items
            .map(|(number, item)| {
                let name = format!("{name}[{number}]");
                let members = item.as_object();
                let members = members.ok_or_else(|| self.wrong(&name, "an object { … }"))?;
                let at = self.path(&name);
                Ok(Self { at, members })
            })
            .collect()
    }

    /// Refuses fields that nobody reads. One that is `null` is not there.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), EventError> {
        let given = self.members.iter().filter(|(_, value)| !value.is_null());
        let mut names = given.map(|(name, _)| name);
        let Some(unknown) = names.find(|name| !known.contains(&name.as_str())) else {
            return Ok(());
        };
        let place = match self.at.as_str() {
            "" => String::new(),
            at => format!(" in {at}"),
        };
        let near = hint(unknown, known);
        let message = format!(
            "unknown field {}{place}{near} (known here: {})",
            quoted(unknown),
            known.join(", ")
        );
        Err(EventError::new(self.path(unknown), message))
    }

    fn typed<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, EventError> {
        match self.given(name) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(read) => Ok(Some(read)),
                None => Err(self.wrong(name, expected)),
            },
        }
    }
}
