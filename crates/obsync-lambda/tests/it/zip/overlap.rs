//! Two sandboxes at work on one vault.

use std::time::Duration;

use obsync_devserver::DevServer;
use obsync_doubles::s3::Double;
use obsync_lambda_local::{Bucket, SAMPLE, Stage};

use super::{ask, function, notes, program, pulls, stored, sync, tree};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_works_and_one_is_busy() {
    let program = program();
    let builder = DevServer::builder().latency(Duration::from_millis(40));
    let stage = Stage::with(builder, Bucket::Double(Double::start().await)).await;
    let vault = stage.vault(SAMPLE);
    notes(&stage, &vault, 120);
    let one = function(&stage, &program).start().await;
    let other = function(&stage, &program).start().await;
    // Both have got through their init, so that they meet.
    one.ready().await.unwrap();
    other.ready().await.unwrap();

    let (first, second) = tokio::join!(ask(&one, sync(&vault)), ask(&other, sync(&vault)));
    let mut statuses = [&first, &second].map(|answer| answer["vaults"][0]["status"].clone());
    statuses.sort_by_key(|status| status.as_str().unwrap().to_owned());
    assert_eq!(statuses, ["busy", "complete"]);
    let (worked, busy) = if first["vaults"][0]["status"] == "complete" {
        (&first, &second)
    } else {
        (&second, &first)
    };
    assert_eq!(worked["status"], "complete");
    assert_eq!(
        busy["status"], "partial",
        "as a whole it is worth another go"
    );
    assert_eq!(stage.objects(SAMPLE.1), tree(&stage, &vault));
    let (files, cursor) = stored(&stage, &vault);
    assert_eq!(files.len(), 120);
    let pulls = pulls(&stage, &vault);
    assert!(pulls.values().all(|count| *count == 1), "{pulls:?}");

    // Who was busy, and knew an older state, finds nothing to do.
    let before = stage.service.stats().pulled();
    for again in [&one, &other] {
        let answer = ask(again, sync(&vault)).await;
        assert_eq!(answer["status"], "complete");
        assert_eq!(stored(&stage, &vault).1, cursor);
    }
    assert_eq!(stage.service.stats().pulled(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_take_turns_never_undo_each_other() {
    let program = program();
    let stage = Stage::start().await;
    let vault = stage.vault(SAMPLE);
    notes(&stage, &vault, 20);
    let sandboxes = [
        function(&stage, &program).start().await,
        function(&stage, &program).start().await,
    ];
    let mut cursor = 0;
    for turn in 0..6_usize {
        let path = format!("turn {turn}.md");
        stage.put(&vault, &path, path.as_bytes());
        stage.put(&vault, "folder 0/note 0.md", path.as_bytes());
        if turn % 2 == 1 {
            let old = format!("turn {}.md", turn - 1);
            stage.service.delete(&vault, &old).unwrap();
        }
        let answer = ask(&sandboxes[turn % 2], sync(&vault)).await;
        assert_eq!(answer["status"], "complete");
        assert_eq!(stage.objects(SAMPLE.1), tree(&stage, &vault));
        let now = stored(&stage, &vault).1;
        assert!(now > cursor, "the cursor went from {cursor} to {now}");
        cursor = now;
    }
}
