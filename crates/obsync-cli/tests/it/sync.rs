//! The main job, from the outside.

use std::io::{BufRead as _, BufReader};
use std::process::Command;
use std::time::Duration;

use obsidian_sync::VaultId;
use obsync_devserver::{Action, Fault, Point};
use obsync_local::{About, RunLock, StateDir, destination};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const SYNC: [&str; 4] = ["sync", "My vault", "--dest", "notes"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SYNC[..], more].concat()
}

fn tree(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files
        .iter()
        .map(|(path, content)| ((*path).to_owned(), (*content).to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn brings_a_vault_and_then_nothing() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    let mut document = sandbox.obsync(&with(&["--json"])).exits(0).json();
    let took = document.as_object_mut().unwrap().remove("duration_ms");
    assert!(took.unwrap().is_u64());
    assert_eq!(
        document,
        json!({
            "schema": 1, "command": "sync", "vault": { "id": vault, "name": "My vault" },
            "dest": sandbox.path("notes").canonicalize().unwrap().to_str().unwrap()
                .replace(sandbox.path("").canonicalize().unwrap().to_str().unwrap(), "~"),
            "status": "complete", "files_downloaded": 3, "files_moved": 0, "files_deleted": 0,
            "files_failed": 0, "files_skipped": 0, "files_hidden": 0, "bytes": 11, "cursor": 4,
            "remaining": 0, "problems": [], "notes": [],
        })
    );
    let files = [
        ("Hello.md", "# Hello"),
        ("daily/2026-11-22.md", "rain"),
        ("empty.md", ""),
    ];
    assert_eq!(sandbox.tree("notes"), tree(&files));

    let run = sandbox.obsync(&SYNC).exits(0).says("up to date");
    assert_eq!(run.stdout, "", "people's words go to standard error");
    let document = sandbox.obsync(&with(&["--json"])).exits(0).json();
    assert_eq!(document["files_downloaded"], 0);
    assert_eq!(sandbox.server.stats().sign_ins, 1, "the token is kept");
    sandbox.obsync(&with(&["--quiet"])).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_the_plan_and_does_nothing() {
    let (sandbox, _) = Sandbox::with_vault().await;
    let run = sandbox.obsync(&with(&["--dry-run"])).exits(0);
    assert!(run.stdout.contains("download       Hello.md"), "{run:?}");
    assert!(!sandbox.path("notes").exists());
    let document = sandbox
        .obsync(&with(&["--dry-run", "--json"]))
        .exits(0)
        .json();
    assert_eq!(document["status"], "planned");
    assert_eq!(document["steps"].as_array().unwrap().len(), 4);
    assert_eq!(sandbox.server.stats().pulled(), 0);
    sandbox.obsync(&SYNC).exits(0);
    sandbox
        .obsync(&with(&["--dry-run"]))
        .exits(0)
        .says("there is nothing to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_file_is_told_and_tried_again() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    let uid = sandbox.server.uid_of(&vault, "Hello.md").unwrap();
    let flip = Fault::new(Point::Pull, Action::FlipBit).uid(uid);
    sandbox.server.faults().set(flip).unwrap();
    let run = sandbox.obsync(&with(&["--json"])).exits(4);
    let document = run.json();
    assert_eq!(document["status"], "partial");
    assert_eq!(document["files_failed"], 1);
    assert_eq!(document["files_downloaded"], 2);
    assert_eq!(document["problems"][0]["path"], "Hello.md");
    assert_eq!(document["problems"][0]["kind"], "failed");
    assert!(run.stderr.contains("failed: Hello.md: "), "{run:?}");
    let status = sandbox.obsync(&["status", "My vault"]).exits(0);
    assert!(status.stdout.contains("not brought"), "{status:?}");

    sandbox.server.faults().clear();
    sandbox.obsync(&SYNC).exits(0).says("1 downloaded");
}

/// What cron mails: nothing of a good run, what is wrong of another.
#[tokio::test(flavor = "multi_thread")]
async fn quiet_still_tells_what_is_wrong() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    let quiet = with(&["-q"]);
    assert_eq!(sandbox.obsync(&quiet).exits(0).stderr, "");
    sandbox.put(&vault, "../out.md", "skipped in each run");
    assert_eq!(sandbox.obsync(&quiet).exits(0).stderr, "");

    sandbox.put(&vault, "bad.md", "x");
    let uid = sandbox.server.uid_of(&vault, "bad.md").unwrap();
    let flip = Fault::new(Point::Pull, Action::FlipBit).uid(uid);
    sandbox.server.faults().set(flip).unwrap();
    let run = sandbox.obsync(&quiet).exits(4).says("  failed: bad.md: ");
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{run:?}");
    assert_eq!(lines[0], "'My vault' → ~/notes");
    assert!(
        lines[2].starts_with("partly done, run again: 1 failed"),
        "{run:?}"
    );
    sandbox.server.faults().clear();
    assert_eq!(sandbox.obsync(&quiet).exits(0).stderr, "");

    // Told once, by the run that did it, and by no other.
    sandbox.write("notes/Hello.md", "mine");
    sandbox.put(&vault, "Hello.md", "theirs");
    sandbox.obsync(&quiet).exits(0).says("  kept: Hello.md: ");
    assert_eq!(sandbox.obsync(&quiet).exits(0).stderr, "");

    let mut sandbox = sandbox;
    sandbox.set("OBSYNC_ZEBRA", "1");
    sandbox
        .obsync(&quiet)
        .exits(0)
        .says("warning: the variable OBSYNC_ZEBRA");
    sandbox
        .obsync(&["config", "show", "-q"])
        .exits(0)
        .says("warning: the variable");
    let file = sandbox.write("a file", "");
    let run = sandbox.obsync(&["doctor", "My vault", "--dest", &file, "-q"]);
    run.exits(1).says("1 check failed");
}

/// Who reads the documents finds the same fields, however early a run ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_did_nothing_has_a_whole_document_too() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    let whole = sandbox.obsync(&with(&["--json"])).exits(0).json();
    let keys = |document: &Value| {
        let keys = document.as_object().unwrap().keys();
        keys.filter(|key| *key != "error")
            .cloned()
            .collect::<Vec<_>>()
    };
    let run = |arguments: &[&str], status: i32, word: &str, cursor: Value| {
        let document = sandbox
            .obsync(&[arguments, &["--json"]].concat())
            .exits(status)
            .json();
        assert_eq!(keys(&document), keys(&whole), "{document}");
        assert_eq!(document["status"], word, "{document}");
        assert_eq!(document["cursor"], cursor, "{document}");
        assert_eq!(document["files_downloaded"], 0, "{document}");
        assert_eq!(document["problems"], json!([]), "{document}");
        assert!(document["duration_ms"].is_number(), "{document}");
        assert!(document["error"]["kind"].is_string(), "{document}");
    };
    run(
        &["sync", "None", "--dest", "notes"],
        2,
        "failed",
        Value::Null,
    );
    for path in ["Hello.md", "empty.md"] {
        sandbox.server.delete(&vault, path).unwrap();
    }
    run(&with(&["--max-delete", "1"]), 6, "failed", json!(4));
    let overloaded = Fault::new(Point::Init, Action::overloaded());
    sandbox.server.faults().set(overloaded).unwrap();
    run(&SYNC, 1, "failed", json!(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_must_not_be_written_is_named_escaped() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    sandbox.put(&vault, "../evil\u{1b}[2J.md", "x");
    sandbox.put(&vault, ".git/hooks/post-checkout", "x");
    let run = sandbox
        .obsync(&SYNC)
        .exits(0)
        .says("skipped: ../evil\\u{1b}[2J.md: ");
    assert!(
        run.stderr.contains("skipped: .git/hooks/post-checkout: "),
        "{run:?}"
    );
    assert!(run.stderr.contains("2 skipped"), "{run:?}");
    assert_eq!(sandbox.tree("notes").len(), 3);
    assert!(!sandbox.path("evil\u{1b}[2J.md").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn local_edits_are_kept_and_a_mirror_keeps_them_in_the_trash() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    sandbox.obsync(&with(&["--device", "laptop"])).exits(0);
    sandbox.write("notes/Hello.md", "mine");
    sandbox.put(&vault, "Hello.md", "theirs");
    let run = sandbox.obsync(&with(&["--device", "laptop"])).exits(0);
    assert!(run.stderr.contains("kept: Hello.md: "), "{run:?}");
    let files = sandbox.tree("notes");
    let copy = files
        .iter()
        .find(|(name, _)| name.starts_with("Hello (Conflicted copy laptop"));
    assert_eq!(copy.unwrap().1, "mine");
    assert_eq!(sandbox.read("notes/Hello.md"), "theirs");

    sandbox.obsync(&with(&["--mode", "mirror"])).exits(0);
    assert_eq!(sandbox.tree("notes").len(), 3);
    let trash = sandbox.tree(".local/state/obsync/trash");
    assert_eq!(
        trash
            .iter()
            .filter(|(_, content)| content == "mine")
            .count(),
        1,
        "{trash:?}"
    );

    sandbox.write("notes/extra.md", "gone for good");
    sandbox
        .obsync(&with(&["--mode", "mirror", "--no-trash"]))
        .exits(0);
    assert_eq!(sandbox.tree("notes").len(), 3);
    assert_eq!(sandbox.tree(".local/state/obsync/trash"), trash);
}

#[tokio::test(flavor = "multi_thread")]
async fn guards_stop_a_run_before_it_does_harm() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    sandbox.obsync(&SYNC).exits(0);
    for path in ["Hello.md", "empty.md"] {
        sandbox.server.delete(&vault, path).unwrap();
    }
    let run = sandbox
        .obsync(&with(&["--max-delete", "1", "--json"]))
        .exits(6);
    assert_eq!(run.json()["error"]["kind"], "guard");
    assert!(
        run.stderr
            .contains("stopped: this run would delete 2 of 3 files"),
        "{run:?}"
    );
    assert_eq!(sandbox.tree("notes").len(), 3);
    let dry = sandbox
        .obsync(&with(&["--max-delete", "1", "--dry-run"]))
        .exits(6);
    assert!(
        dry.stdout.contains("delete"),
        "the plan is shown all the same: {dry:?}"
    );
    sandbox
        .obsync(&with(&["--max-delete", "2"]))
        .exits(0)
        .says("2 deleted");

    std::fs::remove_dir_all(sandbox.path("notes")).unwrap();
    sandbox.put(&vault, "new.md", "new");
    let run = sandbox.obsync(&SYNC).exits(6).says("is gone or empty");
    assert!(run.stderr.contains("obsync reset"), "{run:?}");
    sandbox
        .obsync(&["reset", "My vault", "--dest", "notes"])
        .exits(0);
    sandbox.obsync(&SYNC).exits(0);
    assert_eq!(sandbox.tree("notes").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_at_a_time() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    sandbox.obsync(&SYNC).exits(0);
    let about = About::new(&vault, "My vault", destination(&sandbox.path("notes")));
    let paths = StateDir::new(sandbox.path(".local/state/obsync")).state(&about);
    let lock = RunLock::take(&paths.lock, "the copy").unwrap();
    let run = sandbox.obsync(&with(&["--json"])).exits(5);
    assert_eq!(run.json()["error"]["kind"], "busy");
    sandbox.obsync(&["reset", "My vault"]).exits(5);
    sandbox.obsync(&["status"]).exits(0);
    drop(lock);
    sandbox.obsync(&SYNC).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_where_things_stand_without_the_service() {
    let (mut sandbox, vault) = Sandbox::with_vault().await;
    sandbox
        .obsync(&["status"])
        .exits(0)
        .says("nothing was synced from here yet");
    sandbox.obsync(&SYNC).exits(0);
    sandbox.set("OBSIDIAN_API_URL", "http://127.0.0.1:1");
    for arguments in [
        &["status", "--json"][..],
        &["status", vault.as_str(), "--json"],
    ] {
        let document = sandbox.obsync(arguments).exits(0).json();
        let one = &document["vaults"][0];
        assert_eq!(one["vault_id"], json!(vault));
        assert_eq!((&one["cursor"], &one["files"]), (&json!(4), &json!(3)));
        assert_eq!(
            (&one["pending"], &one["last_error"]),
            (&json!(0), &Value::Null)
        );
        assert!(one["last_success"].as_str().unwrap().ends_with('Z'));
    }
    let run = sandbox.obsync(&["status"]).exits(0);
    assert!(run.stdout.starts_with("My vault"), "{run:?}");
    assert!(run.stdout.contains("last success"), "{run:?}");
    sandbox
        .obsync(&["status", "My valt"])
        .exits(2)
        .says("did you mean 'My vault'?");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_leave_out_and_never_delete() {
    let (sandbox, _) = Sandbox::with_vault().await;
    sandbox
        .obsync(&with(&["--exclude-folder", "daily"]))
        .exits(0);
    assert_eq!(sandbox.tree("notes").len(), 2);
    sandbox.obsync(&SYNC).exits(0);
    assert_eq!(sandbox.tree("notes").len(), 3);
    sandbox.obsync(&with(&["--include", "Hello.md"])).exits(0);
    assert_eq!(sandbox.tree("notes").len(), 3, "what a filter hides stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_goes_to_standard_error_in_the_form_that_is_asked_for() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    let run = sandbox
        .obsync(&with(&["--progress", "json", "--json"]))
        .exits(0);
    run.json();
    let events: Vec<Value> = run
        .stderr
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.len(), run.stderr.lines().count(), "{run:?}");
    let named = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!(named("planned"), 1, "{events:?}");
    assert_eq!(named("downloaded"), 3, "{events:?}");

    sandbox.put(&vault, "more.md", "more");
    let run = sandbox.obsync(&with(&["--quiet"])).exits(0);
    assert_eq!(run.stderr, "", "a good run says nothing then");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_run_at_a_safe_point() {
    for signal in ["-INT", "-TERM"] {
        let (sandbox, vault) = Sandbox::with_vault().await;
        many(&sandbox, &vault);
        sandbox
            .server
            .faults()
            .set_latency(Duration::from_millis(50));
        let arguments = with(&["--json", "--progress", "json", "--connections", "1"]);
        let mut child = sandbox.command(&arguments).spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(
            told.any(|line| line.unwrap().contains("\"downloaded\"")),
            "it never began"
        );
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        assert!(told.any(|line| line.unwrap().contains("stopping at a safe point")));

        let document = sandbox.finish(child).exits(4).json();
        assert_eq!(document["status"], "partial", "{document}");
        assert_eq!(document["error"]["kind"], "stopped", "{document}");
        sandbox.server.faults().set_latency(Duration::ZERO);
        sandbox.obsync(&SYNC).exits(0);
        assert_eq!(sandbox.tree("notes").len(), 63);
    }
}

/// Told to stop before it knew what there is to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_early_is_partly_done() {
    let (sandbox, _) = Sandbox::with_vault().await;
    let hang = Fault::new(Point::Backlog, Action::Hang);
    let hang = sandbox.server.faults().set(hang).unwrap();
    let child = sandbox.command(&with(&["--json"])).spawn().unwrap();
    while sandbox.server.faults().struck(hang) == 0 {
        tokio::task::yield_now().await;
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let document = sandbox.finish(child).exits(4).json();
    assert_eq!(document["status"], "partial", "{document}");
    assert_eq!(document["error"]["kind"], "stopped", "{document}");
    assert_eq!(document["cursor"], 0, "{document}");
}

fn many(sandbox: &Sandbox, vault: &VaultId) {
    for number in 0..60 {
        sandbox.put(vault, &format!("n{number}.md"), &format!("note {number}"));
    }
}
