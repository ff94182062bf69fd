//! What obsync leaves in a bucket, as rclone sees it, and the reverse: sizes, times, bytes.
//!
//! Over moto, as installed for the other tests. Where rclone or moto are missing the tests are skipped,
//! and say so; `OBSYNC_RCLONE=require` and `OBSYNC_S3=require` make that a failure.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use obsync_doubles::s3::moto;

use crate::sandbox::{Sandbox, TIME};

const ID: &str = "AKIDEXAMPLE";
const KEY: &str = "hidden";

/// rclone, with one remote `x:` and no settings of anybody's own.
fn rclone(sandbox: &Sandbox, address: &str, arguments: &[&str]) -> String {
    let output = Command::new("rclone")
        .args(arguments)
        .args(["--retries", "1", "--timeout", "30s"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", sandbox.path(""))
        .env("TZ", "UTC")
        .env("RCLONE_CONFIG", sandbox.path("no-such-file"))
        .env("RCLONE_CONFIG_X_TYPE", "s3")
        .env("RCLONE_CONFIG_X_PROVIDER", "Other")
        .env("RCLONE_CONFIG_X_ENDPOINT", format!("http://{address}"))
        .env("RCLONE_CONFIG_X_REGION", "us-east-1")
        .env("RCLONE_CONFIG_X_ACCESS_KEY_ID", ID)
        .env("RCLONE_CONFIG_X_SECRET_ACCESS_KEY", KEY)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[expect(clippy::print_stderr, reason = "tests that are skipped say so")]
fn rclone_is_there() -> bool {
    let found = Command::new("rclone").arg("version").output();
    if found.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let required = std::env::var("OBSYNC_RCLONE").is_ok_and(|word| word == "require");
    assert!(!required, "rclone is not installed");
    eprintln!("SKIPPED: rclone is not installed");
    false
}

/// A sandbox whose vault has some odd names, a bucket, and where that is.
async fn sandbox(bucket: &str) -> Option<(Sandbox, &'static str)> {
    if !rclone_is_there() || !moto::is_there().await {
        return None;
    }
    let address = moto::server().await.unwrap();
    let (mut sandbox, vault) = Sandbox::with_vault().await;
    for (path, content) in [
        ("a & b/100 %+ [x]'s.md", "odd"),
        ("日本語/ノート ✨.md", "more than ASCII: é"),
        ("picture.png", "not really"),
    ] {
        sandbox.put(&vault, path, content);
    }
    sandbox.set("AWS_ENDPOINT_URL_S3", &format!("http://{address}"));
    sandbox.set("AWS_ACCESS_KEY_ID", ID);
    sandbox.set("AWS_SECRET_ACCESS_KEY", KEY);
    rclone(&sandbox, address, &["mkdir", &format!("x:{bucket}")]);
    Some((sandbox, address))
}

fn mtime(path: &Path) -> Duration {
    let modified = path.metadata().unwrap().modified().unwrap();
    modified.duration_since(UNIX_EPOCH).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone_reads_what_obsync_wrote() {
    let Some((sandbox, address)) = sandbox("rclone-reads").await else {
        return;
    };
    let dest = "s3://rclone-reads/copies/mine";
    sandbox
        .obsync(&["sync", "My vault", "--dest", dest])
        .exits(0);
    sandbox
        .obsync(&["sync", "My vault", "--dest", "here"])
        .exits(0);
    let remote = "x:rclone-reads/copies/mine";
    let ours = ["--exclude", "/.obsync/**"];

    let listed = rclone(&sandbox, address, &[&["lsl", remote][..], &ours].concat());
    let mut lines: Vec<&str> = listed.lines().map(str::trim).collect();
    lines.sort_unstable();
    let tree = sandbox.tree("here");
    assert_eq!(lines.len(), tree.len(), "{listed}");
    for (name, content) in &tree {
        let size = content.len();
        let line = format!("{size} 2023-11-14 22:13:20.000000000 {name}");
        assert!(lines.contains(&&*line), "no '{line}' in {listed}");
    }

    let back = sandbox.path("back");
    let copy = ["copy", remote, back.to_str().unwrap()];
    rclone(&sandbox, address, &[&copy[..], &ours].concat());
    assert_eq!(sandbox.tree("back"), tree);
    for path in sandbox.files("back") {
        let millis = u64::try_from(TIME.0).unwrap();
        assert_eq!(mtime(&path), Duration::from_millis(millis), "{path:?}");
    }
    // It agrees, by its own way of comparing, that nothing is to be done.
    let check = ["check", remote, "here", "--download"];
    let here = sandbox.path("here");
    let check = check.map(|word| {
        if word == "here" {
            here.to_str().unwrap()
        } else {
            word
        }
    });
    rclone(&sandbox, address, &[&check[..], &ours].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn obsync_takes_over_what_rclone_wrote() {
    let Some((sandbox, address)) = sandbox("rclone-writes").await else {
        return;
    };
    sandbox
        .obsync(&["sync", "My vault", "--dest", "here"])
        .exits(0);
    let here = sandbox.path("here");
    let here = here.to_str().unwrap();
    let remote = "x:rclone-writes/copies/mine";
    rclone(
        &sandbox,
        address,
        &["copy", here, remote, "--exclude", "/.obsync/**"],
    );
    let ours = ["--exclude", "/.obsync/**"];
    let look = [
        &["lsjson", "-R", "--files-only", "--metadata", remote][..],
        &ours,
    ]
    .concat();
    // One line an object, in no order.
    let looks = || {
        let text = rclone(&sandbox, address, &look);
        let lines = text
            .lines()
            .map(|line| line.trim_end_matches(',').to_owned());
        lines.collect::<std::collections::BTreeSet<String>>()
    };
    let before = looks();
    assert!(before.len() > 6, "{before:?}");

    let dest = "s3://rclone-writes/copies/mine";
    let run = sandbox.obsync(&["sync", "My vault", "--dest", dest, "--json"]);
    let told = run.exits(0).json();
    assert_eq!(told["files_downloaded"], 0, "{told}");
    assert_eq!(told["files_failed"], 0, "{told}");
    sandbox
        .obsync(&["verify", "My vault", "--dest", dest])
        .exits(0);
    // Not one of them was written again.
    assert_eq!(looks(), before);
}
