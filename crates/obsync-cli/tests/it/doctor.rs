//! `doctor`: each of its checks, well and not.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use obsidian_sync::VaultId;
use obsync_devserver::{DevServer, VaultSpec};
use obsync_doubles::s3::{Double, How};
use serde_json::{Value, json};

use crate::sandbox::{EMAIL, PASSWORD, Run, Sandbox, VAULT_PASSWORD};

const DEST: [&str; 3] = ["My vault", "--dest", "notes"];
const BUCKET: [&str; 3] = ["My vault", "--dest", "s3://notes/copies/mine"];

fn doctor(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let run = sandbox.obsync(&[&["doctor", "--json"], arguments].concat());
    for secret in [PASSWORD, VAULT_PASSWORD, "hidden key"] {
        assert!(!format!("{run:?}").contains(secret), "{run:#?}");
    }
    run
}

/// Status and message of the first check of a name.
#[track_caller]
fn check(run: &Run, name: &str) -> (String, String) {
    let document = run.json();
    assert_eq!(document["command"], "doctor");
    let checks = document["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no check '{name}' in {document:#}"));
    let text = |field: &str| found[field].as_str().unwrap().to_owned();
    (text("status"), text("message"))
}

#[track_caller]
fn expect(run: &Run, name: &str, status: &str, words: &str) {
    let (found, message) = check(run, name);
    assert!(
        found == status && message.contains(words),
        "'{name}' is {found}: {message}\n{run:#?}"
    );
}

/// A vault that was synced to a folder, by somebody who is signed in.
async fn synced() -> (Sandbox, VaultId) {
    let (sandbox, vault) = Sandbox::with_vault().await;
    sandbox
        .obsync(&["sync", "My vault", "--dest", "notes"])
        .exits(0);
    (sandbox, vault)
}

async fn bucket() -> (Sandbox, VaultId, Double) {
    let (mut sandbox, vault) = Sandbox::with_vault().await;
    let double = Double::start().await;
    sandbox.set("AWS_ENDPOINT_URL_S3", &double.url);
    sandbox.set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    sandbox.set("AWS_SECRET_ACCESS_KEY", "hidden key");
    sandbox.obsync(&["login"]).exits(0);
    (sandbox, vault, double)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_and_stays_as_it_was() {
    let (sandbox, _) = synced().await;
    let files = || {
        let mut files = sandbox.files("notes");
        files.extend(sandbox.files(".local"));
        files
    };
    let before = files();
    let sign_ins = sandbox.server.stats().sign_ins;
    let run = doctor(&sandbox, &DEST).exits(0).says("all is well");
    let document = run.json();
    assert_eq!(document["status"], "ok");
    let names: Vec<&str> = document["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "config",
            "settings",
            "state_folder",
            "api",
            "clock",
            "sign_in",
            "vaults",
            "vault",
            "sync_host",
            "vault_password",
            "destination",
            "names",
            "space",
            "lock",
            "state",
            "copy"
        ]
    );
    expect(&run, "settings", "ok", "api_url from OBSIDIAN_API_URL");
    expect(&run, "settings", "ok", "from OBSIDIAN_PASSWORD");
    expect(&run, "sign_in", "ok", EMAIL);
    expect(&run, "vaults", "ok", "1 vault");
    expect(&run, "state", "ok", "3 files in the sync state");
    assert_eq!(files(), before);
    assert_eq!(sandbox.server.stats().sign_ins, sign_ins);

    let run = sandbox.obsync(&[&["doctor"], &DEST[..]].concat()).exits(0);
    assert!(run.stdout.contains("ok  clock"), "{run:?}");
    let run = doctor(&sandbox, &[]).exits(0);
    expect(&run, "state", "ok", "'My vault' in ~/notes: 3 files");
    let run = doctor(&sandbox, &["My vault", "--dest", "new"]).exits(0);
    expect(&run, "destination", "ok", "can be created");
    assert!(!sandbox.path("new").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_wrong() {
    let (mut sandbox, _) = synced().await;
    sandbox.set("OBSYNC_ZEBRA", "1");
    let run = doctor(&sandbox, &DEST).exits(0).says("1 warning");
    let document = run.json();
    assert_eq!(document["status"], "warning");
    let warned = document["checks"].as_array().unwrap().iter();
    let mut warned = warned.filter(|check| check["status"] == "warning");
    let message = warned.next().unwrap()["message"].as_str().unwrap();
    assert!(message.contains("OBSYNC_ZEBRA"), "{message}");

    sandbox.write(".config/obsync/config.json", "{\"max_delete\": \"many\"}");
    let run = doctor(&sandbox, &DEST).exits(1);
    expect(&run, "config", "ok", "config.json was read");
    expect(&run, "settings", "failed", "many");

    sandbox.write(".config/obsync/config.json", "{\"zebra\": 1}");
    let run = doctor(&sandbox, &DEST).exits(1);
    expect(&run, "config", "failed", "zebra");
    for name in [
        "state_folder",
        "api",
        "sign_in",
        "vault_password",
        "destination",
    ] {
        expect(&run, name, "skipped", "settings");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_others_may_read() {
    let (sandbox, _) = synced().await;
    let token = sandbox.path(".local/state/obsync/token.json");
    std::fs::set_permissions(token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let run = doctor(&sandbox, &[]).exits(0);
    expect(&run, "state_folder", "warning", "token.json (mode 644)");
    assert!(run.stdout.contains("chmod 600"), "{run:?}");

    let run = {
        let mut sandbox = sandbox;
        let file = sandbox.write("in-the-way", "");
        sandbox.set("OBSYNC_STATE_DIR", &file);
        doctor(&sandbox, &[])
    };
    expect(&run, "state_folder", "failed", "can't use the state folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_network_what_is_local_is_still_told() {
    let (mut sandbox, _) = synced().await;
    // Port 1 of this machine: nobody is there.
    sandbox.set("OBSIDIAN_API_URL", "http://127.0.0.1:1");
    let run = doctor(&sandbox, &DEST).exits(1);
    expect(&run, "api", "failed", "does not take connections");
    for name in [
        "clock",
        "sign_in",
        "vaults",
        "vault",
        "sync_host",
        "vault_password",
    ] {
        expect(&run, name, "skipped", "can't be reached");
    }
    for name in [
        "config",
        "state_folder",
        "destination",
        "space",
        "lock",
        "state",
        "copy",
    ] {
        expect(&run, name, "ok", "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off() {
    for (seconds, state, exit) in [(-60, "failed", 1), (60, "failed", 1), (25, "warning", 0)] {
        let theirs = move || {
            let off = Duration::from_secs(i64::unsigned_abs(seconds));
            match seconds < 0 {
                true => SystemTime::now() - off,
                false => SystemTime::now() + off,
            }
        };
        let builder = DevServer::builder().clock(theirs);
        let mut sandbox = Sandbox::with(builder, None).await;
        let token = sandbox.server.issue_token(EMAIL).unwrap();
        sandbox.set("OBSIDIAN_AUTH_TOKEN", token.expose());
        let run = doctor(&sandbox, &[]).exits(exit);
        let which = if seconds < 0 { "ahead of" } else { "behind" };
        expect(&run, "clock", state, which);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_is_missing_or_over() {
    let (mut sandbox, _) = Sandbox::with_vault().await;
    let run = doctor(&sandbox, &DEST).exits(0);
    expect(&run, "sign_in", "warning", "not signed in");
    assert!(
        run.stdout.contains("password from OBSIDIAN_PASSWORD"),
        "{run:?}"
    );
    expect(&run, "vault_password", "skipped", "nobody is signed in");
    assert_eq!(sandbox.server.stats().sign_in_attempts, 0);

    sandbox.obsync(&["login"]).exits(0);
    sandbox.unset("OBSIDIAN_PASSWORD");
    sandbox.server.revoke_tokens(EMAIL).unwrap();
    let run = doctor(&sandbox, &DEST).exits(3);
    expect(&run, "sign_in", "failed", "");
    assert!(run.stdout.contains("obsync login"), "{run:?}");

    sandbox.set("OBSIDIAN_AUTH_TOKEN", "stale-token");
    let run = doctor(&sandbox, &DEST).exits(3);
    expect(&run, "sign_in", "failed", "");
    assert!(!run.stdout.contains("stale-token"), "{run:?}");

    sandbox.unset("OBSIDIAN_AUTH_TOKEN");
    sandbox.obsync(&["logout", "--local"]).exits(0);
    let run = doctor(&sandbox, &DEST).exits(3);
    expect(&run, "sign_in", "failed", "not signed in");
    assert_eq!(sandbox.server.stats().sign_in_attempts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_not_there_or_whose_password_is_wrong() {
    let (mut sandbox, vault) = synced().await;
    let run = doctor(&sandbox, &["My valut"]).exits(1);
    expect(&run, "vault", "failed", "My valut");
    assert!(run.stdout.contains("did you mean 'My vault'?"), "{run:?}");
    expect(&run, "sync_host", "skipped", "no such vault");

    sandbox.set("OBSIDIAN_VAULT_PASSWORD", "not it");
    let run = doctor(&sandbox, &DEST).exits(3);
    expect(&run, "vault_password", "failed", "");
    sandbox.unset("OBSIDIAN_VAULT_PASSWORD");
    let run = doctor(&sandbox, &DEST).exits(0);
    expect(&run, "vault_password", "warning", "was not given");
    let file = sandbox.write("password", VAULT_PASSWORD);
    let run = doctor(&sandbox, &[&DEST[..], &["--password-file", &file]].concat()).exits(0);
    expect(
        &run,
        "vault_password",
        "ok",
        "password (named by --password-file)",
    );

    let huge = json!({ "size": u64::MAX / 2 });
    sandbox.server.override_listing(&vault, huge).unwrap();
    let run = doctor(&sandbox, &DEST).exits(0);
    expect(&run, "space", "warning", "still to come");
    let elsewhere = json!({ "host": "evil.example" });
    sandbox.server.override_listing(&vault, elsewhere).unwrap();
    let run = doctor(&sandbox, &DEST).exits(1);
    expect(&run, "sync_host", "failed", "evil.example");
    let nobody = json!({ "host": "127.0.0.1:1" });
    sandbox.server.override_listing(&vault, nobody).unwrap();
    let run = doctor(&sandbox, &DEST).exits(1);
    expect(&run, "sync_host", "failed", "does not take connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_can_not_be_used() {
    let (sandbox, _) = synced().await;
    sandbox.write("file", "");
    let run = doctor(&sandbox, &["My vault", "--dest", "file"]).exits(1);
    expect(&run, "destination", "failed", "is not a folder");
    let run = doctor(&sandbox, &["My vault", "--dest", "file/below"]).exits(1);
    expect(&run, "destination", "failed", "");
    expect(&run, "copy", "skipped", "can't be used");

    std::fs::create_dir(sandbox.path("fixed")).unwrap();
    let fixed = std::fs::Permissions::from_mode(0o555);
    std::fs::set_permissions(sandbox.path("fixed"), fixed).unwrap();
    for dest in ["fixed", "fixed/below"] {
        let run = sandbox.obsync_bound(&["doctor", "--json", "My vault", "--dest", dest]);
        expect(&run, "destination", "failed", "permission denied");
        assert_eq!(run.status, Some(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_run_at_work() {
    let (sandbox, _) = synced().await;
    let lock = std::fs::File::options()
        .write(true)
        .open(sandbox.path("notes/.obsync/lock"))
        .unwrap();
    lock.lock().unwrap();
    let run = doctor(&sandbox, &DEST).exits(0);
    expect(&run, "lock", "warning", "another obsync run");
    drop(lock);
    expect(&doctor(&sandbox, &DEST), "lock", "ok", "");
    let states = sandbox.files(".local/state/obsync/vaults").into_iter();
    let mut locks = states.filter(|path| path.to_str().unwrap().ends_with(".lock"));
    let path = locks.next().unwrap();
    let lock = std::fs::File::options().write(true).open(path).unwrap();
    lock.lock().unwrap();
    expect(
        &doctor(&sandbox, &DEST),
        "lock",
        "warning",
        "another obsync run",
    );
}

/// It looks at locks and takes none, and what a doctor who was killed left is gone after the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_leaves_locks_and_no_probe() {
    let (sandbox, _) = synced().await;
    let states = sandbox.files(".local/state/obsync/vaults").into_iter();
    let mut locks = states.filter(|path| path.extension().is_some_and(|end| end == "lock"));
    let lock = locks.next().unwrap();
    std::fs::write(&lock, "4711\n").unwrap();
    for probe in ["notes/.obsync/probe", ".local/state/obsync/probe"] {
        sandbox.write(probe, "left");
    }
    expect(&doctor(&sandbox, &DEST).exits(0), "lock", "ok", "");
    assert_eq!(std::fs::read(&lock).unwrap(), b"4711\n");
    let left = [sandbox.files("notes/.obsync"), sandbox.files(".local")].concat();
    let probe = |path: &&std::path::PathBuf| path.to_str().unwrap().contains("/probe");
    assert_eq!(left.iter().find(probe), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn states_that_can_not_be_looked_at_are_not_none() {
    let (sandbox, _) = synced().await;
    let vaults = sandbox.path(".local/state/obsync/vaults");
    let mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&vaults, mode).unwrap();
    };
    mode(0);
    let run = sandbox.obsync_bound(&["doctor", "--json"]).exits(1);
    mode(0o700);
    expect(&run, "state", "failed", "vaults");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_or_a_copy_that_is_not_what_it_was() {
    let (sandbox, _) = synced().await;
    let other = VaultSpec::encrypted("Other", EMAIL, VAULT_PASSWORD);
    sandbox.server.add_vault(other).unwrap();
    let run = doctor(&sandbox, &["Other", "--dest", "notes"]).exits(1);
    expect(&run, "copy", "failed", "another vault");

    std::fs::rename(sandbox.path("notes"), sandbox.path("away")).unwrap();
    let run = doctor(&sandbox, &DEST).exits(1);
    expect(&run, "copy", "failed", "is a disk not mounted?");
    std::fs::rename(sandbox.path("away"), sandbox.path("notes")).unwrap();
    doctor(&sandbox, &DEST).exits(0);

    for path in sandbox.files(".local/state/obsync/vaults") {
        if path.extension().is_some_and(|end| end == "db") {
            std::fs::write(&path, "this is no database at all, but it is quite long").unwrap();
        }
    }
    let run = doctor(&sandbox, &DEST).exits(1);
    expect(&run, "state", "failed", "");
    expect(&run, "copy", "skipped", "state");
    expect(&doctor(&sandbox, &[]).exits(1), "state", "failed", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_where_all_is_well_is_left_as_it_was() {
    let (sandbox, _, double) = bucket().await;
    let run = doctor(&sandbox, &BUCKET).exits(0);
    for name in [
        "s3_credentials",
        "s3_list",
        "s3_versioning",
        "s3_put",
        "s3_conditions",
        "s3_get",
        "s3_delete",
        "s3_uploads",
        "s3_state",
    ] {
        expect(&run, name, "ok", "");
    }
    expect(&run, "state", "ok", "nothing was synced there yet");
    assert_eq!(double.keys(), [""; 0]);
    let written: Vec<String> = double
        .requests()
        .into_iter()
        .filter(|line| !line.starts_with("GET ") && !line.starts_with("HEAD "))
        .collect();
    assert!(!written.is_empty());
    // Nothing is deleted beside the states: the credentials need not be allowed to.
    let own = |line: &String| {
        line.contains(" copies/mine/.obsync/probe-") || line == "PUT state/.obsync-probe"
    };
    assert!(written.iter().all(own), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_missing_right_is_named() {
    let (sandbox, _, double) = bucket().await;
    for (at, name, action) in [
        ("GET ", "s3_list", "s3:ListBucket"),
        ("PUT copies/mine/.obsync/probe", "s3_put", "s3:PutObject"),
        ("GET copies/mine/.obsync/probe", "s3_get", "s3:GetObject"),
        (
            "DELETE copies/mine/.obsync/probe",
            "s3_delete",
            "s3:DeleteObject",
        ),
        (
            "POST copies/mine/.obsync/probe",
            "s3_uploads",
            "s3:PutObject",
        ),
        ("PUT state/.obsync-probe", "s3_state", "s3:PutObject"),
    ] {
        double.fail(at, How::Answer(403, "AccessDenied", ""));
        let run = doctor(&sandbox, &BUCKET).exits(1);
        expect(&run, name, "failed", &format!("{action} is denied"));
        for other in [
            "s3_list",
            "s3_put",
            "s3_get",
            "s3_delete",
            "s3_uploads",
            "s3_state",
        ] {
            let after = other != name && (name != "s3_put" || other == "s3_state");
            if after {
                expect(&run, other, "ok", "");
            }
        }
        for key in double.keys() {
            assert_eq!(name, "s3_delete", "{key}");
            expect(&run, name, "failed", &key);
            double.remove(&key);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_can_not_be_used() {
    let (mut sandbox, _, double) = bucket().await;
    let run = doctor(&sandbox, &["My vault", "--dest", "s3://other/mine"]).exits(1);
    expect(&run, "s3_list", "failed", "there is no bucket 'other'");
    for name in [
        "s3_put",
        "s3_conditions",
        "s3_get",
        "s3_delete",
        "s3_state",
        "state",
    ] {
        expect(&run, name, "skipped", "");
    }
    let moved = "<Region>eu-west-1</Region>";
    let elsewhere = How::Answer(400, "AuthorizationHeaderMalformed", moved);
    double.fail("GET ", elsewhere);
    let run = doctor(&sandbox, &BUCKET).exits(1);
    expect(&run, "s3_list", "failed", "eu-west-1");

    double.ignore_conditions();
    let run = doctor(&sandbox, &BUCKET).exits(1);
    expect(&run, "s3_conditions", "failed", "If-None-Match");
    assert_eq!(double.keys(), [""; 0], "nothing is left behind");

    sandbox.unset("AWS_SECRET_ACCESS_KEY");
    let run = doctor(&sandbox, &BUCKET).exits(3);
    expect(&run, "destination", "failed", "AWS_SECRET_ACCESS_KEY");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_where_another_run_is_at_work() {
    let (sandbox, _, double) = bucket().await;
    sandbox
        .obsync(&["sync", "My vault", "--dest", BUCKET[2]])
        .exits(0);
    let run = doctor(&sandbox, &BUCKET).exits(0);
    expect(&run, "lock", "ok", "");
    expect(&run, "state", "ok", "3 files in the sync state");
    let ends = |end: &str| {
        let mut keys = double.keys().into_iter().filter(|key| key.ends_with(end));
        keys.next().unwrap()
    };
    let lease = ends(".lease.json");
    let document = json!({"schema": 1, "owner": "somebody", "fence": 7, "renewals": 0});
    double.put(&lease, document.to_string().as_bytes());
    let run = doctor(&sandbox, &BUCKET).exits(0);
    expect(&run, "lock", "warning", "another run");
    double.remove(&lease);

    let state = ends(".status.json").replace(".status.json", ".json");
    double.put(&state, b"{ torn");
    let run = doctor(&sandbox, &BUCKET).exits(1);
    expect(&run, "state", "failed", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_keeps_no_versions() {
    let (sandbox, _, double) = bucket().await;
    double.keep_no_versions();
    let run = doctor(&sandbox, &BUCKET).exits(0);
    expect(&run, "s3_versioning", "warning", "no old versions");
    let hint: Value = run.json()["checks"].clone();
    assert!(hint.to_string().contains("turn versioning on"), "{hint}");
}
