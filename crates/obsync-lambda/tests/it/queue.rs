//! Batches of a queue: what is not complete comes again, and nothing else.

use serde_json::{Value, json};

use crate::world::{LONG, World, end, metrics, sync};

pub(crate) fn batch(bodies: &[(&str, String)]) -> Value {
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
    // The one that was not understood is a failure of the function.
    let told = metrics(&function, 5).await;
    assert_eq!(told.len(), 5);
    let ours: Vec<_> = told
        .iter()
        .filter(|line| line["status"] == "invalid_event")
        .collect();
    assert_eq!(
        (ours.len(), &ours[0]["Failures"]),
        (1, &json!(1)),
        "{told:?}"
    );
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

/// Messages of a FIFO queue, each with its group.
fn fifo(bodies: &[(&str, &str, String)]) -> Value {
    let messages: Vec<_> = bodies
        .iter()
        .map(|(id, _, body)| (*id, body.clone()))
        .collect();
    let mut event = batch(&messages);
    for (at, (_, group, _)) in bodies.iter().enumerate() {
        let record = &mut event["Records"][at];
        record["attributes"] = json!({"MessageGroupId": group, "SequenceNumber": "1"});
        record["eventSourceARN"] = "arn:aws:sqs:eu-central-1:123456789012:obsync.fifo".into();
    }
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_keeps_its_order_and_ends_at_the_first_that_is_not_complete() {
    let (world, vault) = World::with_vault().await;
    let function = world.start().await;
    let good = || sync(vault.as_str()).to_string();
    let event = fifo(&[
        ("1", "a", good()),
        ("2", "a", sync("neither").to_string()),
        ("3", "b", good()),
        ("4", "a", good()),
        ("5", "b", "{".to_owned()),
        ("6", "b", good()),
        ("7", "c", good()),
    ]);
    let answer = function.invoke(event, LONG).await.answer();
    let failed = ["2", "4", "5", "6"].map(|id| json!({"itemIdentifier": id}));
    assert_eq!(answer, json!({"batchItemFailures": failed}));
    let told = metrics(&function, 5).await;
    assert_eq!(told.len(), 5, "4 and 6 were not begun: {told:?}");
    let output = end(function).await;
    let held = output.matches("held back").count();
    assert_eq!(held, 2, "{output}");
}
