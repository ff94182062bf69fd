//! What people and event sources write.

use std::ffi::OsString;
use std::fs;
use std::sync::{Arc, LazyLock};

use obsidian_sync::rest::{RestClient, RestDeadlines};
use obsync_config::{Account, Environment, Flags, Settings, SystemTiming};
use obsync_core::VaultPath;
use obsync_core::filter::{Filter, FilterSpec, Verdict};
use obsync_lambda::event::Event;
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
    // The corpus has this text wherever a secret goes.
    assert!(!told.contains("hunter2"), "a secret in: {told}");
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
    assert!(!told.contains("hunter2"), "a secret in: {told}");
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
    assert!(!told.contains("hunter2"), "a secret in: {told}");
}
