//! The sample events in `deploy/events`.

use obsync_lambda::event::Event;
use obsync_lambda_local::{SAMPLE, Stage, TEAM, event};
use serde_json::json;

use super::{LONG, ask, function, program, tree};

/// Each sample and the form that it is.
const SAMPLES: [(&str, &str); 8] = [
    ("sync_vault", "sync_vault"),
    ("sync_vault_full", "sync_vault"),
    ("sync_multiple", "sync_multiple"),
    ("status", "status"),
    ("schedule", "schedule"),
    ("scheduler", "schedule"),
    ("sqs", "queue"),
    ("old_action", "sync_vault"),
];

#[test]
fn each_is_understood_and_none_is_forgotten() {
    for (name, kind) in SAMPLES {
        let event = event(name).unwrap();
        let parsed = Event::parse(&event).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(parsed.kind(), kind, "{name}");
        if let Event::Queue(items) = parsed {
            assert!(items.iter().all(|item| item.body.is_ok()), "{name}");
        }
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/events");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), SAMPLES.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_served() {
    let program = program();
    for (name, kind) in SAMPLES {
        println!("{name}");
        let stage = Stage::start().await;
        let [sample, team] = stage.samples();
        let names = format!("{},{}", SAMPLE.1, TEAM.1);
        let function = function(&stage, &program).env("OBSYNC_VAULTS", names);
        let function = function.start().await;
        let answer = ask(&function, event(name).unwrap()).await;
        match kind {
            "status" => {
                assert_eq!(answer["status"], "ok");
                assert_eq!(answer["vaults"].as_array().unwrap().len(), 2);
            }
            "queue" => assert_eq!(answer, json!({"batchItemFailures": []})),
            _ => assert_eq!(answer["status"], "complete"),
        }
        if kind != "status" {
            assert_eq!(stage.objects(SAMPLE.1), tree(&stage, &sample));
        }
        if matches!(kind, "queue" | "schedule" | "sync_multiple") {
            assert_eq!(stage.objects(TEAM.1), tree(&stage, &team));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_none_is_refused_with_the_field() {
    let program = program();
    let stage = Stage::start().await;
    let function = function(&stage, &program).start().await;
    let event = json!({"type": "sync_vault", "vault": "x"});
    let outcome = function.invoke(event, LONG).await;
    let obsync_doubles::runtime::Outcome::Error { message, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert!(message.contains("vault"), "{message}");
    // It is not the end of the process.
    let answer = ask(&function, json!({"type": "status", "vault_ids": []})).await;
    assert_eq!(answer["status"], "ok");
}
