//! What people and event sources write.

use std::ffi::OsString;
use std::fs;
use std::sync::{Arc, LazyLock};

use obsidian_sync::rest::{RestClient, RestDeadlines};
use obsync_config::{Account, Environment, Flags, Settings, SystemTiming};
use obsync_core::VaultPath;
use obsync_core::filter::{Filter, FilterSpec, Verdict};
use obsync_lambda::event::Event;
use serde_json::Value;
use tokio::runtime::Runtime;

/// Globs and ignore files, one to a line: the first lines are globs, the rest an ignore file, all
/// are tried as names too.
pub(super) fn filters(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let lines: Vec<&str> = text.split('\n').take(20).collect();
    let glob = |at: usize| {
        let line = lines.get(at).copied().unwrap_or_default();
        (!line.is_empty()).then(|| line.to_owned())
    };
    let spec = FilterSpec {
        include: glob(0).into_iter().collect(),
        exclude: glob(1).into_iter().collect(),
        excluded_folders: glob(2).into_iter().collect(),
        ignore_file: Some(lines.get(3..).unwrap_or_default().join("\n")),
        ..FilterSpec::default()
    };
    let Ok(filter) = Filter::new(spec) else {
        return;
    };
    let hooks = VaultPath::parse(".git/hooks/post-checkout").unwrap();
    let refused = matches!(filter.verdict(&hooks, false), Verdict::Refused(_));
    assert!(refused, "no setting lets a dot-folder in");
    for path in lines.iter().filter_map(|line| VaultPath::parse(line).ok()) {
        for folder in [false, true] {
            let first = filter.verdict(&path, folder);
            assert_eq!(first, filter.verdict(&path, folder));
        }
    }
}

/// A config file.
pub(super) fn config(input: &[u8]) {
    load("OBSYNC_CONFIG", input);
}

/// A combined credentials file. What is wrong with it is told without quoting it.
pub(super) fn credentials(input: &[u8]) {
    load("OBSYNC_CREDENTIALS", input);
}

fn load(variable: &str, input: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.json");
    fs::write(&file, input).unwrap();
    let variables = [
        (OsString::from(variable), OsString::from(&file)),
        ("HOME".into(), folder.path().into()),
    ];
    let environment: Environment = variables.into_iter().collect();
    let told = match Settings::load(&Flags::default(), &environment) {
        Ok(settings) => format!("{settings:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    let leaks = told.contains(SECRET) && is_in_place(&String::from_utf8_lossy(input));
    assert!(!leaks, "a secret in: {told}");
}

/// What the corpus has wherever a secret goes. Where an input has it in a name, or as the value of a field
/// that is no secret, it may be told.
const SECRET: &str = "hunter2";

fn is_secret(field: &str) -> bool {
    let field = field.to_lowercase();
    let named = ["pas", "secret", "token", "auth"];
    named.iter().any(|name| field.contains(name))
}

/// Whether a text that need not be JSON has the secret nowhere but in its place.
fn is_in_place(text: &str) -> bool {
    let is_gap = |c: char| c.is_whitespace() || matches!(c, '[' | '{');
    text.match_indices(SECRET).all(|(at, _)| {
        let rest = text[at..].split_once('"').map_or("", |(_, rest)| rest);
        let field = text[..at].rsplit_once('"').and_then(|(before, _)| {
            let before = before.trim_end_matches(is_gap).strip_suffix(':')?;
            before.trim_end().strip_suffix('"')?.rsplit('"').next()
        });
        !rest.trim_start().starts_with(':') && field.is_some_and(is_secret)
    })
}

/// The same of an event, and of those within it.
fn is_in_place_within(value: &Value, field: &str) -> bool {
    match value {
        Value::Object(fields) => fields
            .iter()
            .all(|(name, value)| !name.contains(SECRET) && is_in_place_within(value, name)),
        Value::Array(items) => items.iter().all(|item| is_in_place_within(item, field)),
        Value::String(text) if text.contains(SECRET) && !is_secret(field) => {
            let within = serde_json::from_str(text);
            field == "body" && within.map_or(true, |event| is_in_place_within(&event, field))
        }
        _ => true,
    }
}

/// The file of tokens. Nobody can be asked for another one here.
pub(super) fn tokens(input: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token.json"), input).unwrap();
    let state = [("OBSYNC_STATE_DIR", folder.path())];
    let environment: Environment = state.into_iter().collect();
    let settings = Settings::load(&Flags::default(), &environment).unwrap();
    let api = settings.api_url.value.clone();
    let rest = RestClient::new(api, "fuzz/1", RestDeadlines::default()).unwrap();
    let account = Account::new(Arc::new(rest), &settings, Arc::new(SystemTiming));
    let told = RUNTIME.block_on(async { format!("{:?}", account.token().await) });
    // The corpus has this text where the token goes.
    assert!(!told.contains(SECRET), "a secret in: {told}");
    RUNTIME.block_on(account.forget_local()).unwrap();
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(super::homes::runtime);

/// An event of the function.
pub(super) fn events(input: &[u8]) {
    let Ok(value) = serde_json::from_slice(input) else {
        return;
    };
    let told = match Event::parse(&value) {
        Ok(event) => format!("{event:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    let leaks = told.contains(SECRET) && is_in_place_within(&value, "");
    assert!(!leaks, "a secret in: {told}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_secret_in_its_place_must_not_be_told() {
        for (text, in_place) in [
            (r#"{"type":"synchunter2"}"#, false),
            (r#"{"authunter2":{}}"#, false),
            (r#"{"hunter2" : "x"}"#, false),
            (r#"{"body":"{\"type\":\"hunter2\"}"}"#, false),
            (r#"{"id":"a\"password\":\"hunter2\""}"#, false),
            (r#"{"vault_password" : "hunter2"}"#, true),
            (r#"{"auth":{"pasword":["hunter2x"]}}"#, true),
        ] {
            assert_eq!(is_in_place(text), in_place, "{text}");
            let event = serde_json::from_str(text).unwrap();
            assert_eq!(is_in_place_within(&event, ""), in_place, "{text}");
        }
        let queued = serde_json::json!({ "body": r#"{"vault_password":"hunter2"}"# });
        assert!(is_in_place_within(&queued, ""));
        let broken = serde_json::json!({ "body": r#"{"vault_password":"hunter2""# });
        assert!(is_in_place_within(&broken, ""));
    }
}
