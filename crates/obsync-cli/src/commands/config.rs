//! `obsync config`: where settings come from.

use obsync_config::{Settings, config_file, keys};
use serde_json::{Value, json};

use crate::args::{Cli, Config};
use crate::context::environment;
use crate::exit::Failure;
use crate::output::{Answer, Printer, table};

pub(crate) fn run(which: &Config, cli: &Cli, printer: &Printer) -> Result<Answer, Failure> {
    match which {
        Config::Show => show(cli, printer),
        Config::Example => Ok(example()),
        Config::Path => path(cli),
    }
}

fn show(cli: &Cli, printer: &Printer) -> Result<Answer, Failure> {
    let settings = Settings::load(&cli.flags(), &environment())?;
    let shown = settings.shown();
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|line| vec![line.key.clone(), words(&line.value), line.origin.clone()])
        .collect();
    let lines: Vec<Value> = shown
        .iter()
        .map(|line| json!({ "key": line.key, "value": line.value, "origin": line.origin }))
        .collect();
    let json = json!({ "status": "ok", "settings": lines, "warnings": settings.warnings });
    for warning in &settings.warnings {
        printer.warning(warning);
    }
    Ok(Answer::new(json).data(table(&rows)))
}

/// A value as people write it.
fn words(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn example() -> Answer {
    let keys: Vec<Value> = keys::ALL
        .iter()
        .map(|key| {
            json!({
                "key": key.name, "meaning": key.meaning, "variable": key.variable,
                "flag": key.flag,
            })
        })
        .collect();
    let json = json!({ "status": "ok", "example": keys::example(), "keys": keys });
    let answer = Answer::new(json).data(keys::example());
    keys::explanation().lines().fold(answer, Answer::say)
}

fn path(cli: &Cli) -> Result<Answer, Failure> {
    let Some(file) = config_file(&cli.flags(), &environment()) else {
        return Err(
            Failure::usage("there is no place for a config file: no home folder is known")
                .hint("give one with --config or OBSYNC_CONFIG, or set HOME"),
        );
    };
    let path = file.value.display().to_string();
    let exists = file.value.exists();
    let json = json!({
        "status": "ok", "path": path, "exists": exists, "origin": file.origin.to_string(),
    });
    let answer = Answer::new(json).data(format!("{path}\n"));
    Ok(if exists {
        answer
    } else {
        answer.say("there is no such file yet; that is fine")
    })
}
