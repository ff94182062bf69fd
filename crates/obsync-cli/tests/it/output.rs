//! Standard output is data, in one document with `--json`; all else goes to standard error.

use serde_json::Value;

use crate::sandbox::{EMAIL, Sandbox};

#[tokio::test(flavor = "multi_thread")]
async fn every_command_prints_exactly_one_document_with_json() {
    let (mut sandbox, _) = Sandbox::with_vault().await;
    sandbox.set("OBSIDIAN_TOTP_SECRET", "JBSWY3DPEHPK3PXP");
    let commands: [(&str, &[&str]); 14] = [
        ("login", &["login"]),
        ("whoami", &["whoami"]),
        ("totp", &["totp"]),
        ("vaults", &["vaults"]),
        ("sync", &["sync", "My vault", "--dest", "notes"]),
        (
            "sync",
            &["sync", "My vault", "--dest", "notes", "--dry-run"],
        ),
        ("verify", &["verify", "My vault", "--dest", "notes"]),
        ("status", &["status"]),
        ("reset", &["reset", "My vault"]),
        ("config show", &["config", "show"]),
        ("config example", &["config", "example"]),
        ("config path", &["config", "path"]),
        ("completions", &["completions", "bash"]),
        ("logout", &["logout"]),
    ];
    for (name, arguments) in commands {
        let run = sandbox.obsync(&[arguments, &["--json"]].concat()).exits(0);
        assert_eq!(run.json()["command"], name);
        assert_eq!(run.json()["error"], Value::Null);
    }
    sandbox.unset("OBSIDIAN_PASSWORD");
    for (name, arguments) in commands {
        let run = sandbox.obsync(&[arguments, &["--json", "--config", "absent"]].concat());
        let document = run.json();
        match name {
            // These need no settings.
            "config example" | "config path" | "completions" => assert_eq!(run.status, Some(0)),
            _ => {
                assert_eq!(run.status, Some(2), "{run:?}");
                assert_eq!(document["error"]["kind"], "settings_unreadable");
                assert_eq!(document["status"], "failed");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_exits_2_in_both_forms() {
    let sandbox = Sandbox::new().await;
    let run = sandbox
        .obsync(&["sync", "My vault"])
        .exits(2)
        .says("--dest <DEST>");
    assert_eq!(run.stdout, "");
    let run = sandbox.obsync(&["sync", "My vault", "--json"]).exits(2);
    let message = run.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(
        message,
        "the following required arguments were not provided: --dest <DEST>"
    );
    sandbox.obsync(&["snyc"]).exits(2).says("sync");
    sandbox.obsync(&["--json", "snyc"]).exits(2).json();
    sandbox.obsync(&["--help"]).exits(0);
    let message = |arguments: &[&str]| {
        let error = sandbox.obsync(arguments).exits(2).json()["error"].clone();
        assert_eq!(error["kind"], "usage");
        error["message"].as_str().unwrap().to_owned()
    };
    for arguments in [&["--json", "config"][..], &["--json"]] {
        assert_eq!(message(arguments), "a command is missing", "{arguments:?}");
    }
    assert!(message(&["vaults", "--json=true"]).contains("--json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_shown_with_their_origin_and_without_secrets() {
    let mut sandbox = Sandbox::signed_in().await;
    sandbox.write(".config/obsync/config.json", "{\"connections\": 8}");
    sandbox.set("OBSYNC_CONNECTIONS", "2");
    let run = sandbox.obsync(&["config", "show"]).exits(0);
    let line = |key: &str| {
        run.stdout
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap()
    };
    assert!(
        line("connections").ends_with("OBSYNC_CONNECTIONS"),
        "{run:?}"
    );
    assert!(line("email").contains(EMAIL), "{run:?}");
    assert!(line("password").contains("(set)"), "{run:?}");
    assert!(!run.stdout.contains("account password"), "{run:?}");
    sandbox.unset("OBSYNC_CONNECTIONS");
    let run = sandbox.obsync(&["config", "show"]).exits(0);
    assert!(
        run.stdout
            .contains("~/.config/obsync/config.json:1:17: connections"),
        "{run:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_is_a_config_that_works() {
    let sandbox = Sandbox::new().await;
    let run = sandbox.obsync(&["config", "example"]).exits(0);
    let example = sandbox.write("example.json", &run.stdout);
    sandbox.write("credentials.json", "{}");
    sandbox
        .obsync(&["config", "show", "--config", &example])
        .exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_is_no_failure() {
    let sandbox = Sandbox::new().await;
    let mut child = sandbox.command(&["completions", "zsh"]).spawn().unwrap();
    drop(child.stdout.take());
    let run = sandbox.finish(child).exits(0);
    assert_eq!(run.stderr, "");
}

/// What can't be written is not said to be done.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn output_that_can_not_be_written_is_a_failure() {
    let sandbox = Sandbox::new().await;
    for arguments in [
        &["config", "example"][..],
        &["config", "example", "--json"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
        &["totp", "--watch"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut command = sandbox.command(arguments);
        command.env("OBSIDIAN_TOTP_SECRET", "JBSWY3DPEHPK3PXP");
        let child = command.stdout(full.unwrap()).spawn().unwrap();
        let run = sandbox.finish(child).exits(1);
        run.says("can't write to standard output");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_end_where_nobody_reads_them() {
    use std::io::BufRead as _;
    let mut sandbox = Sandbox::new().await;
    // Codes that change each second.
    let url = "otpauth://totp/Obsidian?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&period=1";
    sandbox.set("OBSIDIAN_TOTP_SECRET", url);
    let mut child = sandbox.command(&["totp", "--watch"]).spawn().unwrap();
    let mut codes = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for _ in 0..2 {
        line.clear();
        codes.read_line(&mut line).unwrap();
        assert!(line.contains("  valid for "), "{line}");
    }
    drop(codes);
    sandbox.finish(child).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_the_manual_come_from_the_grammar() {
    let sandbox = Sandbox::new().await;
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.obsync(&["completions", shell]).exits(0).stdout;
        assert!(script.contains("max-delete"), "{shell}");
    }
    let page = sandbox.obsync(&["man"]).exits(0).stdout;
    for word in [
        ".TH obsync",
        "obsync sync",
        "max\\-delete",
        "Exit status",
        "obsync config show",
        "obsync config example",
        "obsync config path",
    ] {
        assert!(page.contains(word), "{word}");
    }
}
