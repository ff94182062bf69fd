//! A vault arrives whole, over as many invocations as it takes, and then there is nothing to do.

use obsync_devserver::DevServer;
use obsync_doubles::runtime::Outcome;
use obsync_doubles::s3::Double;
use obsync_lambda_local::{Bucket, SAMPLE, Stage};
use serde_json::json;
use std::time::Duration;

use super::{LONG, ask, function, notes, program, pulls, state_key, stored, sync, tree};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_sync_is_whole_and_the_second_does_nothing() {
    let program = program();
    let stage = Stage::start().await;
    let [vault, _] = stage.samples();
    let function = function(&stage, &program).start().await;
    let cold = function.ready().await.unwrap();
    println!("from the start of the process to its first request: {cold:?}");

    let answer = ask(&function, sync(&vault)).await;
    assert_eq!(answer["status"], "complete");
    let files = tree(&stage, &vault);
    assert_eq!(stage.objects(SAMPLE.1), files);
    let told = &answer["vaults"][0];
    assert_eq!(told["vault_id"], vault.as_str());
    assert_eq!(told["name"], SAMPLE.1);
    assert_eq!(told["files_downloaded"], files.len());
    assert_eq!(told["files_failed"], 0);
    assert_eq!(told["remaining"], 0);

    let pulled = stage.service.stats().pulled();
    let state = stage.double().object(&state_key(&vault)).unwrap();
    stage.double().requests();
    let answer = ask(&function, sync(&vault)).await;
    assert_eq!(answer["status"], "complete");
    assert_eq!(answer["vaults"][0]["files_downloaded"], 0);
    assert_eq!(answer["vaults"][0]["cursor"], told["cursor"]);
    assert_eq!(stage.service.stats().pulled(), pulled);
    let requests = stage.double().requests();
    let changes = |request: &&String| !request.starts_with("GET") && !request.starts_with("HEAD");
    // Neither a vault object, nor the state, nor a lease: only when the run last succeeded.
    let status = format!("PUT state/{vault}.status.json");
    let changes: Vec<_> = requests.iter().filter(changes).collect();
    assert_eq!(changes, [&status]);
    let state_now = stage.double().object(&state_key(&vault)).unwrap();
    assert_eq!(state_now.version, state.version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_arrives_with_the_next_invocation_and_nothing_else_does() {
    let program = program();
    let stage = Stage::start().await;
    let [vault, _] = stage.samples();
    let function = function(&stage, &program).start().await;
    ask(&function, sync(&vault)).await;
    let pulled = stage.service.stats().pulled();

    stage.put(&vault, "Start here.md", b"# Changed\n");
    stage.service.delete(&vault, "Tools.md").unwrap();
    let answer = ask(&function, sync(&vault)).await;
    assert_eq!(answer["status"], "complete");
    assert_eq!(answer["vaults"][0]["files_deleted"], 1);
    assert_eq!(stage.service.stats().pulled(), pulled + 1);
    assert_eq!(stage.objects(SAMPLE.1), tree(&stage, &vault));
}

/// 150 notes whose pulls take 120 ms each, so that three connections need 6 s at least.
async fn slow() -> (Stage, obsidian_sync::VaultId) {
    let builder = DevServer::builder().latency(Duration::from_millis(120));
    let stage = Stage::with(builder, Bucket::Double(Double::start().await)).await;
    let vault = stage.vault(SAMPLE);
    notes(&stage, &vault, 150);
    (stage, vault)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_too_large_for_one_invocation_takes_several_and_no_file_twice() {
    let program = program();
    let (stage, vault) = slow().await;
    let function = function(&stage, &program).start().await;
    // Less than the pulls need, by whatever clock.
    let mut event = sync(&vault);
    event["options"] = json!({"timeout_minutes": 6.0 / 60.0});

    let (mut partial, mut late, mut cursor) = (0, 0, 0);
    loop {
        let outcome = function.invoke(event.clone(), LONG).await;
        if let Outcome::Error { message, .. } = &outcome {
            // On a machine that is that busy it came to nothing, and says so.
            println!("{message}");
            late += 1;
            assert!(late < 5, "{message}");
            continue;
        }
        let answer = outcome.answer();
        println!("{answer}");
        let told = &answer["vaults"][0];
        let (files, now) = stored(&stage, &vault);
        assert!(now >= cursor, "the cursor went from {cursor} to {now}");
        cursor = now;
        if answer["status"] == "complete" {
            assert_eq!(told["remaining"], 0);
            break;
        }
        assert_eq!(answer["status"], "partial");
        assert_eq!(told["status"], "partial");
        // What was downloaded is in the state: the next invocation may be another process's.
        assert_eq!(files.len() as u64, stage.service.stats().pulled());
        assert!(told["remaining"].as_u64().unwrap() > 0);
        partial += 1;
        assert!(partial < 100, "no end in sight");
    }
    assert!(partial > 0);
    assert_eq!(stage.objects(SAMPLE.1), tree(&stage, &vault));
    let pulls = pulls(&stage, &vault);
    assert_eq!(pulls.len(), 150);
    assert!(pulls.values().all(|count| *count == 1), "{pulls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_invocations_own_deadline_ends_a_run_in_time() {
    let program = program();
    let builder = DevServer::builder().latency(Duration::from_millis(150));
    let stage = Stage::with(builder, Bucket::Double(Double::start().await)).await;
    let vault = stage.vault(SAMPLE);
    notes(&stage, &vault, 150);
    let first = function(&stage, &program).start().await;
    // The pulls alone take 7.5 s. An answer that comes too late would be a kill.
    let answer = first.invoke(sync(&vault), Duration::from_secs(5)).await;
    let answer = answer.answer();
    println!("{answer}");
    assert_eq!(answer["status"], "partial");
    drop(first);

    // Another process goes on where this one stopped.
    let second = function(&stage, &program).start().await;
    let answer = second.invoke(sync(&vault), LONG).await.answer();
    assert_eq!(answer["status"], "complete");
    assert_eq!(stage.objects(SAMPLE.1), tree(&stage, &vault));
    let pulls = pulls(&stage, &vault);
    assert!(pulls.values().all(|count| *count == 1), "{pulls:?}");
}
