//! Each form of event, and its answer.

use obsync_devserver::{Action, Fault, Point};
use serde_json::{Value, json};

use crate::world::{LONG, VAULT_PASSWORD, World, end, error, metrics, sync};

/// Ids and statuses of an answer's vaults.
fn statuses(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let vaults = answer["vaults"].as_array().unwrap().iter();
    vaults
        .map(|vault| (text(&vault["vault_id"]), text(&vault["status"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_vault_comes_to_the_bucket() {
    let (mut world, vault) = World::with_vault().await;
    world.unset("OBSIDIAN_VAULT_PASSWORD");
    let function = world.start().await;
    // The event brings the password; the vault goes by its name.
    let mut event = sync("Notes");
    event["vault_password"] = VAULT_PASSWORD.into();
    let answer = function.invoke(event, LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    assert!(answer["duration_ms"].is_u64());
    let one = &answer["vaults"][0];
    for (field, value) in [
        ("vault_id", json!(vault)),
        ("name", json!("Notes")),
        ("status", json!("complete")),
        ("files_downloaded", json!(3)),
        ("files_moved", json!(0)),
        ("files_deleted", json!(0)),
        ("files_failed", json!(0)),
        ("files_skipped", json!(0)),
        ("remaining", json!(0)),
        ("cursor", json!(world.server.version(&vault).unwrap())),
        ("error", Value::Null),
    ] {
        assert_eq!(one[field], value, "{field}");
    }
    assert_eq!(world.objects("Notes"), world.tree(&vault));
    let lease = world.document(&vault, ".lease.json");
    assert_eq!(lease["owner"], Value::Null, "the lease is let go");

    let told = metrics(&function, 1).await;
    assert_eq!(told.len(), 1);
    for (field, value) in [
        ("FunctionName", json!("obsync")),
        ("VaultId", json!(vault)),
        ("FilesProcessed", json!(3)),
        ("Failures", json!(0)),
        ("PartialSyncs", json!(0)),
        ("ColdStart", json!(1)),
        ("status", json!("complete")),
    ] {
        assert_eq!(told[0][field], value, "{field}");
    }
    assert!(told[0]["MemoryUsage"].as_f64().unwrap() > 1.0);
    let output = end(function).await;
    for part in [
        "[INFO] synced",
        &format!("vault_id={vault}"),
        "request_id=",
        "cold_start=true",
    ] {
        assert!(output.contains(part), "no '{part}' in {output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_single_vault_is_a_function_error() {
    let (world, vault) = World::with_vault().await;
    let function = world.start().await;
    let mut event = sync(vault.as_str());
    event["vault_password"] = "hidden and wrong".into();
    let (kind, message) = error(function.invoke(event, LONG).await);
    assert_eq!(kind, "Obsync.WrongVaultPassword");
    assert!(message.starts_with("vault 'Notes': "), "{message}");

    let (kind, message) = error(function.invoke(sync("Ntes"), LONG).await);
    assert_eq!(kind, "Obsync.VaultUnknown");
    assert!(message.contains("did you mean 'Notes'?"), "{message}");

    let (kind, message) = error(function.invoke(json!({"type": "snyc_vault"}), LONG).await);
    assert_eq!(kind, "Obsync.InvalidEvent");
    assert!(message.starts_with("type must be"), "{message}");

    // One of the two vaults was not found, and the last event was about none: what they were called
    // is no dimension.
    let told = metrics(&function, 3).await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().all(|line| line["Failures"] == 1), "{told:?}");
    let seen = [0, 1, 2].map(|at| [told[at]["VaultId"].clone(), told[at]["vault"].clone()]);
    let none = Value::Null;
    assert_eq!(
        seen,
        [
            [json!(vault), json!(vault)],
            [none.clone(), json!("Ntes")],
            [none.clone(), none]
        ]
    );
    assert_eq!(told[2]["status"], "invalid_event");
    let dimensions = |at: usize| &told[at]["_aws"]["CloudWatchMetrics"][0]["Dimensions"];
    assert_eq!(dimensions(1), &json!([["FunctionName"]]));
    // It is none the worse for it.
    let answer = function.invoke(sync("Notes"), LONG).await.answer();
    assert_eq!(answer["status"], "complete");
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_vaults_one_may_fail() {
    let world = World::new().await;
    let (first, second, third) = (world.vault("One"), world.vault("Two"), world.vault("Three"));
    let function = world.start().await;
    let event = json!({
        "type": "sync_multiple",
        "vaults": [
            {"vault_id": first, "vault_password": VAULT_PASSWORD},
            {"vault_id": second, "vault_password": "hidden and wrong"},
            {"vault_id": "Three", "vault_password": VAULT_PASSWORD},
        ],
        "options": {"max_concurrent": 3, "full_sync": true},
    });
    let answer = function.invoke(event, LONG).await.answer();
    assert_eq!(answer["status"], "failed", "{answer}");
    let expected = [
        (&first, "complete"),
        (&second, "failed"),
        (&third, "complete"),
    ];
    let expected = expected.map(|(id, status)| (id.to_string(), status.to_owned()));
    assert_eq!(statuses(&answer), expected);
    let error = &answer["vaults"][1]["error"];
    assert_eq!(error["kind"], "wrong_vault_password");
    assert_eq!(error["retryable"], false);
    assert_eq!(world.objects("One"), world.tree(&first));
    assert_eq!(world.objects("Two"), []);
    assert_eq!(world.objects("Three"), world.tree(&third));
    let told = metrics(&function, 3).await;
    let sum = |name: &str| -> u64 { told.iter().map(|line| line[name].as_u64().unwrap()).sum() };
    assert_eq!((told.len(), sum("Failures"), sum("ColdStart")), (3, 1, 1));
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_vault_twice_is_synced_one_after_the_other() {
    let (world, vault) = World::with_vault().await;
    let function = world.start().await;
    let event = json!({
        "type": "sync_multiple",
        "vaults": [{"vault_id": vault}, {"vault_id": "Notes"}],
        "options": {"max_concurrent": 2},
    });
    let answer = function.invoke(event, LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    let downloaded = |at: usize| answer["vaults"][at]["files_downloaded"].as_u64().unwrap();
    assert_eq!(downloaded(0) + downloaded(1), 3);
    assert_eq!(world.server.stats().pulled(), 2, "the third is empty");
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_takes_the_vaults_it_is_set_up_for() {
    let (mut world, first) = World::with_vault().await;
    let second = world.vault("More");
    world.set("OBSYNC_VAULTS", &format!("More, {first}"));
    let function = world.start().await;
    let event = json!({
        "version": "0", "id": "x", "detail-type": "Scheduled Event", "source": "aws.events",
        "resources": [], "detail": {},
    });
    let answer = function.invoke(event, LONG).await.answer();
    let expected = [&second, &first].map(|id| (id.to_string(), "complete".to_owned()));
    assert_eq!(statuses(&answer), expected, "{answer}");
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_without_a_list_takes_what_it_has_passwords_of() {
    let (mut world, vault) = World::with_vault().await;
    let function = world.start().await;
    let answer = function.invoke(json!({}), LONG).await.answer();
    assert_eq!(
        statuses(&answer),
        [(vault.to_string(), "complete".to_owned())]
    );
    // An older tool's events mean the same.
    let answer = function
        .invoke(json!({"action": "sync", "sync_type": "full"}), LONG)
        .await;
    assert_eq!(
        statuses(&answer.answer()),
        [(vault.to_string(), "complete".to_owned())]
    );
    let event = json!({"action": "sync", "vault_id": vault, "sync_type": "incremental"});
    let answer = function.invoke(event, LONG).await.answer();
    assert_eq!(
        statuses(&answer),
        [(vault.to_string(), "complete".to_owned())]
    );
    end(function).await;

    world.unset("OBSIDIAN_VAULT_PASSWORD");
    let function = world.start().await;
    let (kind, message) = error(function.invoke(json!({}), LONG).await);
    assert_eq!(kind, "Obsync.CredentialsMissing");
    assert!(
        message.contains("none whose password is known"),
        "{message}"
    );
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_from_the_states_alone() {
    let (world, vault) = World::with_vault().await;
    let other = world.vault("Other");
    let function = world.start().await;
    let status = |ids: Value| json!({"type": "status", "vault_ids": ids});
    let none = function.invoke(status(json!([])), LONG).await.answer();
    assert_eq!(none, json!({"status": "ok", "vaults": []}));
    function.invoke(sync(vault.as_str()), LONG).await.answer();

    world.server.reset_stats();
    world.writes();
    for ids in [json!([]), json!([vault])] {
        let answer = function.invoke(status(ids), LONG).await.answer();
        assert_eq!(answer["vaults"].as_array().unwrap().len(), 1, "{answer}");
        let one = &answer["vaults"][0];
        for (field, value) in [
            ("vault_id", json!(vault)),
            ("name", json!("Notes")),
            ("known", json!(true)),
            ("cursor", json!(world.server.version(&vault).unwrap())),
            ("files", json!(3)),
            ("pending", json!(0)),
            ("last_error", Value::Null),
        ] {
            assert_eq!(one[field], value, "{field}");
        }
        assert!(one["last_success"].is_string() && one["last_change"].is_string());
    }
    assert_eq!(
        world.server.stats().tcp_connections,
        0,
        "the service was not asked"
    );
    // A name is, and so is a vault that was never synced.
    let ids = json!(["Notes", other, "neither"]);
    let answer = function.invoke(status(ids), LONG).await.answer();
    let known = |at: usize| answer["vaults"][at]["known"].as_bool().unwrap();
    assert_eq!(
        [known(0), known(1), known(2)],
        [true, false, false],
        "{answer}"
    );
    assert_eq!(answer["vaults"][0]["vault_id"], json!(vault));
    assert_eq!(answer["vaults"][1]["name"], "Other");
    assert_eq!(answer["vaults"][2]["last_error"]["kind"], "vault_unknown");
    assert_eq!(world.writes(), [""; 0], "nothing was written");
    end(function).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_json_where_lambda_is_set_to_it() {
    let (world, vault) = World::with_vault().await;
    let setup = world.setup().env("AWS_LAMBDA_LOG_FORMAT", "JSON");
    let function = setup.env("LOG_LEVEL", "trace").start().await;
    let mut event = sync(vault.as_str());
    event["vault_password"] = VAULT_PASSWORD.into();
    function.invoke(event, LONG).await.answer();
    let output = end(function).await;
    let lines: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let synced = lines
        .iter()
        .find(|line| line["message"] == "synced")
        .unwrap();
    assert_eq!(synced["vaultId"], json!(vault));
    assert_eq!(synced["coldStart"], true);
    assert!(synced["requestId"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_start_is_counted_whatever_the_first_event_is() {
    let (world, vault) = World::with_vault().await;
    for event in [json!({"type": "status"}), json!({"type": "x"})] {
        let function = world.start().await;
        function.invoke(event, LONG).await;
        function.invoke(sync(vault.as_str()), LONG).await.answer();
        let told = metrics(&function, 2).await;
        let cold: Vec<_> = told.iter().map(|line| &line["ColdStart"]).collect();
        assert_eq!(cold, [&json!(1), &json!(0)], "{told:?}");
        end(function).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_one_line_and_every_line_tells_its_request() {
    let (world, vault) = World::with_vault().await;
    let setup = world.setup().env("AWS_LAMBDA_LOG_FORMAT", "JSON");
    // Small enough that the watch over it has something to say.
    let function = setup.env("LOG_LEVEL", "trace").memory(4).start().await;
    function.ready().await.unwrap();
    let init = function.output().lines().count();
    let mut wrong = sync(vault.as_str());
    wrong["vault_password"] = "hidden and wrong".into();
    // Not for want of time: the time's end is said, too.
    let mut short = sync(vault.as_str());
    short["options"] = json!({"timeout_minutes": 0.05});
    let stuck = Fault::new(Point::Ready, Action::Hang).once();
    let mut requests = 0;
    for event in [wrong, json!({"type": "x"}), sync("neither"), short] {
        let before = function.output().lines().count();
        requests += 1;
        if requests == 4 {
            world.server.faults().set(stuck.clone()).unwrap();
        }
        let (_, message) = error(function.invoke(event.clone(), LONG).await);
        // Whatever the runtime says of it, it says before it asks for the next event.
        let status = json!({"type": "status", "vault_ids": [vault]});
        function.invoke(status, LONG).await.answer();
        let output = function.output();
        let errors: Vec<Value> = output
            .lines()
            .skip(before)
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["level"] == "ERROR")
            .collect();
        assert_eq!(errors.len(), 1, "{event} ({message}): {errors:#?}");
        assert!(errors[0]["requestId"].is_string(), "{errors:?}");
    }
    function.invoke(sync(vault.as_str()), LONG).await.answer();
    let output = end(function).await;
    for words in [
        "memory is short",
        "the time is nearly up",
        "\"level\":\"DEBUG\"",
    ] {
        assert!(output.contains(words), "{words}: {output}");
    }
    for line in output.lines().skip(init) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["requestId"].is_string(), "{line}");
    }
}
