//! One line of the log, in each form.

use std::fmt::Write as _;

use jiff::Timestamp;
use obsidian_sync::Millis;
use obsync_core::escape_name;
use serde_json::{Map, Value};
use tracing::Level;

use super::fields::Fields;

/// `2024-01-15 10:30:00 [INFO] message key=value`, in UTC.
pub(super) fn text(now: Millis, level: Level, message: &str, fields: &Fields) -> String {
    let time = timestamp(now).strftime("%Y-%m-%d %H:%M:%S");
    let mut line = format!("{time} [{level}] {}", escape_name(message));
    for (name, value) in fields.iter() {
        let value = match value {
            Value::String(text) => plain(text),
            other => other.to_string(),
        };
        // Writing to a string can't fail.
        let _ = write!(line, " {name}={value}");
    }
    line
}

/// A text as it is, or in quotes where it would not be clear where it ends.
fn plain(text: &str) -> String {
    let clear = |c: char| !c.is_whitespace() && !matches!(c, '"' | '=');
    if !text.is_empty() && text.chars().all(clear) {
        return escape_name(text);
    }
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escape_name(&text))
}

/// One flat JSON object. What CloudWatch's users look for has the names that Lambda gives it.
pub(super) fn json(now: Millis, level: Level, message: &str, fields: &Fields) -> String {
    let mut line = Map::new();
    let time = timestamp(now).strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    line.insert("timestamp".to_owned(), time.to_string().into());
    line.insert("level".to_owned(), level.to_string().into());
    line.insert("message".to_owned(), escape_name(message).into());
    for (name, value) in fields.iter() {
        let mut name = match name {
            "request_id" => "requestId",
            "vault_id" => "vaultId",
            "cold_start" => "coldStart",
            name => name,
        }
        .to_owned();
        while line.contains_key(&name) {
            name.push('_');
        }
        let value = match value {
            Value::String(text) => escape_name(text).into(),
            other => other.clone(),
        };
        line.insert(name, value);
    }
    Value::Object(line).to_string()
}

fn timestamp(now: Millis) -> Timestamp {
    Timestamp::from_millisecond(now.0).unwrap_or_default()
}
