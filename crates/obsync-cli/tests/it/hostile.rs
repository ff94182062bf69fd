//! A malicious service against the real program: what it prints, and where it goes.

use obsync_devserver::{Action, Fault, Point, RawRecord};
use serde_json::json;

use crate::sandbox::{Run, Sandbox};

const SYNC: [&str; 4] = ["sync", "My vault", "--dest", "notes"];
/// Clears the screen, sets the title, rings, turns the writing direction, goes back a line.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}\r\u{9b}31m";

/// Nothing that a terminal acts on is in a command's words.
fn tame(run: &Run) {
    for text in [&run.stdout, &run.stderr] {
        let bad = text
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(bad, None, "{run:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_and_no_word_of_the_service_reaches_the_terminal_raw() {
    let (sandbox, vault) = Sandbox::with_vault().await;
    let listing = json!({ "region": EVIL });
    sandbox.server.override_listing(&vault, listing).unwrap();
    let cipher = sandbox.server.cipher(&vault).unwrap();
    let named = |name: &str| format!("{EVIL}{name}.md");
    for name in ["good", "failed", "kept", "gone", "moved"] {
        sandbox.put(&vault, &named(name), name);
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
    let uid = sandbox.server.uid_of(&vault, &named("failed")).unwrap();
    let word = Action::Error(format!("no: {EVIL}"));
    let fault = Fault::new(Point::Pull, word.clone()).uid(uid);
    sandbox.server.faults().set(fault).unwrap();

    let with = |more: &[&'static str]| [&SYNC[..], more].concat();
    tame(&sandbox.obsync(&with(&["--dry-run"])));
    for progress in ["plain", "bar", "json", "none"] {
        let run = sandbox.obsync(&with(&["--progress", progress])).exits(4);
        tame(&run);
    }
    let run = sandbox.obsync(&with(&["--json"])).exits(4);
    tame(&run);
    let problems = run.json()["problems"].clone();
    let names: Vec<&str> = problems
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|p| p["path"].as_str())
        .collect();
    assert!(
        names.contains(&named("failed").as_str()),
        "the name itself comes through: {names:?}"
    );
    tame(&sandbox.obsync(&["status"]).exits(0));
    tame(&sandbox.obsync(&["vaults"]).exits(0));

    sandbox.write(&format!("notes/{}", named("kept")), "mine");
    sandbox.put(&vault, &named("kept"), "theirs");
    sandbox.server.delete(&vault, &named("gone")).unwrap();
    let (from, to) = (named("moved"), format!("{EVIL}/there.md"));
    sandbox.server.rename(&vault, &from, &to).unwrap();
    tame(&sandbox.obsync(&with(&["--dry-run"])).exits(0));
    tame(&sandbox.obsync(&with(&["-vv"])).exits(4));
    tame(&sandbox.obsync(&["verify", "My vault", "--dest", "notes"]));

    for point in [Point::Init, Point::Upgrade, Point::Rest] {
        sandbox.server.faults().clear();
        let fault = Fault::new(point, word.clone());
        sandbox.server.faults().set(fault).unwrap();
        let run = sandbox.obsync(&SYNC);
        assert_ne!(run.status, Some(0), "{run:#?}");
        tame(&run);
    }
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
        let run = sandbox.obsync(&SYNC);
        assert!(!matches!(run.status, Some(0 | 4)), "{host}: {run:#?}");
        tame(&run);
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
