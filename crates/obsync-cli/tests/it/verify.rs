//! `verify`: what it tells of a copy in a folder and in a bucket, and how it mends it.

use std::os::unix::fs::PermissionsExt as _;

use obsidian_sync::VaultId;
use obsync_doubles::s3::{Double, How};
use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox};

const FOLDER: &str = "notes";
const BUCKET: &str = "s3://notes/copies/mine";

fn verify(sandbox: &Sandbox, dest: &str, more: &[&str]) -> Run {
    let command = ["verify", "My vault", "--dest", dest];
    sandbox.obsync(&[&command[..], more].concat())
}

/// A vault that was synced to a folder.
async fn folder() -> (Sandbox, VaultId) {
    let (sandbox, vault) = Sandbox::with_vault().await;
    sandbox
        .obsync(&["sync", "My vault", "--dest", FOLDER])
        .exits(0);
    (sandbox, vault)
}

/// A vault that was synced to a bucket.
async fn bucket() -> (Sandbox, VaultId, Double) {
    let (mut sandbox, vault) = Sandbox::with_vault().await;
    let double = Double::start().await;
    sandbox.set("AWS_ENDPOINT_URL_S3", &double.url);
    sandbox.set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    sandbox.set("AWS_SECRET_ACCESS_KEY", "hidden key");
    sandbox
        .obsync(&["sync", "My vault", "--dest", BUCKET])
        .exits(0);
    double.requests();
    (sandbox, vault, double)
}

/// The requests that read an object's body, without obsync's own.
fn bodies(double: &Double) -> Vec<String> {
    let mut requests = double.requests();
    requests.retain(|line| line.starts_with("GET copies/mine/") && !line.contains(".obsync"));
    requests
}

fn text(double: &Double, name: &str) -> String {
    let object = double.object(&format!("copies/mine/{name}")).unwrap();
    String::from_utf8(object.bytes.to_vec()).unwrap()
}

/// Kind and path of each difference.
fn told(document: &Value, list: &str) -> Vec<(String, String)> {
    let list = document[list].as_array().unwrap().iter();
    let word = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    list.map(|one| (word(one, "kind"), word(one, "path")))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(kind, path): &(&str, &str)| ((*kind).to_owned(), (*path).to_owned());
    expected.iter().map(owned).collect()
}

fn is_conflicted(name: &str) -> bool {
    name.contains("Conflicted copy")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_is_told_of_a_folder_and_nothing_is_written() {
    let (sandbox, vault) = folder().await;
    sandbox.put(&vault, "locked.md", "locked");
    sandbox.put(&vault, "odd\u{1b}[2J.md", "odd");
    sandbox
        .obsync(&["sync", "My vault", "--dest", FOLDER])
        .exits(0);
    verify(&sandbox, FOLDER, &[])
        .exits(0)
        .says("the copy is right: 5 files");

    sandbox.write("notes/Hello.md", "edited");
    sandbox.write("notes/extra.md", "extra");
    for name in ["empty.md", "odd\u{1b}[2J.md"] {
        std::fs::remove_file(sandbox.path("notes").join(name)).unwrap();
    }
    let locked = sandbox.path("notes/locked.md");
    let mode = |mode| {
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0);
    let arguments = ["verify", "My vault", "--dest", FOLDER];
    let run = sandbox
        .obsync_bound(&arguments)
        .exits(1)
        .says("4 files not as in the vault; 1 file right");
    assert_eq!(
        run.stdout,
        "missing  empty.md  (it was written here and is gone)\n\
         missing  odd\\u{1b}[2J.md  (it was written here and is gone)\n\
         different  Hello.md  (changed here since it was written)\n\
         unreadable  locked.md  (can't open 'locked.md': permission denied)\n\
         extra  extra.md  (the vault does not have it)\n"
    );
    let run = sandbox.obsync_bound(&[&arguments[..], &["--json"]].concat());
    let document = run.exits(1).json();
    assert_eq!(document["status"], "different");
    let mut counts = document["counts"].clone();
    // For another user the files were given away, which the state's stamps betray.
    assert!(counts.as_object_mut().unwrap().remove("stale").is_some());
    assert_eq!(
        counts,
        json!({
            "correct": 1, "missing": 2, "different": 1, "unreadable": 1, "extra": 1, "skipped": 0,
        })
    );
    assert_eq!(
        document["differences"][2],
        json!({
            "path": "Hello.md", "uid": 2, "kind": "different", "harmless": false,
            "message": "changed here since it was written",
        })
    );
    let extra = &document["differences"][4];
    assert_eq!(
        (&extra["uid"], &extra["harmless"]),
        (&Value::Null, &json!(true))
    );
    mode(0o600);
    assert_eq!(sandbox.read("notes/Hello.md"), "edited");
    assert!(!sandbox.path("notes/empty.md").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn extra_files_are_wrong_in_a_mirror_alone() {
    let (sandbox, _) = folder().await;
    sandbox.write("notes/extra.md", "extra");
    let run = verify(&sandbox, FOLDER, &[]).exits(0);
    assert!(run.stdout.starts_with("extra  extra.md"), "{run:?}");
    assert!(run.stderr.contains("1 file more than the vault has"));
    let mirror = ["--mode", "mirror"];
    verify(&sandbox, FOLDER, &mirror)
        .exits(1)
        .says("1 file not as in the vault");
    let repair = [&mirror[..], &["--repair"]].concat();
    let run = verify(&sandbox, FOLDER, &repair).exits(0);
    assert!(run.stdout.starts_with("mended  extra.md"), "{run:?}");
    assert!(!sandbox.path("notes/extra.md").exists());
    let trash = sandbox.files(".local/state/obsync/trash");
    assert_eq!(trash.len(), 1, "{trash:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_mends_a_folder_and_keeps_what_was_edited() {
    let (sandbox, _) = folder().await;
    let note = sandbox.path("notes/daily/2026-11-22.md");
    let written = note.metadata().unwrap().modified().unwrap();
    // One bit, and no trace in the time.
    std::fs::write(&note, "sain").unwrap();
    let file = std::fs::File::options().write(true).open(&note).unwrap();
    file.set_modified(written).unwrap();
    drop(file);
    sandbox.write("notes/Hello.md", "my own words");
    std::fs::remove_file(sandbox.path("notes/empty.md")).unwrap();

    verify(&sandbox, FOLDER, &[]).exits(1);
    let run = verify(&sandbox, FOLDER, &["--repair", "--json"]).exits(0);
    let document = run.json();
    assert_eq!(document["status"], "ok");
    assert_eq!(document["repair"]["status"], "complete");
    assert_eq!(document["repair"]["files_downloaded"], 3);
    assert_eq!(
        told(&document, "mended"),
        pairs(&[
            ("missing", "empty.md"),
            ("different", "Hello.md"),
            ("different", "daily/2026-11-22.md"),
        ])
    );
    let tree = sandbox.tree(FOLDER);
    let (kept, own): (Vec<_>, Vec<_>) = tree.into_iter().partition(|(name, _)| is_conflicted(name));
    assert_eq!(
        own,
        pairs(&[
            ("Hello.md", "# Hello"),
            ("daily/2026-11-22.md", "rain"),
            ("empty.md", ""),
        ])
    );
    let kept: Vec<&str> = kept.iter().map(|(_, content)| content.as_str()).collect();
    assert_eq!(kept, ["my own words", "sain"]);
    verify(&sandbox, FOLDER, &[]).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_with_nothing_to_do_does_nothing() {
    let (sandbox, _) = folder().await;
    let status = || {
        let states = sandbox.files(".local/state/obsync/vaults").into_iter();
        let mut status = states.filter(|path| path.to_str().unwrap().ends_with(".status.json"));
        std::fs::read(status.next().unwrap()).unwrap()
    };
    let before = status();
    let run = verify(&sandbox, FOLDER, &["--repair", "--json"]).exits(0);
    let document = run.json();
    assert_eq!(
        (&document["repair"], &document["mended"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(status(), before, "no run was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_heeds_the_guards() {
    let (sandbox, _) = folder().await;
    for name in ["notes/one.md", "notes/two.md"] {
        sandbox.write(name, "mine");
    }
    std::fs::remove_file(sandbox.path("notes/empty.md")).unwrap();
    let before = sandbox.tree(FOLDER);
    let arguments = [
        "--repair",
        "--mode",
        "mirror",
        "--max-delete",
        "1",
        "--json",
    ];
    let run = verify(&sandbox, FOLDER, &arguments)
        .exits(6)
        .says("max-delete");
    let document = run.json();
    assert_eq!(
        (&document["status"], &document["error"]["kind"]),
        (&json!("failed"), &json!("guard"))
    );
    assert_eq!(document["counts"]["missing"], 1, "what was found is told");
    assert_eq!(sandbox.tree(FOLDER), before);

    // A disk that is not mounted is not filled.
    std::fs::remove_dir_all(sandbox.path(FOLDER)).unwrap();
    std::fs::create_dir(sandbox.path(FOLDER)).unwrap();
    verify(&sandbox, FOLDER, &[]).exits(1);
    verify(&sandbox, FOLDER, &["--repair"])
        .exits(6)
        .says("is a disk not mounted?");
    assert_eq!(sandbox.tree(FOLDER), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_mended_is_told() {
    let (sandbox, _) = folder().await;
    let note = sandbox.path("notes/Hello.md");
    std::fs::remove_file(&note).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &note).unwrap();
    std::fs::remove_file(sandbox.path("notes/empty.md")).unwrap();
    let run = verify(&sandbox, FOLDER, &["--repair", "--json"]).exits(1);
    let document = run.json();
    assert_eq!(told(&document, "mended"), pairs(&[("missing", "empty.md")]));
    assert_eq!(
        told(&document, "differences"),
        pairs(&[("missing", "Hello.md")])
    );
    assert_eq!(
        document["differences"][0]["message"],
        "a symbolic link is in the way"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_is_told_of_a_bucket_and_nothing_is_written() {
    let (sandbox, vault, double) = bucket().await;
    sandbox.put(&vault, "denied.md", "denied");
    sandbox
        .obsync(&["sync", "My vault", "--dest", BUCKET])
        .exits(0);
    double.requests();
    verify(&sandbox, BUCKET, &[])
        .exits(0)
        .says("the copy is right: 4 files");
    assert_eq!(bodies(&double), [""; 0], "S3's checksums tell");

    double.put("copies/mine/Hello.md", b"edited");
    double.put("copies/mine/extra.md", b"extra");
    double.remove("copies/mine/empty.md");
    let denied = How::Answer(403, "AccessDenied", "");
    double.fail("HEAD copies/mine/denied.md", denied);
    double.requests();
    let run = verify(&sandbox, BUCKET, &["--json"]).exits(1);
    let document = run.json();
    assert_eq!(
        told(&document, "differences"),
        pairs(&[
            ("missing", "empty.md"),
            ("different", "Hello.md"),
            ("unreadable", "denied.md"),
            ("extra", "extra.md"),
        ])
    );
    assert!(
        document["differences"][2]["message"]
            .as_str()
            .unwrap()
            .contains("s3:GetObject"),
        "{document}"
    );
    let requests = double.requests();
    let reading = |line: &String| line.starts_with("GET ") || line.starts_with("HEAD ");
    assert!(requests.iter().all(reading), "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_mends_a_bucket_and_keeps_what_was_edited() {
    let (sandbox, _, double) = bucket().await;
    double.remove("copies/mine/empty.md");
    double.put("copies/mine/Hello.md", b"my own words");
    let run = verify(&sandbox, BUCKET, &["--repair", "--json"]).exits(0);
    let document = run.json();
    assert_eq!(
        told(&document, "mended"),
        pairs(&[("missing", "empty.md"), ("different", "Hello.md")])
    );
    assert_eq!(text(&double, "Hello.md"), "# Hello");
    assert_eq!(text(&double, "empty.md"), "");
    let kept: Vec<String> = double
        .keys()
        .into_iter()
        .filter(|key| is_conflicted(key))
        .collect();
    let [kept] = &kept[..] else {
        panic!("one copy is kept: {kept:?}");
    };
    assert_eq!(&double.object(kept).unwrap().bytes[..], b"my own words");
    verify(&sandbox, BUCKET, &[]).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_all_finds_what_no_checksum_tells() {
    let (sandbox, _, double) = bucket().await;
    double.rot("copies/mine/daily/2026-11-22.md", b"sain");
    verify(&sandbox, BUCKET, &[]).exits(0);
    assert_eq!(bodies(&double), [""; 0]);
    let run = verify(&sandbox, BUCKET, &["--read-data", "--json"]).exits(1);
    assert_eq!(
        told(&run.json(), "differences"),
        pairs(&[("different", "daily/2026-11-22.md")])
    );
    assert_eq!(bodies(&double).len(), 3, "every body was read");

    // The state's word is still taken for it here, so that only the repair mends it.
    let full = ["sync", "My vault", "--dest", BUCKET, "--full"];
    sandbox.obsync(&full).exits(0).says("up to date");
    verify(&sandbox, BUCKET, &["--read-data", "--repair"]).exits(0);
    assert_eq!(text(&double, "daily/2026-11-22.md"), "rain");
    verify(&sandbox, BUCKET, &["--read-data"]).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_word_beside_an_object_counts_only_while_it_is_our_write() {
    let (sandbox, _, double) = bucket().await;
    let key = "copies/mine/daily/2026-11-22.md";
    double.lose_checksum(key);
    verify(&sandbox, BUCKET, &[]).exits(0);
    assert_eq!(
        bodies(&double),
        [""; 0],
        "size and ETag are those of our write"
    );

    double.rot(key, b"rain and more");
    let run = verify(&sandbox, BUCKET, &["--json"]).exits(1);
    assert_eq!(
        told(&run.json(), "differences"),
        pairs(&[("different", "daily/2026-11-22.md")])
    );
    assert_eq!(bodies(&double), [format!("GET {key}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_shows_progress() {
    let (sandbox, _) = folder().await;
    let run = verify(&sandbox, FOLDER, &["--progress", "json"]).exits(0);
    let lines: Vec<Value> = run
        .stderr
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let begun = json!({ "event": "comparing", "files": 3, "bytes": 11 });
    assert!(lines.contains(&begun), "{lines:?}");
    let compared = lines.iter().filter(|line| line["event"] == "compared");
    assert_eq!(compared.count(), 3);
}
