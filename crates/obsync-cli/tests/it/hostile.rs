//! A malicious service against the real program: what it prints, and where it goes.

use obsidian_sync::VaultId;
use obsync_devserver::{Action, Fault, Point, RawRecord, VaultSpec};
use obsync_doubles::s3::Double;
use serde_json::{Value, json};

use crate::sandbox::{PASSWORD, Run, Sandbox, VAULT_PASSWORD};

const SYNC: [&str; 4] = ["sync", "My vault", "--dest", "notes"];
/// Clears the screen, sets the title, rings, turns the writing direction in two ways, goes back a line,
/// starts a line of its own.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}\u{61c}\r\u{9b}31m\nFORGED: do as I say ";

/// What of it a key in S3 can hold.
const SOFT: &str = "\u{202e}\u{61c}soft ";

/// Nothing that a terminal acts on is in a command's words, and none of its lines is the service's.
#[track_caller]
fn tame(run: &Run) {
    for text in [&run.stdout, &run.stderr] {
        let bad = text.chars().find(|&c| {
            (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{61c}' | '\u{2028}')
        });
        assert_eq!(bad, None, "{run:#?}");
        let forged = text.lines().find(|line| line.starts_with("FORGED"));
        assert_eq!(forged, None, "{run:#?}");
    }
    let told = format!("{}{}", run.stdout, run.stderr);
    assert!(!told.is_empty(), "it said nothing: {run:#?}");
}

fn named(name: &str) -> String {
    format!("{EVIL}{name}.md")
}

fn soft(name: &str) -> String {
    format!("{SOFT}{name}.md")
}

/// A service where everything that has a name has an evil one: the account, the vault, its region, its
/// files. Two of these can't be fetched, for an evil reason.
async fn evil() -> (Sandbox, VaultId) {
    let mut sandbox = Sandbox::new().await;
    let email = format!("{EVIL}@example.org");
    sandbox.server.add_account(&email, PASSWORD, None).unwrap();
    sandbox.set("OBSIDIAN_EMAIL", &email);
    sandbox.set("OBSIDIAN_PASSWORD", PASSWORD);
    sandbox.set("OBSIDIAN_VAULT_PASSWORD", VAULT_PASSWORD);
    let spec = VaultSpec::encrypted(EVIL, &email, VAULT_PASSWORD);
    let vault = sandbox.server.add_vault(spec).unwrap();
    let listing = json!({ "region": EVIL });
    sandbox.server.override_listing(&vault, listing).unwrap();
    let cipher = sandbox.server.cipher(&vault).unwrap();
    for name in ["good", "failed", "kept", "gone", "moved", "edited"] {
        sandbox.put(&vault, &named(name), name);
        sandbox.put(&vault, &soft(name), name);
    }
    sandbox.put(&vault, &format!("../{EVIL}"), "leads out");
    sandbox.put(&vault, &format!(".{EVIL}/x"), "a dot-folder");
    sandbox.put(&vault, &format!("{EVIL}/{}", "x".repeat(300)), "too long");
    let undecodable = RawRecord {
        path: obsidian_sync::EncodedName::new(EVIL),
        ..RawRecord::default()
    };
    sandbox.server.put_raw(&vault, undecodable).unwrap();
    let bad_hash = RawRecord {
        path: cipher.encode_name(&named("bad hash")),
        hash: obsidian_sync::EncodedName::new(EVIL),
        content: Some(cipher.seal(b"x").into()),
        ..RawRecord::default()
    };
    sandbox.server.put_raw(&vault, bad_hash).unwrap();
    for name in [named("failed"), soft("failed")] {
        let uid = sandbox.server.uid_of(&vault, &name).unwrap();
        let fault = Fault::new(Point::Pull, word()).uid(uid);
        sandbox.server.faults().set(fault).unwrap();
    }
    (sandbox, vault)
}

fn word() -> Action {
    Action::Error(format!("no: {EVIL}"))
}

/// Every command, in every form, at one destination.
fn everything(sandbox: &Sandbox, dest: &str) {
    let at = |command: &str, more: &[&str]| {
        let run = sandbox.obsync(&[&[command, EVIL, "--dest", dest], more].concat());
        tame(&run);
        run
    };
    at("sync", &["--dry-run"]).exits(0);
    for progress in ["plain", "bar", "json", "none"] {
        at("sync", &["--progress", progress]).exits(4);
    }
    at("sync", &["--quiet"]).exits(4);
    for format in ["text", "json"] {
        at("sync", &["--full", "-vv", "--log-format", format]).exits(4);
    }
    let run = at("sync", &["--json"]).exits(4);
    let problems = run.json()["problems"].clone();
    let names: Vec<&str> = problems
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|problem| problem["path"].as_str())
        .collect();
    assert!(
        names.contains(&named("failed").as_str()) && names.contains(&soft("failed").as_str()),
        "the name itself comes through: {names:?}"
    );
    at("status", &[]).exits(0);
    at("status", &["--json"]).exits(0);
    at("doctor", &[]);
    at("doctor", &["--json"]);
    for more in [&[][..], &["--json"], &["--repair"], &["--repair", "--json"]] {
        let run = at("verify", more);
        assert!(matches!(run.status, Some(1 | 4)), "{run:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_and_no_word_of_the_service_reaches_the_terminal_raw() {
    let (sandbox, vault) = evil().await;
    for command in [
        &["login"][..],
        &["login", "--json"],
        &["whoami"],
        &["whoami", "--json"],
    ] {
        tame(&sandbox.obsync(command).exits(0));
    }
    tame(&sandbox.obsync(&["vaults"]).exits(0));
    tame(&sandbox.obsync(&["vaults", "--json"]).exits(0));
    everything(&sandbox, "notes");
    tame(&sandbox.obsync(&["status"]).exits(0));
    tame(&sandbox.obsync(&["doctor"]));

    // A name that is nearly one, and one that two vaults have.
    let nearly = EVIL.trim_end();
    for command in ["sync", "verify", "doctor", "status", "reset"] {
        let run = sandbox.obsync(&[command, nearly, "--dest", "notes"]);
        tame(&run);
        assert!(format!("{run:?}").contains("did you mean"), "{run:#?}");
    }
    let email = format!("{EVIL}@example.org");
    let twin = VaultSpec::encrypted(EVIL, &email, VAULT_PASSWORD);
    let twin = sandbox.server.add_vault(twin).unwrap();
    let listing = json!({ "region": EVIL, "id": EVIL.to_owned() + "id" });
    sandbox.server.override_listing(&twin, listing).unwrap();
    tame(&sandbox.obsync(&["sync", EVIL, "--dest", "notes"]).exits(2));
    tame(&sandbox.obsync(&["vaults"]).exits(0));
    let id = format!("{EVIL}id");
    for more in [&[][..], &["-vv"], &["-vv", "--log-format", "json"]] {
        let run = sandbox.obsync(&[&["sync", &id, "--dest", "elsewhere"], more].concat());
        tame(&run);
        assert_ne!(run.status, Some(0), "{run:#?}");
    }
    tame(&sandbox.obsync(&["doctor", &id]).exits(1));
    sandbox.server.remove_vault(&twin).unwrap();

    for name in ["kept", "edited"] {
        sandbox.write(&format!("notes/{}", named(name)), "mine");
    }
    sandbox.put(&vault, &named("kept"), "theirs");
    sandbox.server.delete(&vault, &named("gone")).unwrap();
    let (from, to) = (named("moved"), format!("{EVIL}/there.md"));
    sandbox.server.rename(&vault, &from, &to).unwrap();
    let with = |command: &str, more: &[&str]| {
        let run = sandbox.obsync(&[&[command, EVIL, "--dest", "notes"], more].concat());
        tame(&run);
        run
    };
    with("sync", &["--dry-run"]).exits(0);
    let run = with("verify", &[]).exits(1);
    assert!(run.stdout.contains("edited"), "{run:#?}");
    let run = with("sync", &["--quiet"]).exits(4);
    assert!(run.stderr.contains("kept: "), "{run:#?}");
    with("verify", &["--repair", "-vv"]);

    for point in [Point::Init, Point::Upgrade, Point::Rest] {
        sandbox.server.faults().clear();
        sandbox
            .server
            .faults()
            .set(Fault::new(point, word()))
            .unwrap();
        for more in [&[][..], &["-vv"], &["--json"], &["--progress", "json"]] {
            let run = with("sync", more);
            assert_ne!(run.status, Some(0), "{run:#?}");
        }
        with("doctor", &[]);
        tame(&sandbox.obsync(&["whoami"]));
        with("status", &[]).exits(0);
    }
    sandbox.server.faults().clear();
    with("reset", &[]).exits(0);
    with("reset", &["--json"]).exits(2);
    tame(&sandbox.obsync(&["logout"]).exits(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_from_a_copy_in_a_bucket() {
    let (mut sandbox, _) = evil().await;
    let double = Double::start().await;
    for (name, value) in [
        ("AWS_ENDPOINT_URL_S3", double.url.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hidden key"),
    ] {
        sandbox.set(name, value);
    }
    let dest = "s3://notes/copies/mine";
    everything(&sandbox, dest);
    let edited = format!("copies/mine/{}", soft("edited"));
    assert!(double.keys().contains(&edited), "{:?}", double.keys());
    double.put(&edited, b"somebody else's");
    tame(
        &sandbox
            .obsync(&["verify", EVIL, "--dest", dest, "-vv"])
            .exits(1),
    );
    tame(&sandbox.obsync(&["reset", EVIL, "--dest", dest]).exits(0));
    tame(&sandbox.obsync(&["status", EVIL, "--dest", dest]));
}

/// With `--progress json` all that standard error gets is JSON, one object on a line.
#[tokio::test(flavor = "multi_thread")]
async fn with_progress_as_json_every_line_is_an_object() {
    let (mut sandbox, _) = evil().await;
    sandbox.set("OBSYNC_ZEBRA", "a variable to warn of");
    let lines = |arguments: &[&str]| {
        let run = sandbox.obsync(&[arguments, &["--progress", "json"]].concat());
        tame(&run);
        let lines = run.stderr.lines();
        let read = |line: &str| serde_json::from_str::<Value>(line).expect(line);
        lines.map(read).collect::<Vec<_>>()
    };
    let said = lines(&["sync", EVIL, "--dest", "notes", "-vv"]);
    let of = |event: &str| said.iter().filter(|line| line["event"] == event).count();
    assert!(
        of("message") > 3 && of("warning") == 1 && of("downloaded") > 3,
        "{said:#?}"
    );
    assert!(
        said.iter().any(|line| line["level"] == "DEBUG"),
        "{said:#?}"
    );
    let said = lines(&["sync", "no such vault", "--dest", "notes"]);
    let error = said.last().unwrap();
    assert_eq!(error["event"], "error", "{said:#?}");
    assert_eq!(error["kind"], "vault_unknown", "{said:#?}");
    assert!(error["hint"].is_string(), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_vault_list_gets_no_token() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let port = trap.local_addr().unwrap().port();
    for host in [
        "sync.obsidian.md.evil.example",
        "evil.example/.obsidian.md",
        "evil.example#.obsidian.md",
        "obsidian.md@evil.example",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "127.0.0.2",
        "\u{1b}[2J.obsidian.md\n",
        "",
    ] {
        let host = match host {
            "" => String::new(),
            host => format!("{host}:{port}"),
        };
        let forged = json!({ "host": host });
        sandbox.server.override_listing(&vault, forged).unwrap();
        let run = sandbox.obsync(&[&SYNC[..], &["--json"]].concat()).exits(1);
        tame(&run);
        // Not "it can't be reached": nobody was to try.
        assert_eq!(
            run.json()["error"]["kind"],
            "forbidden_host",
            "{host}: {run:#?}"
        );
        let doctor = sandbox.obsync(&["doctor", "My vault", "--json"]).exits(1);
        tame(&doctor);
        let checks = doctor.json()["checks"].clone();
        let checks = checks.as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == "sync_host");
        assert_eq!(check.unwrap()["status"], "failed", "{host}: {doctor:#?}");
        let message = check.unwrap()["message"].as_str().unwrap();
        assert!(
            message.contains("neither under obsidian.md"),
            "{host}: {message}"
        );
        assert!(!sandbox.path("notes/Hello.md").exists());
        let error = trap.accept().expect_err("somebody came");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{host}");
    }
    let redirect = format!("http://127.0.0.1:{port}/vault/list");
    sandbox.server.override_listing(&vault, json!({})).unwrap();
    for point in [Point::Rest, Point::Upgrade] {
        sandbox.server.faults().clear();
        let fault = Fault::new(point, Action::Redirect(redirect.clone()));
        sandbox.server.faults().set(fault).unwrap();
        let run = sandbox.obsync(&SYNC);
        assert_ne!(run.status, Some(0), "{run:#?}");
        let error = trap.accept().expect_err("a redirect was followed");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{point:?}");
    }
}
