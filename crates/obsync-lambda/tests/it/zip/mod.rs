//! The function as it is deployed: its zip, under a Lambda runtime, against a Sync service and a
//! bucket.
//!
//! The zip is made by `scripts/build-lambda.sh`, which needs Python and binutils. Where these are
//! missing the bare program stands in; `OBSYNC_LAMBDA=require` makes that a failure.

mod interrupted;
mod memory;
mod overlap;
mod permissions;
mod samples;
mod script;
mod whole;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use obsidian_sync::VaultId;
use obsync_doubles::runtime::{Function, Setup};
use obsync_lambda_local::{Stage, unpack};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Ends only a test that has gone wrong.
const LONG: Duration = Duration::from_secs(120);

/// The function's program, unpacked.
struct Program {
    path: PathBuf,
    _folder: Option<TempDir>,
}

fn program() -> Program {
    // One for all tests of this process: they run side by side.
    static ZIP: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let bare = Path::new(env!("CARGO_BIN_EXE_bootstrap"));
    let zip = match ZIP.get_or_init(|| zip(bare)) {
        Ok(zip) => zip,
        Err(why) => {
            let required = std::env::var_os("OBSYNC_LAMBDA").is_some_and(|it| it == "require");
            assert!(!required, "there is no zip: {why}");
            eprintln!("the bare program stands in for the zip: {why}");
            return Program {
                path: bare.to_owned(),
                _folder: None,
            };
        }
    };
    let folder = unpack(zip).unwrap();
    Program {
        path: folder.path().join("bootstrap"),
        _folder: Some(folder),
    }
}

/// The zip of this build; made once.
fn zip(bare: &Path) -> Result<PathBuf, String> {
    let about = bare.metadata().map_err(|error| error.to_string())?;
    let built = about.modified().map_err(|error| error.to_string())?;
    let built = built.duration_since(std::time::UNIX_EPOCH).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let name = format!("obsync-lambda-{}-{}.zip", built.as_nanos(), about.len());
    let zip = folder.join(&name);
    if zip.exists() {
        return Ok(zip);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/build-lambda.sh");
    let output = Command::new(script)
        .args(["--profile", "dev", "--bootstrap"])
        .arg(bare)
        .arg("--out")
        .arg(&zip)
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    // Those of earlier builds.
    for old in std::fs::read_dir(folder).unwrap().flatten() {
        let old_name = old.file_name().into_string().unwrap_or_default();
        let is_zip = old_name.starts_with("obsync-lambda-") && old_name.ends_with(".zip");
        // One that another process is writing has another end.
        if is_zip && old_name != name {
            // Another process may have removed it.
            let _ = std::fs::remove_file(old.path());
        }
    }
    Ok(zip)
}

/// The function on a stage; logs go to the test's output.
fn function(stage: &Stage, program: &Program) -> Setup {
    stage
        .function(&program.path)
        .memory(256)
        .on_line(|_, line| println!("| {line}"))
}

fn sync(vault: &VaultId) -> Value {
    json!({"type": "sync_vault", "vault_id": vault.as_str()})
}

/// Invokes and shows the answer.
async fn ask(function: &Function, event: Value) -> Value {
    let answer = function.invoke(event, LONG).await.answer();
    println!("{answer}");
    answer
}

/// `count` notes of some length, in folders.
fn notes(stage: &Stage, vault: &VaultId, count: usize) {
    for number in 0..count {
        let path = format!("folder {}/note {number}.md", number % 7);
        let content = format!("# Note {number}\n").repeat(number % 50 + 1);
        stage.put(vault, &path, content.as_bytes());
    }
}

/// The vault as the service has it.
fn tree(stage: &Stage, vault: &VaultId) -> BTreeMap<String, Vec<u8>> {
    stage.service.tree(vault).unwrap()
}

/// A JSON document in the bucket.
fn document(stage: &Stage, key: &str) -> Option<Value> {
    let object = stage.double().object(key)?;
    Some(serde_json::from_slice(&object.bytes).unwrap())
}

fn state_key(vault: &VaultId) -> String {
    format!("state/{vault}.json")
}

fn lease_key(vault: &VaultId) -> String {
    format!("state/{vault}.lease.json")
}

/// The paths and uids in the stored state, and its cursor.
fn stored(stage: &Stage, vault: &VaultId) -> (BTreeMap<String, u64>, u64) {
    let Some(state) = document(stage, &state_key(vault)) else {
        return Default::default();
    };
    let entries = state["entries"].as_array().unwrap().iter();
    // Folders have two fields.
    let files = entries.filter(|entry| entry.as_array().unwrap().len() > 2);
    let files = files.map(|entry| {
        let path = entry[0].as_str().unwrap().to_owned();
        (path, entry[1].as_u64().unwrap())
    });
    (files.collect(), state["header"]["cursor"].as_u64().unwrap())
}

/// Lets a dead run's lease run out, as if the time had passed.
fn expire_lease(stage: &Stage, vault: &VaultId) {
    let time = Duration::from_secs(31);
    stage.double().age(&lease_key(vault), time);
}

/// How often each path was downloaded, where it was.
fn pulls(stage: &Stage, vault: &VaultId) -> BTreeMap<String, u64> {
    let stats = stage.service.stats();
    let paths = tree(stage, vault).into_keys();
    let pulls = paths.map(|path| {
        let uid = stage.service.uid_of(vault, &path).unwrap();
        (path, stats.pulls_of(vault, uid))
    });
    pulls.filter(|(_, count)| *count > 0).collect()
}
