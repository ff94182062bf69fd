//! `deploy/iam/policy.json` allows what the function does, and nothing that it does not do.

use std::collections::BTreeSet;

use obsync_devserver::{Action, Fault, Point};
use obsync_doubles::s3::Used;
use obsync_lambda_local::{SAMPLE, Stage};
use serde_json::{Value, json};

use super::{ask, function, notes, program, sync};

const BUCKET: &str = "arn:aws:s3:::BUCKET";

struct Statement {
    actions: Vec<String>,
    resource: String,
    /// What a listing's prefix must be like, if the request has one.
    prefixes: Vec<String>,
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

fn policy() -> Vec<Statement> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/iam/policy.json");
    let policy: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let statements = policy["Statement"].as_array().unwrap().iter();
    let statements = statements.map(|statement| {
        assert_eq!(statement["Effect"], "Allow");
        let condition = &statement["Condition"];
        let prefixes = texts(&condition["StringLikeIfExists"]["s3:prefix"]);
        assert_eq!(
            condition.is_null(),
            prefixes.is_empty(),
            "another condition"
        );
        Statement {
            actions: texts(&statement["Action"]),
            resource: statement["Resource"].as_str().unwrap().to_owned(),
            prefixes,
        }
    });
    statements.collect()
}

/// Whether a text is like a pattern whose only `*` is its last letter.
fn is_like(text: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => text == pattern,
    }
}

impl Statement {
    fn allows(&self, used: &Used) -> bool {
        let resource = match used.key.as_str() {
            "" => BUCKET.to_owned(),
            key => format!("{BUCKET}/{key}"),
        };
        let prefix = used.prefix.as_ref();
        self.actions.iter().any(|action| action == used.action)
            && is_like(&resource, &self.resource)
            && (self.prefixes.is_empty()
                || prefix.is_none_or(|it| self.prefixes.iter().any(|like| is_like(it, like))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_allows_what_is_done_and_no_more() {
    let program = program();
    let stage = Stage::start().await;
    let vault = stage.vault(SAMPLE);
    notes(&stage, &vault, 30);
    let mut used = BTreeSet::new();

    // A first run, a large file, one that turns out bad in the middle.
    let plain = function(&stage, &program).start().await;
    ask(&plain, sync(&vault)).await;
    stage.put(&vault, "film.mp4", &vec![7; 20 << 20]);
    ask(&plain, sync(&vault)).await;
    stage.put(&vault, "bad.mp4", &vec![9; 20 << 20]);
    let bad = stage.service.uid_of(&vault, "bad.mp4").unwrap();
    let flip = Fault::new(Point::Pull, Action::FlipBit).uid(bad);
    stage.service.faults().set(flip).unwrap();
    plain.invoke(sync(&vault), super::LONG).await;
    stage.service.faults().clear();
    ask(&plain, sync(&vault)).await;
    // Changes, a copy, one deletion and many; then everything anew.
    stage.put(&vault, "folder 1/note 1.md", b"changed");
    let copied = tree_of(&stage, "folder 2/note 2.md");
    stage.put(&vault, "moved.md", &copied);
    stage.service.delete(&vault, "folder 2/note 2.md").unwrap();
    ask(&plain, sync(&vault)).await;
    for number in (0..30).filter(|number| number % 7 == 3) {
        let path = format!("folder {}/note {number}.md", number % 7);
        stage.service.delete(&vault, &path).unwrap();
    }
    ask(&plain, sync(&vault)).await;
    let mut full = sync(&vault);
    full["options"] = json!({"full_sync": true});
    ask(&plain, full).await;
    ask(&plain, json!({"type": "status"})).await;
    drop(plain);
    used.extend(stage.double().used());

    // A mirror with tags, whose trash is in the bucket too.
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("obsync.json");
    std::fs::write(&config, r#"{"mode": "mirror"}"#).unwrap();
    let mirror = function(&stage, &program)
        .env("OBSYNC_CONFIG", &config)
        .env("S3_TAGS", "kind=note")
        .start()
        .await;
    stage.service.delete(&vault, "moved.md").unwrap();
    stage.put(&vault, "new.md", b"new");
    ask(&mirror, sync(&vault)).await;
    used.extend(stage.double().used());

    let policy = policy();
    for one in &used {
        let allowed = policy.iter().any(|statement| statement.allows(one));
        assert!(allowed, "not allowed: {one:?}");
    }
    // What is allowed was done; tags of others' objects are not among these.
    let done: BTreeSet<&str> = used.iter().map(|one| one.action).collect();
    let actions = policy.iter().flat_map(|statement| &statement.actions);
    let allowed = actions.filter(|action| action.starts_with("s3:"));
    let mut allowed: BTreeSet<&str> = allowed.map(String::as_str).collect();
    assert!(allowed.remove("s3:GetObjectTagging"));
    assert_eq!(done, allowed);
}

/// A file as the bucket has it.
fn tree_of(stage: &Stage, path: &str) -> Vec<u8> {
    stage.objects(SAMPLE.1)[path].clone()
}
