//! Bad input gets a clear word and the right exit status, and loses nothing.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use obsidian_sync::VaultId;
use obsync_devserver::{Action, DevServer, Fault, Point, VaultSpec};
use obsync_local::{About, StateDir, destination};
use serde_json::{Value, json};

use crate::sandbox::{EMAIL, PASSWORD, Sandbox};

const CONFIG: &str = ".config/obsync/config.json";

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_config_is_told_with_line_and_column() {
    let sandbox = Sandbox::new().await;
    sandbox.write(CONFIG, "{\n  \"connections\": 4\n  \"mode\": \"pull\"\n}");
    sandbox
        .obsync(&["status"])
        .exits(2)
        .says("error: ~/.config/obsync/config.json:3:3: expected `,` or `}`");
    sandbox.write(CONFIG, "{\n  \"conections\": 4\n}");
    sandbox
        .obsync(&["status"])
        .exits(2)
        .says("hint: did you mean 'connections'?");
    sandbox.write(CONFIG, "{\"connections\": 17}");
    sandbox
        .obsync(&["status"])
        .exits(2)
        .says("must be a number from 1 to 16, not '17'");
    // What mends a config must not need a good one.
    let run = sandbox.obsync(&["config", "path"]).exits(0);
    assert_eq!(run.stdout, "~/.config/obsync/config.json\n");
    sandbox.obsync(&["config", "example"]).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_in_the_working_directory_is_not_read() {
    let sandbox = Sandbox::new().await;
    for name in [
        "config.json",
        "obsync.json",
        ".obsync.json",
        "obsync/config.json",
    ] {
        sandbox.write(name, "{\"api_url\": \"https://evil.example.org\"}");
    }
    let run = sandbox.obsync(&["config", "show"]).exits(0);
    assert!(!run.stdout.contains("evil"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_variable_is_warned_of() {
    let mut sandbox = Sandbox::new().await;
    sandbox.set("OBSIDIAN_PASWORD", "hunter2");
    let run = sandbox
        .obsync(&["status"])
        .exits(0)
        .says("did you mean 'OBSIDIAN_PASSWORD'?");
    assert!(!format!("{run:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_named_with_the_flag_or_variable_they_came_from() {
    let (mut sandbox, _) = Sandbox::with_vault().await;
    for (flag, value, message) in [
        (
            "--connections",
            "99",
            "--connections must be a number from 1 to 16, not '99'",
        ),
        (
            "--mode",
            "push",
            "--mode must be pull or mirror, not 'push'",
        ),
        (
            "--max-delete",
            "half",
            "--max-delete: 'half' is neither a number nor a percentage",
        ),
        ("--file-types", "images", "--file-types: "),
        ("--configs", "app,hotkeys", "--configs: "),
        (
            "--log-format",
            "xml",
            "--log-format must be text or json, not 'xml'",
        ),
    ] {
        let run = sandbox.obsync(&["sync", "My vault", "--dest", "notes", flag, value]);
        run.exits(2).says(message);
    }
    sandbox.set("OBSIDIAN_API_URL", "http://example.org");
    sandbox
        .obsync(&["vaults"])
        .exits(2)
        .says("OBSIDIAN_API_URL must be an https:// URL");
    assert_eq!(
        sandbox.server.stats().tcp_connections,
        0,
        "all this is found before any call"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_totp_secret_that_is_not_base32() {
    let mut sandbox = Sandbox::signed_in().await;
    sandbox.set("OBSIDIAN_TOTP_SECRET", "123456");
    for command in ["totp", "login"] {
        let run = sandbox.obsync(&[command]).exits(2);
        let run = run.says("(OBSIDIAN_TOTP_SECRET) is not base32");
        assert!(!run.stderr.contains("123456"), "{run:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_or_ambiguous_vault() {
    let sandbox = Sandbox::signed_in().await;
    for (name, id) in [("Work", "aa11"), ("Work", "bb22"), ("Recipes", "cc33")] {
        sandbox
            .server
            .add_vault(VaultSpec::managed(name, EMAIL).id(id))
            .unwrap();
    }
    let sync = |vault: &str| sandbox.obsync(&["sync", vault, "--dest", "notes", "--json"]);
    let error = sync("Recipe").exits(2).json()["error"].clone();
    assert_eq!(error["kind"], "vault_unknown");
    assert_eq!(
        error["hint"],
        "did you mean 'Recipes'?\n'obsync vaults' lists them"
    );
    let error = sync("Work").exits(2).json()["error"].clone();
    assert_eq!(error["kind"], "vault_ambiguous");
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.contains("aa11") && hint.contains("bb22"), "{hint}");
    sync("aa11").exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_vault_password_is_told_from_the_accounts() {
    let (mut sandbox, vault) = Sandbox::with_vault().await;
    sandbox.set("OBSIDIAN_VAULT_PASSWORD", "hunter2");
    let run = sandbox
        .obsync(&["sync", "My vault", "--dest", "notes", "--json"])
        .exits(3);
    let document = run.json();
    assert_eq!(document["error"]["kind"], "wrong_vault_password");
    assert_eq!(
        document["vault"],
        json!({ "id": vault, "name": "My vault" })
    );
    assert!(
        run.stderr.contains("the account's password is another one"),
        "{run:?}"
    );
    assert!(!format!("{run:?}").contains("hunter2"));
    assert!(!sandbox.path("notes").exists(), "nothing was made");

    sandbox.unset("OBSIDIAN_VAULT_PASSWORD");
    let run = sandbox
        .obsync(&["sync", "My vault", "--dest", "notes", "--json"])
        .exits(3);
    assert_eq!(run.json()["error"]["kind"], "credentials_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vault_password_from_every_place() {
    let (mut sandbox, vault) = Sandbox::with_vault().await;
    sandbox.unset("OBSIDIAN_VAULT_PASSWORD");
    let file = sandbox.write("pw", "vault password\n");
    let sync = ["sync", "My vault", "--dest", "notes"];
    sandbox
        .obsync(&[&sync[..], &["--password-file", &file]].concat())
        .exits(0);
    sandbox
        .obsync_with_input(
            &[&sync[..], &["--password-file", "-"]].concat(),
            "vault password",
        )
        .exits(0);
    let run = sandbox
        .obsync(&[&sync[..], &["--password", "vault password"]].concat())
        .exits(0);
    run.says("warning: --password shows the password in the process list");
    for key in ["My vault", vault.as_str()] {
        let vaults = json!({ "vaults": { key: { "password": "vault password" } } });
        let combined = sandbox.write("credentials.json", &vaults.to_string());
        sandbox.set("OBSYNC_CREDENTIALS", &combined);
        let run = sandbox.obsync(&sync).exits(0);
        run.says("warning: other users can read the credentials file ~/credentials.json");
    }
    sandbox.unset("OBSYNC_CREDENTIALS");
    sandbox.set("OBSIDIAN_VAULT_PASSWORD_FILE", &file);
    sandbox.obsync(&sync).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_can_hold_nothing() {
    let (sandbox, _) = Sandbox::with_vault().await;
    let file = sandbox.write("a file", "mine");
    let run = sandbox
        .obsync(&["sync", "My vault", "--dest", &file, "--json"])
        .exits(1);
    assert!(run.stderr.contains("~/a file is not a folder"), "{run:?}");
    assert_eq!(sandbox.read("a file"), "mine");
    assert_eq!(
        sandbox.server.stats().tcp_connections,
        0,
        "no sign-in was needed to tell"
    );
    // Not even the superuser can make a folder here.
    #[cfg(target_os = "linux")]
    sandbox
        .obsync(&["sync", "My vault", "--dest", "/sys/obsync-test"])
        .exits(1)
        .says("/sys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_is_refused_with_the_way_out() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    let sync = ["sync", "My vault", "--dest", "notes"];
    sandbox.obsync(&sync).exits(0);
    let garbage = "this is no database at all, far from it".repeat(200);
    std::fs::write(database(&sandbox, &vault), garbage).unwrap();

    let run = sandbox.obsync(&[&sync[..], &["--json"]].concat()).exits(1);
    assert_eq!(run.json()["error"]["kind"], "state_unusable");
    assert!(run.stderr.contains("obsync reset"), "{run:?}");
    sandbox.obsync(&["status"]).exits(1);
    sandbox.obsync(&["reset", "My vault"]).exits(0);
    sandbox.obsync(&sync).exits(0);
    assert_eq!(sandbox.tree("notes").len(), 3);
}

/// Nothing of it can be read, and its folder was not there when it was first synced to: the state is
/// found by its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_is_reset_by_its_place() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    std::fs::create_dir(sandbox.path("real")).unwrap();
    std::os::unix::fs::symlink("real", sandbox.path("link")).unwrap();
    let dest = "link/my notes";
    let sync = ["sync", "My vault", "--dest", dest];
    let about = About::new(&vault, "My vault", destination(&sandbox.path(dest)));
    let paths = StateDir::new(sandbox.path(".local/state/obsync")).state(&about);
    let break_it = |status: bool| {
        sandbox.obsync(&sync).exits(0);
        let garbage = "this is no database at all, far from it".repeat(200);
        std::fs::write(&paths.db, garbage).unwrap();
        if status {
            std::fs::write(&paths.status, "no JSON either").unwrap();
        }
        let run = sandbox.obsync(&sync).exits(1);
        // As a command that can be pasted.
        run.says(&format!(
            "`obsync reset {} --dest '~/real/my notes'`",
            vault.as_str()
        ));
    };
    break_it(false);
    sandbox
        .obsync(&["status", "My vault", "--dest", dest])
        .exits(1);
    sandbox
        .obsync(&["reset", "My vault", "--dest", dest])
        .exits(0);
    break_it(true);
    let run = sandbox
        .obsync(&["reset", "My vault", "--dest", dest])
        .exits(2);
    run.says(&format!(
        "vault {} for this folder can't be read",
        vault.as_str()
    ));
    sandbox
        .obsync(&["reset", vault.as_str(), "--dest", "link"])
        .exits(2);
    let run = sandbox
        .obsync(&["reset", vault.as_str(), "--dest", dest])
        .exits(0);
    run.says("forgot the sync state for ~/real/my notes");
    break_it(true);
    // By the name, where another copy tells whose it is.
    sandbox
        .obsync(&["sync", "My vault", "--dest", "notes"])
        .exits(0);
    sandbox
        .obsync(&["reset", "My vault", "--dest", dest])
        .exits(0);
    sandbox.obsync(&sync).exits(0);
}

/// People look for it by the name that it has now.
#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_vault_is_found_by_its_new_name() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    sandbox
        .obsync(&["sync", "My vault", "--dest", "notes"])
        .exits(0);
    let renamed = json!({ "name": "Renamed" });
    sandbox.server.override_listing(&vault, renamed).unwrap();
    sandbox
        .obsync(&["sync", "Renamed", "--dest", "notes"])
        .exits(0);
    let status = sandbox.obsync(&["status", "Renamed"]).exits(0);
    assert!(status.stdout.starts_with("Renamed"), "{status:?}");
    sandbox
        .obsync(&["reset", "Renamed", "--dest", "notes"])
        .exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_down_or_broken() {
    let (mut sandbox, _) = Sandbox::with_vault().await;
    let sync = ["sync", "My vault", "--dest", "notes", "--json"];
    sandbox.obsync(&["login"]).exits(0);
    let html = Fault::new(Point::Rest, Action::Html(504)).path("/vault/list");
    let html = sandbox.server.faults().set(html).unwrap();
    let run = sandbox.obsync(&sync).exits(1);
    assert_eq!(run.json()["error"]["kind"], "edge");
    assert_eq!(
        sandbox.server.faults().remove(html),
        3,
        "it was tried three times"
    );

    // Nobody listens on this port.
    sandbox.set("OBSIDIAN_API_URL", "http://127.0.0.1:1");
    let run = sandbox.obsync(&sync).exits(1);
    assert_eq!(run.json()["error"]["kind"], "network");
    run.says("127.0.0.1 can't be reached")
        .says("hint: is this machine online?");
}

/// What stands in front of the service says nothing of tokens and passwords, whatever its answer looks
/// like.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_not_the_services_makes_no_secret_wrong() {
    let (sandbox, _) = Sandbox::with_vault().await;
    let sync = ["sync", "My vault", "--dest", "notes", "--json"];
    sandbox.obsync(&["login"]).exits(0);
    for path in ["/vault/list", "/vault/access"] {
        for (action, kind) in [
            (Action::Status(403), "edge"),
            (Action::Status(404), "edge"),
            (Action::Html(403), "edge"),
            (Action::Garbage, "edge"),
            (Action::Cut, "network"),
        ] {
            let fault = Fault::new(Point::Rest, action.clone()).path(path);
            let fault = sandbox.server.faults().set(fault).unwrap();
            let run = sandbox.obsync(&sync).exits(1);
            assert_eq!(
                run.json()["error"]["kind"],
                kind,
                "{path} {action:?}: {run:?}"
            );
            assert!(sandbox.server.faults().remove(fault) > 0);
        }
    }
    assert_eq!(sandbox.server.stats().sign_ins, 1, "nobody signed in anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_subscription() {
    let (sandbox, _) = Sandbox::with_vault().await;
    let sync = ["sync", "My vault", "--dest", "notes", "--json"];
    sandbox.obsync(&sync).exits(0);
    sandbox.server.expire_subscription(EMAIL, true).unwrap();
    let run = sandbox.obsync(&sync).exits(1);
    assert_eq!(run.json()["error"]["kind"], "subscription_expired");
    run.says("hint: renew the Obsidian Sync subscription");
    assert_eq!(sandbox.tree("notes").len(), 3, "what was copied stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encryption_scheme_from_the_future() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    sandbox
        .server
        .override_listing(&vault, json!({ "encryption_version": 9 }))
        .unwrap();
    let run = sandbox
        .obsync(&["sync", "My vault", "--dest", "notes", "--json"])
        .exits(1);
    assert_eq!(run.json()["error"]["kind"], "unsupported_encryption");
}

/// The state of the vault's copy in `notes`.
fn database(sandbox: &Sandbox, vault: &VaultId) -> PathBuf {
    let about = About::new(vault, "My vault", destination(&sandbox.path("notes")));
    StateDir::new(sandbox.path(".local/state/obsync"))
        .state(&about)
        .db
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_from_a_newer_obsync_is_left_alone() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    let sync = ["sync", "My vault", "--dest", "notes", "--json"];
    sandbox.obsync(&sync).exits(0);
    let database = database(&sandbox, &vault);
    let mut bytes = std::fs::read(&database).unwrap();
    // SQLite keeps the schema's version, `user_version`, at byte 60 of the file.
    bytes[60..64].copy_from_slice(&9999_u32.to_be_bytes());
    std::fs::write(&database, &bytes).unwrap();
    let run = sandbox.obsync(&sync).exits(1);
    assert_eq!(run.json()["error"]["kind"], "state_unusable");
    run.says("newer obsync");
    assert_eq!(std::fs::read(&database).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_hinted_at() {
    let clock = || SystemTime::now() + Duration::from_secs(3600);
    let totp = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    let mut sandbox = Sandbox::with(DevServer::builder().clock(clock), Some(totp)).await;
    sandbox.set("OBSIDIAN_EMAIL", EMAIL);
    sandbox.set("OBSIDIAN_PASSWORD", PASSWORD);
    // Codes that change each second: the second try need not wait for half a minute.
    let url = format!("otpauth://totp/Obsidian?secret={totp}&period=1");
    sandbox.set("OBSIDIAN_TOTP_SECRET", &url);
    let run = sandbox.obsync(&["login", "--json"]).exits(3);
    assert_eq!(run.json()["error"]["kind"], "two_factor_refused");
    run.says("hint: is this machine's clock right?");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn a_disk_that_fills_up_in_the_middle_of_a_run() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    for number in 0..20 {
        sandbox.put(
            &vault,
            &format!("{number}.md"),
            &format!("{number} ").repeat(5000),
        );
    }
    std::fs::create_dir(sandbox.path("notes")).unwrap();
    // A small disk, in a mount namespace of its own; the copy is taken out at each step.
    let script = r#"
        mount -t tmpfs -o size=128k tmpfs notes || exit 77
        "$0" "$@"; echo "$?" > first
        cp -r notes before
        mount -o remount,size=4m notes
        "$0" "$@"; echo "$?" > second
        cp -r notes after
    "#;
    let run = sandbox.command(&[]);
    let mut unshare = std::process::Command::new("unshare");
    unshare
        .args(["-rm", "sh", "-c", script])
        .arg(run.get_program())
        .args(["sync", "My vault", "--dest", "notes", "--json"])
        .current_dir(run.get_current_dir().unwrap())
        .envs(
            run.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    let output = unshare.output();
    if !output
        .as_ref()
        .is_ok_and(|output| output.status.code() != Some(77) && output.status.success())
    {
        eprintln!("skipped: no mount namespaces here: {output:?}");
        return;
    }
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    let documents: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(sandbox.read("first"), "1\n", "{output}");
    assert_eq!(documents[0]["error"]["kind"], "destination_full");
    let whole = sandbox.server.tree(&vault).unwrap();
    let before = sandbox.tree("before");
    assert!(!before.is_empty() && before.len() < whole.len());
    for (name, content) in before {
        assert_eq!(
            whole[&name],
            content.as_bytes(),
            "{name} is whole or not there"
        );
    }
    assert_eq!(sandbox.read("second"), "0\n", "{output}");
    assert_eq!(sandbox.tree("after").len(), whole.len());
}
