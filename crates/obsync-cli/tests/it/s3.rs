//! A vault's copy in a bucket, from the outside.

use obsidian_sync::VaultId;
use obsync_doubles::s3::{BUCKET, Double, How};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const DEST: &str = "s3://notes/copies/mine";
const SYNC: [&str; 4] = ["sync", "My vault", "--dest", DEST];
const FILES: [(&str, &str); 3] = [
    ("Hello.md", "# Hello"),
    ("daily/2026-11-22.md", "rain"),
    ("empty.md", ""),
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SYNC[..], more].concat()
}

/// A sandbox with a vault, and a bucket that it may use.
async fn sandbox() -> (Sandbox, VaultId, Double) {
    let (mut sandbox, vault) = Sandbox::with_vault().await;
    let double = Double::start().await;
    sandbox.set("AWS_ENDPOINT_URL_S3", &double.url);
    sandbox.set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    sandbox.set("AWS_SECRET_ACCESS_KEY", "hidden key");
    (sandbox, vault, double)
}

/// The vault's objects below a prefix, with their content.
fn objects(double: &Double, prefix: &str) -> Vec<(String, String)> {
    let keys = double.keys().into_iter();
    let found = keys.filter_map(|key| {
        let name = key.strip_prefix(prefix)?.to_owned();
        let bytes = double.object(&key)?.bytes;
        Some((name, String::from_utf8(bytes.to_vec()).unwrap()))
    });
    found
        .filter(|(name, _)| !name.starts_with(".obsync/"))
        .collect()
}

fn files() -> Vec<(String, String)> {
    FILES
        .iter()
        .map(|(name, content)| ((*name).to_owned(), (*content).to_owned()))
        .collect()
}

/// The key of the one state whose document ends so.
fn state_key(double: &Double, end: &str) -> String {
    let mut keys = double.keys().into_iter().filter(|key| {
        key.starts_with("state/")
            && key.ends_with(end)
            && key.matches('.').count() == end.matches('.').count()
    });
    let key = keys.next().unwrap();
    assert_eq!(keys.next(), None);
    key
}

fn document(double: &Double, key: &str) -> Value {
    serde_json::from_slice(&double.object(key).unwrap().bytes).unwrap()
}

fn writes(double: &Double) -> Vec<String> {
    let mut requests = double.requests();
    requests.retain(|line| !line.starts_with("GET ") && !line.starts_with("HEAD "));
    requests
}

#[tokio::test(flavor = "multi_thread")]
async fn brings_a_vault_to_a_bucket_and_then_nothing() {
    let (sandbox, vault, double) = sandbox().await;
    let document_told = sandbox.obsync(&with(&["--json"])).exits(0).json();
    assert_eq!(document_told["dest"], DEST);
    assert_eq!(document_told["files_downloaded"], 3);
    assert_eq!(objects(&double, "copies/mine/"), files());
    let state = state_key(&double, ".json");
    assert!(
        state.starts_with(&format!("state/{}-", vault.as_str())),
        "{state}"
    );
    let lease = document(&double, &state_key(&double, ".lease.json"));
    assert_eq!(lease["owner"], Value::Null, "the lease is let go");
    assert!(
        !sandbox.path(".local/state/obsync/vaults").exists(),
        "no state is kept here"
    );

    let before = double.object(&state).unwrap();
    double.requests();
    let run = sandbox.obsync(&with(&["-vv"])).exits(0).says("up to date");
    assert!(!run.stderr.contains("hidden key"), "{run:?}");
    let status = state_key(&double, ".status.json");
    assert_eq!(writes(&double), [format!("PUT {status}")]);
    let after = double.object(&state).unwrap();
    assert_eq!((after.e_tag, after.version), (before.e_tag, before.version));

    sandbox.put(&vault, "Hello.md", "# Hello again");
    sandbox.obsync(&SYNC).exits(0).says("1 downloaded");
    assert_eq!(
        &double.object("copies/mine/Hello.md").unwrap().bytes[..],
        b"# Hello again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_names_bucket_and_prefixes_and_how_objects_are_written() {
    let (mut sandbox, vault, double) = sandbox().await;
    for (name, value) in [
        ("S3_BUCKET", BUCKET),
        ("S3_PREFIX", "copies"),
        ("S3_STATE_PREFIX", "where/they/stand"),
        ("S3_SSE", "AES256"),
        ("S3_STORAGE_CLASS", "STANDARD_IA"),
        ("S3_TAGS", "kind=notes"),
    ] {
        sandbox.set(name, value);
    }
    let sync = ["sync", "My vault", "--dest", "/tmp/ignored/My vault"];
    let run = sandbox.obsync(&[&sync[..], &["--s3", "--json"]].concat());
    assert_eq!(run.exits(0).json()["dest"], "s3://notes/copies/My vault");
    assert_eq!(objects(&double, "copies/My vault/"), files());
    let note = double.object("copies/My vault/Hello.md").unwrap();
    for (name, value) in [
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-tagging", "kind=notes"),
    ] {
        assert_eq!(note.headers.get(name).unwrap(), value);
    }
    let state = format!("where/they/stand/{}.json", vault.as_str());
    assert!(double.object(&state).is_some(), "{:?}", double.keys());

    sandbox.set("AWS_LAMBDA_FUNCTION_NAME", "notes");
    sandbox.obsync(&sync).exits(0).says("up to date");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_in_a_bucket_writes_nothing() {
    let (sandbox, vault, double) = sandbox().await;
    let run = sandbox.obsync(&with(&["--dry-run"])).exits(0);
    assert!(run.stdout.contains("download       Hello.md"), "{run:?}");
    assert_eq!(writes(&double), [""; 0]);
    sandbox.obsync(&SYNC).exits(0);
    sandbox.put(&vault, "new.md", "new");
    double.requests();
    let run = sandbox.obsync(&with(&["--dry-run"])).exits(0);
    assert_eq!(run.stdout, "download  new.md  (3 B)\n");
    assert_eq!(writes(&double), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_keeps_what_it_removes_unless_told_otherwise() {
    let (sandbox, _, double) = sandbox().await;
    double.put("copies/mine/extra.md", b"mine");
    sandbox.obsync(&with(&["--mode", "mirror"])).exits(0);
    assert_eq!(objects(&double, "copies/mine/"), files());
    let trash = objects(&double, "copies/mine/.obsync/trash/");
    assert_eq!(trash.len(), 1, "{trash:?}");
    assert!(trash[0].0.ends_with("/extra.md"), "{trash:?}");
    assert_eq!(trash[0].1, "mine");

    double.put("copies/mine/more.md", b"gone for good");
    sandbox
        .obsync(&with(&["--mode", "mirror", "--no-trash"]))
        .exits(0);
    assert_eq!(objects(&double, "copies/mine/"), files());
    assert_eq!(objects(&double, "copies/mine/.obsync/trash/"), trash);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_run_in_the_bucket_keeps_this_one_out() {
    let (sandbox, vault, double) = sandbox().await;
    sandbox.obsync(&SYNC).exits(0);
    sandbox.put(&vault, "new.md", "new");
    let key = state_key(&double, ".lease.json");
    let mut lease = document(&double, &key);
    lease["owner"] = json!("another run");
    double.put(&key, lease.to_string().as_bytes());
    double.requests();
    let run = sandbox.obsync(&with(&["--json"])).exits(5);
    assert_eq!(run.json()["error"]["kind"], "busy");
    assert!(
        run.stderr.contains("another run works on this vault"),
        "{run:?}"
    );
    assert_eq!(writes(&double), [""; 0], "the other run says how it went");
    sandbox
        .obsync(&["reset", "My vault", "--dest", DEST])
        .exits(5);
    sandbox.obsync(&with(&["--dry-run"])).exits(0);

    lease["owner"] = Value::Null;
    double.put(&key, lease.to_string().as_bytes());
    sandbox.obsync(&SYNC).exits(0).says("1 downloaded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_somebody_made_stays_also_after_a_dead_run() {
    let (sandbox, _, double) = sandbox().await;
    sandbox.obsync(&SYNC).exits(0);
    double.copy("copies/mine/Hello.md", "copies/mine/Hello again.md");
    // A run has died since: what bears its mark is looked for.
    let key = state_key(&double, ".lease.json");
    let mut lease = document(&double, &key);
    lease["owner"] = json!("a dead run");
    double.put(&key, lease.to_string().as_bytes());
    double.age(&key, std::time::Duration::from_secs(31));
    sandbox.obsync(&with(&["--full"])).exits(0);
    let copy = ("Hello again.md".to_owned(), "# Hello".to_owned());
    let there = objects(&double, "copies/mine/");
    assert!(there.contains(&copy), "{there:?}");
    assert_eq!(there.len(), FILES.len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_early_lets_others_in() {
    let (sandbox, _, double) = sandbox().await;
    double.fail(
        "PUT copies/mine/.obsync/id.json",
        How::Answer(403, "AccessDenied", ""),
    );
    let run = sandbox.obsync(&SYNC).exits(1);
    assert!(run.stderr.contains("s3:PutObject is denied"), "{run:?}");
    let lease = document(&double, &state_key(&double, ".lease.json"));
    assert_eq!(lease["owner"], Value::Null);
    sandbox.obsync(&SYNC).exits(0);
    assert_eq!(objects(&double, "copies/mine/"), files());
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_reset_find_the_state_in_the_bucket() {
    let (sandbox, vault, double) = sandbox().await;
    let status = ["status", "My vault", "--dest", DEST];
    let reset = ["reset", "My vault", "--dest", DEST];
    for command in [status, reset] {
        sandbox
            .obsync(&command)
            .exits(2)
            .says("the vault 'My vault' was not synced to s3://notes/copies/mine");
    }
    sandbox.obsync(&SYNC).exits(0);
    let told = sandbox.obsync(&[&status[..], &["--json"]].concat());
    let one = &told.exits(0).json()["vaults"][0];
    assert_eq!(
        (&one["vault_id"], &one["dest"]),
        (&json!(vault), &json!(DEST))
    );
    assert_eq!((&one["cursor"], &one["files"]), (&json!(4), &json!(3)));
    assert_eq!(
        (&one["pending"], &one["last_error"]),
        (&json!(0), &Value::Null)
    );

    // A bucket that was emptied is refused like a folder, with the same way out.
    for (name, _) in FILES {
        double.remove(&format!("copies/mine/{name}"));
    }
    double.remove("copies/mine/.obsync/id.json");
    sandbox.put(&vault, "new.md", "new");
    sandbox.obsync(&SYNC).exits(6).says("obsync reset");
    sandbox
        .obsync(&reset)
        .exits(0)
        .says("forgot the sync state for s3://notes/copies/mine");
    sandbox.obsync(&SYNC).exits(0).says("4 downloaded");

    sandbox.obsync(&reset).exits(0);
    double.requests();
    sandbox.obsync(&SYNC).exits(0);
    let puts = writes(&double);
    assert!(
        !puts.iter().any(|line| line.contains("copies/mine/")),
        "what is equal is not put again: {puts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_nothing_is_asked() {
    let (mut sandbox, _, double) = sandbox().await;
    sandbox.unset("AWS_SECRET_ACCESS_KEY");
    let run = sandbox.obsync(&with(&["--json"])).exits(3);
    assert_eq!(run.json()["error"]["kind"], "credentials_missing");
    let run = run.says("there are no AWS credentials: AWS_SECRET_ACCESS_KEY is not set");
    run.says("or AWS_PROFILE");
    // This machine's own role, if it has one, is none of a test's business.
    sandbox.set("AWS_EC2_METADATA_DISABLED", "true");
    sandbox.unset("AWS_ACCESS_KEY_ID");
    for command in ["sync", "verify", "status", "reset"] {
        sandbox
            .obsync(&[command, "My vault", "--dest", DEST])
            .exits(3)
            .says("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set");
    }
    assert_eq!(double.requests(), [""; 0]);
    assert_eq!(sandbox.server.stats().tcp_connections, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_in_s3_that_can_hold_nothing() {
    let (mut sandbox, _, double) = sandbox().await;
    sandbox.set("S3_BUCKET", BUCKET);
    for (dest, more, words) in [
        ("s3://", &[][..], "names no place in a bucket"),
        ("s3://notes", &[], "names no place in a bucket"),
        ("s3:///notes", &[], "names no place in a bucket"),
        ("s3://a b/notes", &[], "'a b' can't be the name of a bucket"),
        ("/", &["--s3"], "--dest / names no folder"),
    ] {
        let arguments = [&["sync", "My vault", "--dest", dest], more].concat();
        sandbox.obsync(&arguments).exits(2).says(words);
    }
    for (name, value, words) in [
        ("S3_SSE", "DES", "S3_SSE must be AES256"),
        (
            "AWS_ENDPOINT_URL_S3",
            "http://s3.example.org",
            "must be https",
        ),
        ("AWS_ENDPOINT_URL_S3", "", "AWS_REGION is not set"),
    ] {
        sandbox.set(name, value);
        let run = sandbox.obsync(&with(&["--json"])).exits(2).says(words);
        assert_eq!(run.json()["error"]["kind"], "settings");
        sandbox.unset("S3_SSE");
    }
    assert_eq!(
        sandbox.server.stats().tcp_connections,
        0,
        "no sign-in was needed to tell"
    );

    sandbox.set("AWS_ENDPOINT_URL_S3", &double.url);
    sandbox
        .obsync(&["sync", "My vault", "--dest", "s3://other/x"])
        .exits(1)
        .says("there is no bucket 'other'");
    for (dest, words) in [
        (
            "s3://notes/state",
            "would lie around the states at 's3://notes/state/'",
        ),
        ("s3://notes/a//b", "'a//b': "),
        ("s3://notes/../x", "'../x': "),
    ] {
        let run = sandbox.obsync(&["sync", "My vault", "--dest", dest]);
        run.exits(1).says(words);
    }
    assert_eq!(double.keys(), [""; 0]);
}
