//! What a command says: data on standard output, everything else on standard error.

use std::io::{self, Write as _};

use obsync_core::escape_name;
use serde_json::{Map, Value, json};

use crate::exit::{Exit, Failure};
use crate::screen::Screen;

/// The version of the JSON documents' form.
const SCHEMA: u32 = 1;

/// A command's result, in both forms.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The exit status.
    pub(crate) exit: Exit,
    /// Data for standard output, as text.
    pub(crate) data: String,
    /// For the person, on standard error.
    pub(crate) words: Vec<String>,
    /// The same for programs.
    pub(crate) json: Map<String, Value>,
    /// What went wrong, where there is a result all the same.
    pub(crate) failure: Option<Failure>,
}

impl Answer {
    /// A result that is `json` for programs. It must be an object.
    pub(crate) fn new(json: Value) -> Self {
        let json = match json {
            Value::Object(json) => json,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        Self {
            exit: Exit::Done,
            data: String::new(),
            words: Vec::new(),
            json,
            failure: None,
        }
    }

    /// With data for standard output. It is printed as it is: names in it must be escaped.
    pub(crate) fn data(mut self, data: impl Into<String>) -> Self {
        self.data = data.into();
        self
    }

    /// With a line for the person.
    pub(crate) fn say(mut self, line: impl Into<String>) -> Self {
        self.words.push(line.into());
        self
    }
}

/// Prints for one command.
#[derive(Clone)]
pub(crate) struct Printer {
    pub(crate) command: &'static str,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) screen: Screen,
}

impl Printer {
    /// Prints how the command ended.
    pub(crate) fn finish(&self, result: Result<Answer, Failure>) -> Exit {
        match result {
            Ok(answer) => {
                for line in answer.words.iter().filter(|_| !self.quiet) {
                    self.line(line);
                }
                if self.json {
                    self.document(answer.json, answer.failure.as_ref());
                } else {
                    write_out(&answer.data);
                }
                if let Some(failure) = &answer.failure {
                    self.failure(failure);
                }
                answer.exit
            }
            Err(failure) => {
                if self.json {
                    let json = Map::from_iter([("status".to_owned(), "failed".into())]);
                    self.document(json, Some(&failure));
                }
                self.failure(&failure);
                failure.exit
            }
        }
    }

    /// A line on standard error, whatever a name in it tries.
    pub(crate) fn line(&self, line: &str) {
        self.screen.write(&format!("{}\n", printable(line)));
    }

    pub(crate) fn warning(&self, warning: &str) {
        self.line(&format!("warning: {warning}"));
    }

    fn failure(&self, failure: &Failure) {
        self.line(&format!("{}: {}", failure.heading(), failure.message));
        for cause in &failure.causes {
            self.line(&format!("  because: {cause}"));
        }
        for hint in &failure.hints {
            self.line(&format!("hint: {hint}"));
        }
    }

    fn document(&self, json: Map<String, Value>, failure: Option<&Failure>) {
        let mut document = Map::new();
        document.insert("schema".to_owned(), SCHEMA.into());
        document.insert("command".to_owned(), self.command.into());
        document.extend(json);
        if let Some(failure) = failure {
            document.insert("error".to_owned(), failure.json());
        }
        write_out(&format!("{}\n", json_text(&Value::Object(document))));
    }
}

/// The document for a command line that clap refused.
pub(crate) fn usage_document(message: &str) {
    let error = json!({ "kind": "usage", "message": message });
    let document =
        json!({ "schema": SCHEMA, "command": Value::Null, "status": "failed", "error": error });
    write_out(&format!("{}\n", json_text(&document)));
}

/// JSON on one line. What a terminal would act on or what would hide is escaped, for JSON is read by
/// people too, and asks for less than that.
pub(crate) fn json_text(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        match obsidian_sync::misleads(c) {
            // All of them have four digits.
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
    }
    text
}

/// Writes to standard output. Whoever reads it may have left: that is no failure of ours.
pub(crate) fn write_out(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn printable(text: &str) -> String {
    text.split('\n')
        .map(escape_name)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Columns that line up, two spaces between. Names in cells are escaped.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| escape_name(cell)).collect())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or_default())
        .collect();
    rows.iter()
        .map(|row| {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"));
            format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        })
        .collect()
}

/// Bytes for people.
pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_hides_nothing() {
        let value = json!({ "name": "a\u{61c}\u{200b}\u{2065}\u{feff}\u{9b}b" });
        let text = json_text(&value);
        assert_eq!(text, r#"{"name":"a\u061c\u200b\u2065\ufeff\u009bb"}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn tables_line_up_and_defuse_names() {
        let rows = [
            vec!["a".into(), "long name".into()],
            vec!["bbb\u{1b}[2J".into(), "x".into()],
        ];
        assert_eq!(table(&rows), "a             long name\nbbb\\u{1b}[2J  x\n");
    }
}
