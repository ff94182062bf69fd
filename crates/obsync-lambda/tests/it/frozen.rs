//! Between two invocations, or in the middle of one, the process stands still while the world goes on.

use std::time::Duration;

use serde_json::json;

use crate::proxy::Proxy;
use crate::world::{LONG, World, end, sync};

/// A lease that was last written so long ago may be taken over.
const TERM: Duration = Duration::from_secs(31);

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_closed_meanwhile_are_opened_again() {
    let (mut world, vault) = World::with_vault().await;
    let (service, bucket) = (world.server.url(), world.bucket.url.clone());
    let (service, bucket) = (Proxy::to(&service).await, Proxy::to(&bucket).await);
    world.set("OBSIDIAN_API_URL", &format!("http://{}", service.address));
    world.set("AWS_ENDPOINT_URL_S3", &format!("http://{}", bucket.address));
    let function = world.start().await;
    function.invoke(sync("Notes"), LONG).await.answer();

    function.freeze();
    service.cut().await;
    bucket.cut().await;
    // What a run that died would leave.
    let lease = json!({"schema": 1, "owner": "a dead run", "fence": 9, "renewals": 0});
    let key = format!("state/{vault}.lease.json");
    world.bucket.put(&key, lease.to_string().as_bytes());
    world.bucket.age(&key, TERM);
    world.put(&vault, "new.md", "new");
    function.thaw();

    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    assert_eq!(world.objects("Notes"), world.tree(&vault));
    assert_eq!(world.server.stats().sign_ins, 1, "the token is kept");
    let output = end(function).await;
    assert!(!output.contains("[ERROR]"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_overtaken_while_it_stood_still_undoes_nothing() {
    let (mut world, vault) = World::with_vault().await;
    world.set("LAMBDA_BATCH_SIZE", "5");
    for number in 0..200 {
        world.put(&vault, &format!("{number}.md"), &format!("note {number}"));
    }
    let (slow, other) = (world.start().await, world.start().await);
    slow.ready().await.unwrap();
    other.ready().await.unwrap();
    let path = format!("state/{vault}.lease.json");
    let overtaken = async {
        while !world
            .writes()
            .iter()
            .any(|line| line.starts_with("PUT vaults/Notes/1"))
        {
            tokio::task::yield_now().await;
        }
        slow.freeze();
        // The lease runs out, as if the time had passed.
        world.bucket.age(&path, TERM);
        world.server.delete(&vault, "0.md").unwrap();
        world.put(&vault, "1.md", "changed meanwhile");
        let answer = other.invoke(sync("Notes"), LONG).await.answer();
        assert_eq!(answer["status"], "complete", "{answer}");
        let state = world.document(&vault, ".json");
        slow.thaw();
        state
    };
    let (outcome, state) = tokio::join!(slow.invoke(sync("Notes"), LONG), overtaken);
    let answer = outcome.answer();
    assert_eq!(answer["vaults"][0]["status"], "busy", "{answer}");
    assert_eq!(world.objects("Notes"), world.tree(&vault));
    assert_eq!(world.document(&vault, ".json"), state);
    // Both go on from there.
    for function in [&slow, &other] {
        let answer = function.invoke(sync("Notes"), LONG).await.answer();
        assert_eq!(answer["status"], "complete", "{answer}");
        assert_eq!(answer["vaults"][0]["files_downloaded"], 0);
    }
    end(slow).await;
    end(other).await;
}
