//! Batches of a queue: what is not complete comes again, and nothing else.

use serde_json::{Value, json};

use crate::world::{LONG, World, end, sync};

fn batch(bodies: &[(&str, String)]) -> Value {
    let records: Vec<Value> = bodies
        .iter()
        .map(|(id, body)| {
            json!({"messageId": id, "receiptHandle": "x", "body": body, "attributes": {},
                "eventSource": "aws:sqs", "awsRegion": "eu-central-1"})
        })
        .collect();
    json!({"Records": records})
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_not_complete_comes_again() {
    let (world, vault) = World::with_vault().await;
    let busy = world.vault("Busy");
    world.hold_lease(&busy);
    let function = world.start().await;
    let mut wrong = sync(vault.as_str());
    wrong["vault_password"] = "hidden and wrong".into();
    let event = batch(&[
        ("good", sync("Notes").to_string()),
        ("wrong", wrong.to_string()),
        ("unreadable", "{".to_owned()),
        ("busy", sync(busy.as_str()).to_string()),
        ("unknown", sync("neither").to_string()),
        ("status", json!({"type": "status"}).to_string()),
    ]);
    let answer = function.invoke(event, LONG).await.answer();
    let failed = ["wrong", "unreadable", "busy", "unknown"];
    let failed = failed.map(|id| json!({"itemIdentifier": id}));
    assert_eq!(answer, json!({"batchItemFailures": failed}));
    assert_eq!(world.objects("Notes"), world.tree(&vault));
    let output = end(function).await;
    assert!(output.contains("Records[2].body must be JSON"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_on_one_vault_follow_each_other() {
    let (world, vault) = World::with_vault().await;
    let function = world.start().await;
    let event = batch(&[
        ("first", sync("Notes").to_string()),
        ("second", sync(vault.as_str()).to_string()),
        ("third", "{}".to_owned()),
    ]);
    let answer = function.invoke(event, LONG).await.answer();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    let stats = world.server.stats();
    assert_eq!((stats.pulled(), stats.sign_ins), (2, 1));
    end(function).await;
}
