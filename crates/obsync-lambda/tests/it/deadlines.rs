//! Invocations that are too short for their work.

use std::time::Duration;

use obsync_devserver::{Action, Fault, Point};
use serde_json::json;

use crate::proxy::Proxy;
use crate::world::{LONG, World, end, error, metrics, sync};

/// An invocation whose time runs out. Three quarters of it are for work: enough to begin, on a
/// machine that is busy.
const SHORT: Duration = Duration::from_secs(8);

/// A vault of many files.
fn many(world: &World) -> obsidian_sync::VaultId {
    let vault = world.vault("Many");
    for number in 0..40 {
        world.put(&vault, &format!("{number}.md"), &format!("note {number}"));
    }
    vault
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_invocation_goes_on_where_this_one_stopped() {
    let (mut world, _) = World::with_vault().await;
    world.set("LAMBDA_MAX_CONCURRENT", "1");
    let vault = many(&world);
    let function = world.start().await;
    let stuck = Fault::new(Point::Pull, Action::Hang).after(20);
    world.server.faults().set(stuck).unwrap();
    let answer = function.invoke(sync("Many"), SHORT).await.answer();
    assert_eq!(answer["status"], "partial", "{answer}");
    let one = &answer["vaults"][0];
    let done = one["files_downloaded"].as_u64().unwrap();
    assert!(
        (20..=21).contains(&done),
        "the empty file needs no pull: {answer}"
    );
    assert!(one["remaining"].as_u64().unwrap() > 0, "{answer}");
    let lease = world.document(&vault, ".lease.json");
    assert_eq!(lease["owner"], json!(null), "others may come in");
    let status = json!({"type": "status", "vault_ids": [vault]});
    let stands = function.invoke(status, LONG).await.answer();
    assert_eq!(stands["vaults"][0]["progress"]["done"], done, "{stands}");

    world.server.faults().clear();
    let answer = function.invoke(sync("Many"), LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    assert_eq!(world.objects("Many"), world.tree(&vault));
    let stats = world.server.stats();
    let pulls = &stats.pulls[&vault];
    assert_eq!(pulls.len(), 42);
    assert_eq!(
        stats.pulled(),
        43,
        "only the file that hung was asked for again"
    );
    let told = metrics(&function, 2).await;
    let partial: Vec<_> = told.iter().map(|line| &line["PartialSyncs"]).collect();
    assert_eq!(partial, [&json!(1), &json!(0)]);
    let output = end(function).await;
    assert!(output.contains("less of it is kept back than LAMBDA_TIMEOUT_BUFFER says"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_may_ask_for_less_time_than_there_is() {
    let (world, _) = World::with_vault().await;
    let function = world.start().await;
    let stuck = Fault::new(Point::Ready, Action::Hang);
    world.server.faults().set(stuck).unwrap();
    let mut event = sync("Notes");
    event["options"] = json!({"timeout_minutes": 0.05});
    let (kind, message) = error(function.invoke(event, LONG).await);
    assert_eq!(kind, "Obsync.Timeout");
    assert!(
        message.contains("give the function a longer timeout"),
        "{message}"
    );
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vaults_whose_turn_does_not_come_are_sent_again() {
    let (world, first) = World::with_vault().await;
    let second = world.vault("Second");
    let function = world.start().await;
    let stuck = Fault::new(Point::Pull, Action::Hang).after(1);
    world.server.faults().set(stuck).unwrap();
    let event = json!({
        "type": "sync_multiple",
        "vaults": [{"vault_id": first}, {"vault_id": second}],
        "options": {"max_concurrent": 1},
    });
    let answer = function.invoke(event.clone(), SHORT).await.answer();
    assert_eq!(answer["status"], "partial", "{answer}");
    // Whichever was first; the answer has the event's order.
    for (at, vault) in [&first, &second].into_iter().enumerate() {
        assert_eq!(answer["vaults"][at]["vault_id"], json!(vault));
        assert_eq!(answer["vaults"][at]["status"], "partial");
    }
    let vaults = answer["vaults"].as_array().unwrap().iter();
    let waited = vaults.filter(|vault| vault["error"]["kind"] == "stopped");
    assert_eq!(waited.count(), 1, "{answer}");
    world.server.faults().clear();
    let answer = function.invoke(event, LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    for (name, vault) in [("Notes", &first), ("Second", &second)] {
        assert_eq!(world.objects(name), world.tree(vault));
    }
    end(function).await;
}

/// Makes a vault's host one that takes connections and says nothing.
fn deafen(world: &World, vault: &obsidian_sync::VaultId) -> std::net::TcpListener {
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = json!({"host": deaf.local_addr().unwrap().to_string()});
    world.server.override_listing(vault, host).unwrap();
    deaf
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_hangs_is_not_partial_for_ever_and_the_others_get_their_turns() {
    let (world, stuck) = World::with_vault().await;
    let _deaf = deafen(&world, &stuck);
    let other = world.vault("Other");
    let function = world.start().await;
    let event = json!({
        "type": "sync_multiple",
        "vaults": [{"vault_id": stuck}, {"vault_id": other}],
        "options": {"max_concurrent": 1},
    });
    let mut partial = 0;
    for _ in 0..12 {
        let answer = function.invoke(event.clone(), SHORT).await.answer();
        assert_eq!(answer["vaults"][0]["vault_id"], json!(stuck));
        if answer["status"] == "partial" {
            partial += 1;
            assert!(partial < 3, "no end in sight: {answer}");
            continue;
        }
        assert_eq!(answer["status"], "failed", "{answer}");
        assert_eq!(answer["vaults"][0]["status"], "failed", "{answer}");
        if answer["vaults"][1]["status"] == "complete" {
            assert_eq!(world.objects("Other"), world.tree(&other));
            end(function).await;
            return;
        }
        // Its turn did not come, and it is said who is to blame.
        assert_eq!(answer["vaults"][1]["error"]["kind"], "stopped", "{answer}");
    }
    panic!("the other vault's turn never comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_waits_for_itself_is_not_partial_for_ever() {
    let (world, vault) = World::with_vault().await;
    let _deaf = deafen(&world, &vault);
    let function = world.start().await;
    let event = json!({
        "type": "sync_multiple",
        "vaults": [{"vault_id": vault}, {"vault_id": "Notes"}],
        "options": {"max_concurrent": 2},
    });
    let answer = function.invoke(event, SHORT).await.answer();
    assert_eq!(answer["status"], "failed", "{answer}");
    end(function).await;
}

/// How many of three vaults come to work while all hang at their first answer.
async fn at_work(event: serde_json::Value) -> u64 {
    let names = ["One", "Two", "Three"];
    let mut world = World::new().await;
    world.set("OBSIDIAN_VAULT_PASSWORD", crate::world::VAULT_PASSWORD);
    world.set("OBSYNC_VAULTS", &names.join(","));
    for name in names {
        world.vault(name);
    }
    let stuck = Fault::new(Point::Ready, Action::Hang);
    world.server.faults().set(stuck).unwrap();
    let function = world.start().await;
    function.invoke(event, SHORT).await.answer();
    end(function).await;
    world.server.stats().sockets
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_are_side_by_side_as_the_event_says() {
    let vaults = json!([{"vault_id": "One"}, {"vault_id": "Two"}, {"vault_id": "Three"}]);
    let event = |options| json!({"type": "sync_multiple", "vaults": vaults, "options": options});
    let queued = |event: serde_json::Value| crate::queue::batch(&[("m", event.to_string())]);
    let expected = [
        (event(json!({"max_concurrent": 3})), 3),
        (event(json!({"max_concurrent": 1})), 1),
        (event(json!({})), 2),
        (json!({}), 2),
        // A queue has its own limit besides.
        (queued(event(json!({"max_concurrent": 1}))), 1),
        (queued(event(json!({"max_concurrent": 3}))), 2),
    ];
    let counts = expected.iter().map(|(event, _)| at_work(event.clone()));
    let counts = futures_util::future::join_all(counts).await;
    for ((event, expected), count) in expected.iter().zip(counts) {
        assert_eq!(count, *expected, "{event}");
    }
}

/// While nothing gets into the bucket, what is in flight can be counted.
#[tokio::test(flavor = "multi_thread")]
async fn all_vaults_have_one_memory_together() {
    const MIB: usize = 1 << 20;
    let (mut world, first) = World::with_vault().await;
    let second = world.vault("Second");
    world.set("OBSYNC_VAULTS", "Notes,Second");
    let start = Some("PUT /notes/vaults/");
    let bucket = Proxy::holding_up(&world.bucket.url, start).await;
    for vault in [&first, &second] {
        // Their marks, which are the first thing to come, must not be held up.
        let function = world.start().await;
        function.invoke(sync(vault.as_str()), LONG).await.answer();
        end(function).await;
    }
    for number in 0..4 {
        for vault in [&first, &second] {
            // Small enough to be held whole.
            let content = vec![number; 7 * MIB / 2];
            let path = format!("{number}.bin");
            world
                .server
                .put(vault, &path, &content, obsidian_sync::Millis(1))
                .unwrap();
        }
    }
    world.server.reset_stats();
    world.set("AWS_ENDPOINT_URL_S3", &format!("http://{}", bucket.address));
    world.set("LAMBDA_MAX_CONCURRENT", "4");
    // An eighth of it is for content: four of the files, and not four for each vault.
    let function = world.setup().memory(128).start().await;
    let answer = function.invoke(json!({}), SHORT).await.answer();
    assert_ne!(answer["status"], "complete", "{answer}");
    let stats = world.server.stats();
    assert!(stats.sockets >= 2, "both were at work");
    let most = 16 * MIB as u64;
    assert!(
        (7 * MIB as u64..=most).contains(&stats.bytes_pulled),
        "{}",
        stats.bytes_pulled
    );
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_out_whatever_hangs() {
    // Where nobody answers: the bucket, the service.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = format!("http://{}", deaf.local_addr().unwrap());
    for name in ["AWS_ENDPOINT_URL_S3", "OBSIDIAN_API_URL"] {
        let (mut world, _) = World::with_vault().await;
        world.set(name, &deaf);
        world.set("LAMBDA_DOWNLOAD_ON_STARTUP", "false");
        let function = world.start().await;
        let (kind, _) = error(function.invoke(sync("Notes"), SHORT).await);
        assert_eq!(kind, "Obsync.Timeout", "{name}");
        let told = metrics(&function, 1).await;
        assert_eq!(told[0]["Failures"], 1, "{name}");
        end(function).await;
    }
}
