//! A process that is killed at any point, and the invocation after it.

use std::time::Duration;

use obsidian_sync::VaultId;
use obsync_devserver::DevServer;
use obsync_doubles::runtime::Outcome;
use obsync_doubles::s3::Double;
use obsync_lambda_local::{Bucket, SAMPLE, Stage};

use super::{
    LONG, ask, expire_lease, function, notes, program, pulls, state_key, stored, sync, tree,
};

const NOTES: usize = 60;

/// A service that is slow enough to be interrupted: by three connections, 20 pulls each.
async fn slow(latency_ms: u64) -> (Stage, VaultId) {
    let builder = DevServer::builder().latency(Duration::from_millis(latency_ms));
    let stage = Stage::with(builder, Bucket::Double(Double::start().await)).await;
    let vault = stage.vault(SAMPLE);
    notes(&stage, &vault, NOTES);
    (stage, vault)
}

/// Kills a run once `count` requests that start with `what` were answered; checks that one more
/// invocation makes it whole. Returns how many files were committed before.
async fn kill_after(what: &str, count: usize, latency_ms: u64) -> usize {
    let program = program();
    let (stage, vault) = slow(latency_ms).await;
    let what = what.replace("<state>", &state_key(&vault));
    let doomed = function(&stage, &program)
        .env("LAMBDA_BATCH_SIZE", "7")
        .start()
        .await;
    doomed.ready().await.unwrap();
    stage.double().requests();
    let reached = async {
        let mut seen = 0;
        while seen < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let requests = stage.double().requests();
            seen += requests
                .iter()
                .filter(|line| line.starts_with(&what))
                .count();
        }
        doomed.kill().await;
    };
    let run = async { tokio::join!(doomed.invoke(sync(&vault), LONG), reached) };
    let (outcome, ()) = tokio::time::timeout(LONG, run).await.unwrap();
    if let Outcome::Answer(answer) = outcome {
        panic!("it was over before the kill: {answer}");
    }
    assert_eq!(outcome, Outcome::Died);
    let (committed, cursor) = stored(&stage, &vault);
    println!(
        "killed with {} files committed, cursor {cursor}",
        committed.len()
    );

    // A file that was put and not committed is ours all the same: its deletion arrives.
    let objects = stage.objects(SAMPLE.1).into_keys();
    let uncommitted = objects.rev().find(|path| !committed.contains_key(path));
    if let Some(path) = &uncommitted {
        stage.service.delete(&vault, path).unwrap();
    }

    expire_lease(&stage, &vault);
    let next = function(&stage, &program).start().await;
    let answer = ask(&next, sync(&vault)).await;
    assert_eq!(answer["status"], "complete");
    let files = tree(&stage, &vault);
    assert_eq!(stage.objects(SAMPLE.1), files);
    let (now, cursor_now) = stored(&stage, &vault);
    assert_eq!(now.len(), NOTES - usize::from(uncommitted.is_some()));
    assert!(cursor_now >= cursor);
    let pulls = pulls(&stage, &vault);
    for path in committed.keys() {
        assert_eq!(pulls[path], 1, "{path} was committed and downloaded again");
    }
    assert!(pulls.values().all(|count| *count <= 2), "{pulls:?}");
    // What nobody knows any more would lie there for ever.
    assert_eq!(stage.double().uploads(), 0);
    committed.len()
}

macro_rules! kills {
    ($($name:ident: $count:literal of $what:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            kill_after($what, $count, 10).await;
        }
    )*};
}

kills! {
    killed_when_it_has_the_lease: 1 of "PUT state/";
    killed_at_its_first_object: 1 of "PUT vaults/";
    killed_at_its_tenth_object: 10 of "PUT vaults/";
    killed_at_its_fortieth_object: 40 of "PUT vaults/";
    killed_at_its_first_commit: 1 of "PUT <state>";
}

/// The state is written once a second: this run takes more than two.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_its_second_commit() {
    let committed = kill_after("PUT <state>", 2, 120).await;
    assert!(committed > 0, "it began anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_runs_lease_keeps_others_out_while_it_lasts() {
    let program = program();
    let (stage, vault) = slow(10).await;
    let doomed = function(&stage, &program).start().await;
    doomed.ready().await.unwrap();
    stage.double().requests();
    let reached = async {
        while !stage
            .double()
            .requests()
            .iter()
            .any(|line| line.starts_with("PUT vaults/"))
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        doomed.kill().await;
    };
    let (outcome, ()) = tokio::join!(doomed.invoke(sync(&vault), LONG), reached);
    assert_eq!(outcome, Outcome::Died);

    // It has not the time to wait for the lease's end.
    let next = function(&stage, &program).start().await;
    let mut event = sync(&vault);
    event["options"] = serde_json::json!({"timeout_minutes": 2.0 / 60.0});
    let answer = ask(&next, event).await;
    assert_eq!(answer["vaults"][0]["status"], "busy");
    assert_eq!(answer["status"], "partial");
    expire_lease(&stage, &vault);
    let answer = ask(&next, sync(&vault)).await;
    assert_eq!(answer["status"], "complete");
    assert_eq!(stage.objects(SAMPLE.1), tree(&stage, &vault));
}
