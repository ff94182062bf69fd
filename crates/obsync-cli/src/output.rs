//! What a command says: data on standard output, everything else on standard error.

use std::io::{self, Write as _};

use obsidian_sync::misleads;
use obsync_core::escape_name;
use serde_json::{Map, Value, json};

use crate::exit::{Exit, Failure};
use crate::screen::Screen;

/// The version of the JSON documents' form.
const SCHEMA: u32 = 1;

/// A line for the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    text: String,
    warns: bool,
}

impl Word {
    /// One that is said even with `--quiet`.
    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            warns: true,
        }
    }
}

impl<T: Into<String>> From<T> for Word {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            warns: false,
        }
    }
}

/// A command's result, in both forms.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The exit status.
    pub(crate) exit: Exit,
    /// Data for standard output, as text.
    pub(crate) data: String,
    /// What the words are about; said before them.
    pub(crate) heading: Option<String>,
    /// For the person, on standard error.
    pub(crate) words: Vec<Word>,
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
            heading: None,
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
    pub(crate) fn say(mut self, line: impl Into<Word>) -> Self {
        self.words.push(line.into());
        self
    }

    /// The words that are said. Of a good run, `quiet` leaves the warnings; of another one the last
    /// word too, which tells how it ended.
    fn told(&self, quiet: bool) -> Vec<&str> {
        let last = match self.exit {
            Exit::Done => None,
            _ => self.words.len().checked_sub(1),
        };
        let words = self.words.iter().enumerate();
        let words = words.filter(|(at, word)| !quiet || word.warns || last == Some(*at));
        let words: Vec<&str> = words.map(|(_, word)| word.text.as_str()).collect();
        let heading = self.heading.as_deref();
        let heading = heading.filter(|_| !quiet || !words.is_empty());
        heading.into_iter().chain(words).collect()
    }
}

/// Prints for one command.
#[derive(Clone)]
pub(crate) struct Printer {
    pub(crate) command: &'static str,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    /// Standard error gets JSON objects too, one on a line.
    pub(crate) json_lines: bool,
    pub(crate) screen: Screen,
}

impl Printer {
    /// Prints how the command ended.
    pub(crate) fn finish(&self, result: Result<Answer, Failure>) -> Exit {
        let (exit, failure, written) = match result {
            Ok(answer) => {
                for line in answer.told(self.quiet) {
                    self.line(line);
                }
                let written = match self.json {
                    true => self.document(answer.json, answer.failure.as_ref()),
                    false => write_out(&answer.data),
                };
                (answer.exit, answer.failure, written)
            }
            Err(failure) => {
                let written = match self.json {
                    true => self.document(failure.status(), Some(&failure)),
                    false => Ok(()),
                };
                (failure.exit, Some(failure), written)
            }
        };
        if let Some(failure) = &failure {
            self.failure(failure);
        }
        match (written, exit) {
            (Ok(()), exit) => exit,
            (Err(failure), exit) => {
                self.failure(&failure);
                if exit == Exit::Done {
                    failure.exit
                } else {
                    exit
                }
            }
        }
    }

    /// A line on standard error, whatever a name in it tries.
    pub(crate) fn line(&self, line: &str) {
        self.say("message", line);
    }

    pub(crate) fn warning(&self, warning: &str) {
        match self.json_lines {
            true => self.say("warning", warning),
            false => self.line(&format!("warning: {warning}")),
        }
    }

    fn say(&self, event: &str, line: &str) {
        match self.json_lines {
            true => self.object(&json!({ "event": event, "message": line })),
            false => self.screen.write(&format!("{}\n", escape_name(line))),
        }
    }

    fn object(&self, object: &Value) {
        self.screen.write(&format!("{}\n", json_text(object)));
    }

    fn failure(&self, failure: &Failure) {
        if self.json_lines {
            let mut error = failure.json();
            error["event"] = "error".into();
            return self.object(&error);
        }
        self.line(&format!("{}: {}", failure.heading(), failure.message));
        for cause in &failure.causes {
            self.line(&format!("  because: {cause}"));
        }
        for hint in &failure.hints {
            self.line(&format!("hint: {hint}"));
        }
    }

    fn document(&self, json: Map<String, Value>, failure: Option<&Failure>) -> Result<(), Failure> {
        let mut document = Map::new();
        document.insert("schema".to_owned(), SCHEMA.into());
        document.insert("command".to_owned(), self.command.into());
        document.extend(json);
        if let Some(failure) = failure {
            document.insert("error".to_owned(), failure.json());
        }
        write_out(&format!("{}\n", json_text(&Value::Object(document))))
    }
}

/// The document for a command line that clap refused.
pub(crate) fn usage_document(message: &str) -> Result<(), Failure> {
    let error = json!({ "kind": "usage", "message": message });
    let document =
        json!({ "schema": SCHEMA, "command": Value::Null, "status": "failed", "error": error });
    write_out(&format!("{}\n", json_text(&document)))
}

/// JSON on one line, tamed.
pub(crate) fn json_text(value: &Value) -> String {
    tame_json(value.to_string())
}

/// Escapes in a JSON text what a terminal would act on or what would hide, for JSON is read by people
/// too, and asks for less than that. It can only be within strings.
pub(crate) fn tame_json(text: String) -> String {
    if !text.contains(misleads) {
        return text;
    }
    let mut tame = String::with_capacity(text.len());
    for c in text.chars() {
        match misleads(c) {
            // All of them have four digits.
            true => tame.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => tame.push(c),
        }
    }
    tame
}

/// Writes to standard output. Whoever reads it may have left: that is no failure of ours.
pub(crate) fn write_out(text: &str) -> Result<(), Failure> {
    written(try_write_out(text))
}

/// As [`write_out`], for those who stop when nobody reads on.
pub(crate) fn try_write_out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// What became of a write to standard output.
pub(crate) fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let message = format!("can't write to standard output: {error}");
            Err(Failure::new(Exit::Failed, "output", message))
        }
        _ => Ok(()),
    }
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
    fn quiet_leaves_warnings_and_how_it_ended() {
        let mut answer = Answer::new(json!({}))
            .say("a")
            .say(Word::warning("b"))
            .say("c");
        answer.heading = Some("h".to_owned());
        assert_eq!(answer.told(false), ["h", "a", "b", "c"]);
        assert_eq!(answer.told(true), ["h", "b"]);
        answer.exit = Exit::Partial;
        assert_eq!(answer.told(true), ["h", "b", "c"]);
        let mut answer = Answer::new(json!({})).say("a");
        answer.heading = Some("h".to_owned());
        assert_eq!(answer.told(true), [""; 0]);
    }

    #[test]
    fn json_is_tamed_within_its_strings() {
        let value = json!({ "a\n\u{9b}\u{61c}": "\u{202e}\u{7f}\u{2065}é\u{200d}" });
        let text = json_text(&value);
        let tame = "{\"a\\n\\u009b\\u061c\":\"\\u202e\\u007f\\u2065é\u{200d}\"}";
        assert_eq!(text, tame);
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
