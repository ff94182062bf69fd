//! Other runs, wrong settings, a bucket that refuses.

use obsync_devserver::{Action, Fault, Point};
use obsync_doubles::s3::How;
use serde_json::json;

use crate::world::{LONG, World, end, error, metrics, sync};

#[tokio::test(flavor = "multi_thread")]
async fn while_another_run_works_on_the_vault_it_is_busy() {
    let (world, vault) = World::with_vault().await;
    let function = world.start().await;
    world.hold_lease(&vault);
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    assert_eq!(answer["status"], "partial", "{answer}");
    let one = &answer["vaults"][0];
    assert_eq!(
        (&one["status"], &one["error"]["kind"]),
        (&json!("busy"), &json!("busy"))
    );
    assert_eq!(world.objects("Notes"), []);
    let told = metrics(&function, 1).await;
    assert_eq!(told[0]["status"], "busy");
    let counted = [&told[0]["Failures"], &told[0]["PartialSyncs"]];
    assert_eq!(counted, [&json!(0), &json!(1)], "as the answer says");

    world.bucket.remove(&format!("state/{vault}.lease.json"));
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn being_busy_is_no_reason_to_read_the_state_again() {
    let (world, vault) = World::with_vault().await;
    let function = world.start().await;
    function.invoke(sync("Notes"), LONG).await.answer();
    world.put(&vault, "new.md", "new");
    world.hold_lease(&vault);
    let mut event = sync("Notes");
    event["options"] = json!({"timeout_minutes": 0.05});
    let answer = function.invoke(event, LONG).await.answer();
    assert_eq!(answer["vaults"][0]["status"], "busy", "{answer}");
    world.bucket.remove(&format!("state/{vault}.lease.json"));
    world.bucket.requests();
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    let requests = world.bucket.requests();
    let read = format!("GET state/{vault}.json");
    assert!(!requests.contains(&read), "{requests:?}");
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_before_a_run_began_is_told_by_status() {
    let (mut world, vault) = World::with_vault().await;
    let status = json!({"type": "status", "vault_ids": []});
    let mut event = sync("Notes");
    event["vault_password"] = "hidden and wrong".into();
    let function = world.start().await;
    error(function.invoke(event.clone(), LONG).await);
    for ids in [json!([vault]), json!(["Notes"]), json!([])] {
        let event = json!({"type": "status", "vault_ids": ids});
        let answer = function.invoke(event, LONG).await.answer();
        let stands = &answer["vaults"][0];
        assert_eq!(stands["name"], "Notes", "{answer}");
        assert_eq!(stands["last_error"]["kind"], "wrong_vault_password");
        assert_eq!(stands["last_success"], json!(null));
    }
    // A success is the end of it, and what went wrong after it stands beside it.
    function.invoke(sync("Notes"), LONG).await.answer();
    let answer = function.invoke(status.clone(), LONG).await.answer();
    assert_eq!(answer["vaults"][0]["last_error"], json!(null), "{answer}");
    error(function.invoke(event, LONG).await);
    let answer = function.invoke(status.clone(), LONG).await.answer();
    let stands = &answer["vaults"][0];
    assert_eq!(stands["last_error"]["kind"], "wrong_vault_password");
    assert!(
        stands["last_success"].is_string() && stands["files"] == 3,
        "{answer}"
    );
    end(function).await;

    // Nor is the account's trouble kept from it, where the vault is known.
    world.unset("OBSIDIAN_VAULT_PASSWORD");
    let function = world.start().await;
    error(function.invoke(sync("Notes"), LONG).await);
    let answer = function.invoke(status, LONG).await.answer();
    let kind = &answer["vaults"][0]["last_error"]["kind"];
    assert_eq!(kind, "credentials_missing");
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_functions_on_one_vault_lose_nothing() {
    let (world, vault) = World::with_vault().await;
    for number in 0..200 {
        world.put(&vault, &format!("{number}.md"), &format!("note {number}"));
    }
    let (one, other) = (world.start().await, world.start().await);
    let event = sync("Notes");
    let (first, second) = tokio::join!(
        one.invoke(event.clone(), LONG),
        other.invoke(event.clone(), LONG)
    );
    let statuses =
        [first.answer(), second.answer()].map(|answer| answer["vaults"][0]["status"].clone());
    assert!(statuses.contains(&json!("complete")), "{statuses:?}");
    // Unless one came only after the other had ended, it met it.
    let fine =
        |status: &serde_json::Value| *status == json!("complete") || *status == json!("busy");
    assert!(statuses.iter().all(fine), "{statuses:?}");
    assert_eq!(world.objects("Notes"), world.tree(&vault));
    let answer = other.invoke(event, LONG).await.answer();
    assert_eq!(answer["vaults"][0]["files_downloaded"], 0);
    end(one).await;
    end(other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_larger_than_its_function_creeps_and_arrives() {
    let (world, vault) = World::with_vault().await;
    for number in 0..50 {
        world.put(&vault, &format!("{number}.md"), &format!("note {number}"));
    }
    // More than the empty process has no function of this size.
    let function = world.setup().memory(4).start().await;
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    assert_eq!(world.objects("Notes"), world.tree(&vault));
    let output = end(function).await;
    assert!(
        output.contains("memory is short: one file at a time"),
        "{output}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_told_to_each_event() {
    for (name, value, words) in [
        ("S3_BUCKET", "", "S3_BUCKET is not set"),
        ("S3_SSE", "DES", "S3_SSE must be"),
        (
            "LAMBDA_MAX_CONCURRENT",
            "many",
            "LAMBDA_MAX_CONCURRENT must be",
        ),
        (
            "OBSIDIAN_API_URL",
            "http://example.org",
            "OBSIDIAN_API_URL must be",
        ),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be"),
    ] {
        let (mut world, _) = World::with_vault().await;
        world.set(name, value);
        let function = world.start().await;
        for _ in 0..2 {
            let (kind, message) = error(function.invoke(sync("Notes"), LONG).await);
            assert_eq!(kind, "Obsync.Settings");
            assert!(message.contains(words), "{message}");
        }
        let output = end(function).await;
        assert!(output.contains(words), "{output}");
        assert_eq!(world.server.stats().tcp_connections, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_refuses_is_told_and_the_vault_let_go() {
    let (world, vault) = World::with_vault().await;
    let function = world.start().await;
    let mark = "PUT vaults/Notes/.obsync/id.json";
    world
        .bucket
        .fail(mark, How::Answer(403, "AccessDenied", ""));
    let (kind, message) = error(function.invoke(sync("Notes"), LONG).await);
    assert_eq!(kind, "Obsync.PermissionDenied");
    assert!(message.contains("s3:PutObject is denied"), "{message}");
    let lease = world.document(&vault, ".lease.json");
    assert_eq!(lease["owner"], json!(null));
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    assert_eq!(answer["status"], "complete");
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vaults_of_one_name_have_places_of_their_own() {
    let (world, first) = World::with_vault().await;
    let second = world.vault("Notes");
    let function = world.start().await;
    let event = json!({
        "type": "sync_multiple", "vaults": [{"vault_id": first}, {"vault_id": second}],
    });
    let answer = function.invoke(event, LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    let prefix = |id| {
        world.document(id, ".json")["prefix"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (one, other) = (prefix(&first), prefix(&second));
    assert_ne!(one, other);
    for place in [one, other] {
        let name = place.trim_start_matches("vaults/").trim_end_matches('/');
        assert_eq!(world.objects(name).len(), 3, "{place}");
    }
    let (kind, message) = error(function.invoke(sync("Notes"), LONG).await);
    assert_eq!(kind, "Obsync.VaultAmbiguous");
    assert!(message.contains(first.as_str()), "{message}");
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_can_not_be_brought_has_one_word_everywhere() {
    let (world, vault) = World::with_vault().await;
    let function = world.start().await;
    let uid = world.server.uid_of(&vault, "Hello.md").unwrap();
    let bad = Fault::new(Point::Pull, Action::FlipBit).uid(uid);
    world.server.faults().set(bad).unwrap();
    let (kind, message) = error(function.invoke(sync("Notes"), LONG).await);
    assert_eq!(kind, "Obsync.FilesFailed", "{message}");
    let status = json!({"type": "status", "vault_ids": [vault]});
    let answer = function.invoke(status, LONG).await.answer();
    let stands = &answer["vaults"][0];
    assert_eq!(stands["last_error"]["kind"], "files_failed", "{answer}");
    assert_eq!(stands["pending"], 1, "{answer}");
    end(function).await;
}
