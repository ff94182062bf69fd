//! What an invocation leaves to the next one in the same process, and to the next process.

use serde_json::json;

use crate::world::{EMAIL, LONG, World, end, metrics, sync};

#[tokio::test(flavor = "multi_thread")]
async fn the_second_invocation_needs_next_to_nothing() {
    let (world, vault) = World::with_vault().await;
    let function = world.start().await;
    function.invoke(sync("Notes"), LONG).await.answer();
    let state = format!("state/{vault}.json");
    let before = world.bucket.object(&state).unwrap();

    world.server.reset_stats();
    world.bucket.requests();
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    assert_eq!(answer["status"], "complete");
    let stats = world.server.stats();
    assert_eq!(stats.sign_in_attempts, 0, "no sign-in");
    assert_eq!(stats.requests_to("/vault/list"), 0, "no list of vaults");
    assert_eq!((stats.pulled(), stats.sockets), (0, 1));
    let requests = world.bucket.requests();
    assert!(!requests.contains(&format!("GET {state}")), "{requests:?}");
    let writes = requests.iter().filter(|line| line.starts_with("PUT "));
    let writes: Vec<&String> = writes.collect();
    assert_eq!(writes, [&format!("PUT state/{vault}.status.json")]);
    let after = world.bucket.object(&state).unwrap();
    assert_eq!((after.e_tag, after.version), (before.e_tag, before.version));

    let told = metrics(&function, 2).await;
    let cold: Vec<_> = told.iter().map(|line| &line["ColdStart"]).collect();
    assert_eq!(cold, [&json!(1), &json!(0)]);
    let output = end(function).await;
    let derived = output.matches("derived the vault's key").count();
    assert_eq!(derived, 1, "the key is kept: {output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_seen_by_a_warm_function() {
    let (world, vault) = World::with_vault().await;
    let function = world.start().await;
    function.invoke(sync("Notes"), LONG).await.answer();
    world.put(&vault, "new.md", "new");
    world.server.delete(&vault, "Hello.md").unwrap();
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    let one = &answer["vaults"][0];
    let numbers = [&one["files_downloaded"], &one["files_deleted"]];
    assert_eq!(numbers, [&json!(1), &json!(1)]);
    assert_eq!(world.objects("Notes"), world.tree(&vault));
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_new_to_a_warm_function_is_found() {
    let (world, _) = World::with_vault().await;
    let function = world.start().await;
    function.invoke(sync("Notes"), LONG).await.answer();
    let new = world.vault("New");
    let answer = function.invoke(sync("New"), LONG).await.answer();
    assert_eq!(answer["vaults"][0]["vault_id"], json!(new));
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_replaced_once_an_invocation() {
    let (world, _) = World::with_vault().await;
    let function = world.start().await;
    function.invoke(sync("Notes"), LONG).await.answer();
    for sign_ins in 2..4 {
        world.server.revoke_tokens(EMAIL).unwrap();
        let answer = function.invoke(sync("Notes"), LONG).await.answer();
        assert_eq!(answer["status"], "complete", "{answer}");
        assert_eq!(world.server.stats().sign_ins, sign_ins);
    }
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_process_uses_the_token_and_the_state() {
    let (world, vault) = World::with_vault().await;
    let tmp = tempfile::tempdir().unwrap();
    let start = || world.setup().tmp(tmp.path()).start();
    let function = start().await;
    function.invoke(sync("Notes"), LONG).await.answer();
    end(function).await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let token = std::fs::metadata(tmp.path().join("obsync/token.json")).unwrap();
        assert_eq!(token.permissions().mode() & 0o777, 0o600);
    }

    world.server.reset_stats();
    world.bucket.requests();
    let function = start().await;
    function.ready().await.unwrap();
    let state = format!("GET state/{vault}.json");
    assert!(world.bucket.requests().contains(&state), "loaded in init");
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    assert_eq!(answer["vaults"][0]["files_downloaded"], 0);
    assert!(!world.bucket.requests().contains(&state));
    assert_eq!(world.server.stats().sign_in_attempts, 0);
    end(function).await;

    let setup = world.setup().env("LAMBDA_DOWNLOAD_ON_STARTUP", "false");
    let function = setup.start().await;
    function.ready().await.unwrap();
    assert_eq!(world.bucket.requests(), [""; 0]);
    end(function).await;
}
