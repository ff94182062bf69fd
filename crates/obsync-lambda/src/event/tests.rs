use serde_json::json;

use super::*;

fn complaint(event: &Value) -> String {
    Event::parse(event).expect_err("a complaint").to_string()
}

/// An event in one line, its passwords in the open.
fn shown(event: &Event) -> String {
    let one = |vault: &VaultRequest| {
        let password = vault.password.as_ref().map(Password::expose);
        format!("{}/{}", vault.vault, password.unwrap_or("-"))
    };
    let how = |options: &RunOptions| {
        let timeout = options.timeout.map_or(-1.0, |t| t.as_secs_f64());
        format!("full={} timeout={timeout}", options.full_sync)
    };
    match event {
        Event::SyncVault { vault, options } => format!("one {} {}", one(vault), how(options)),
        Event::SyncMultiple {
            vaults,
            max_concurrent,
            options,
        } => {
            let vaults: Vec<String> = vaults.iter().map(one).collect();
            let most = max_concurrent.map_or(0, NonZeroUsize::get);
            format!("many {} most={most} {}", vaults.join(","), how(options))
        }
        Event::Status { vaults } => format!("status {}", vaults.join(",")),
        Event::Schedule { options } => format!("schedule {}", how(options)),
        Event::Queue(items) => items
            .iter()
            .map(|item| match &item.body {
                Ok(event) => format!("{}: {}", item.message_id, shown(event)),
                Err(error) => format!("{}: {error}", item.message_id),
            })
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[test]
fn every_form_is_read() {
    for (event, expected) in [
        (
            json!({"type": "sync_vault", "vault_id": "abc123", "vault_password": "hunter2",
                "options": {"full_sync": true, "timeout_minutes": 1.5}}),
            "one abc123/hunter2 full=true timeout=90",
        ),
        (
            json!({"type": "sync_vault", "vault_id": "My notes, 2024"}),
            "one My notes, 2024/- full=false timeout=-1",
        ),
        (
            json!({"type": "sync_vault", "vault_id": "a", "vault_password": null,
                "options": {"full_sync": null, "timeout_minutes": null}}),
            "one a/- full=false timeout=-1",
        ),
        (
            json!({"type": "sync_multiple",
                "vaults": [{"vault_id": "a", "vault_password": "1"}, {"vault_id": "b"}],
                "options": {"max_concurrent": 2, "full_sync": true, "timeout_minutes": 10}}),
            "many a/1,b/- most=2 full=true timeout=600",
        ),
        (
            json!({"type": "sync_multiple", "vaults": [{"vault_id": "a"}]}),
            "many a/- most=0 full=false timeout=-1",
        ),
        (json!({"type": "status"}), "status "),
        (
            json!({"type": "status", "vault_ids": ["a", "b"]}),
            "status a,b",
        ),
        (json!({}), "schedule full=false timeout=-1"),
        (
            json!({"version": "0", "id": "53dc4d37", "detail-type": "Scheduled Event",
                "source": "aws.events", "account": "123456789012",
                "time": "2024-01-15T10:30:00Z", "region": "eu-central-1",
                "resources": ["arn:aws:events:eu-central-1:123456789012:rule/hourly"],
                "detail": {}}),
            "schedule full=false timeout=-1",
        ),
        (
            json!({"version": "0", "id": "53dc4d37", "detail-type": "Scheduled Event",
                "source": "aws.scheduler", "detail": "{}"}),
            "schedule full=false timeout=-1",
        ),
        (json!({"action": "sync"}), "schedule full=false timeout=-1"),
        (
            json!({"action": "sync", "vault_id": "", "sync_type": "complete"}),
            "schedule full=true timeout=-1",
        ),
        (
            json!({"action": "sync", "vault_id": "a", "sync_type": "full"}),
            "one a/- full=true timeout=-1",
        ),
        (
            json!({"action": "sync", "vault_id": "a", "sync_type": "incremental"}),
            "one a/- full=false timeout=-1",
        ),
        (
            json!({"type": null, "Records": null, "action": "sync", "vault_id": "a",
                "dest_bucket": "", "dest_prefix": ""}),
            "one a/- full=false timeout=-1",
        ),
        (
            json!({"type": "sync_vault", "vault_id": "a", "full_snyc": null}),
            "one a/- full=false timeout=-1",
        ),
    ] {
        assert_eq!(shown(&Event::parse(&event).unwrap()), expected, "{event}");
    }
}

#[test]
fn complaints_name_the_field() {
    let vault = |more: Value| {
        let mut event = json!({"type": "sync_vault", "vault_id": "a"});
        let all = event.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        event
    };
    let vaults = |vaults: Value| json!({"type": "sync_multiple", "vaults": vaults});
    let minutes = "options.timeout_minutes must be a number of minutes above 0, at most 1440";
    for (event, expected) in [
        (json!([1]), "the event must be a JSON object"),
        (json!(null), "the event must be a JSON object"),
        (
            json!({"key1": "value1"}),
            "type is missing: it must be 'sync_vault', 'sync_multiple' or 'status'",
        ),
        (json!({"type": 5}), "type must be a text"),
        (
            json!({"type": "sync_vaults"}),
            "type must be 'sync_vault', 'sync_multiple' or 'status', not 'sync_vaults'; \
             did you mean 'sync_vault'?",
        ),
        (
            json!({"type": "zebra\u{1b}[2J"}),
            "type must be 'sync_vault', 'sync_multiple' or 'status', not 'zebra\\u{1b}[2J'",
        ),
        (
            json!({"type": "sync_vault"}),
            "vault_id is missing: it must be the vault's id or name",
        ),
        (vault(json!({"vault_id": 7})), "vault_id must be a text"),
        (
            vault(json!({"vault_id": " "})),
            "vault_id must be a vault's id or name, and is empty",
        ),
        (
            vault(json!({"vault_id": "a\u{0}"})),
            "vault_id must be a vault's id or name, and can't be one",
        ),
        (
            vault(json!({"vault_password": ""})),
            "vault_password must not be empty; leave it out where there is none",
        ),
        (
            vault(json!({"vault_password": ["hunter2"]})),
            "vault_password must be a text",
        ),
        (
            vault(json!({"full_sync": true})),
            "unknown field 'full_sync' (known here: type, vault_id, vault_password, options)",
        ),
        (
            vault(json!({"options": {"full_snyc": true}})),
            "unknown field 'full_snyc' in options; did you mean 'full_sync'? \
             (known here: full_sync, timeout_minutes)",
        ),
        (
            vault(json!({"options": {"max_concurrent": 2}})),
            "unknown field 'max_concurrent' in options (known here: full_sync, timeout_minutes)",
        ),
        (
            vault(json!({"options": {"full_sync": "yes"}})),
            "options.full_sync must be true or false",
        ),
        (
            vault(json!({"options": []})),
            "options must be an object { … }",
        ),
        (vault(json!({"options": {"timeout_minutes": 0}})), minutes),
        (vault(json!({"options": {"timeout_minutes": -1}})), minutes),
        (vault(json!({"options": {"timeout_minutes": "5"}})), minutes),
        (
            vault(json!({"options": {"timeout_minutes": 1e300}})),
            minutes,
        ),
        (
            vault(json!({"options": {"timeout_minutes": 1e-300}})),
            minutes,
        ),
        (
            json!({"type": "sync_multiple"}),
            "vaults must list at least one vault: [{\"vault_id\": …}]",
        ),
        (vaults(json!("a")), "vaults must be a list [ … ]"),
        (vaults(json!(["a"])), "vaults[0] must be an object { … }"),
        (
            vaults(json!([{"vault_id": "a"}, {"vault_id": true}])),
            "vaults[1].vault_id must be a text",
        ),
        (
            vaults(json!([{"vault_id": "a"}, {"vault_id": "b"}, {"vault_id": "a"}])),
            "vaults[2].vault_id names the same vault as vaults[0].vault_id",
        ),
        (
            vaults(json!([{"vault_id": "a", "pasword": "x"}])),
            "unknown field 'pasword' in vaults[0] (known here: vault_id, vault_password)",
        ),
        (
            vaults(json!(vec![json!({"vault_id": "a"}); 1001])),
            "vaults must be a list of at most 1000, and has 1001",
        ),
        (
            json!({"type": "sync_multiple", "vaults": [{"vault_id": "a"}],
                "options": {"max_concurrent": 0}}),
            "options.max_concurrent must be a whole number from 1 to 1000",
        ),
        (
            json!({"type": "status", "vault_ids": ["a", 2]}),
            "vault_ids[1] must be a text",
        ),
        (
            json!({"type": "status", "vaults": ["a"]}),
            "unknown field 'vaults' (known here: type, vault_ids)",
        ),
        (
            json!({"source": "aws.s3", "detail-type": "Object Created"}),
            "detail-type 'Object Created' from 'aws.s3' is no schedule; give the rule a constant \
             input such as {\"type\":\"sync_vault\",\"vault_id\":\"…\"}",
        ),
        (
            json!({"action": "snyc"}),
            "action must be 'sync', not 'snyc'; did you mean 'sync'?",
        ),
        (
            json!({"action": "sync", "sync_type": "compleet"}),
            "sync_type must be 'incremental', 'complete' or 'full', not 'compleet'; \
             did you mean 'complete'?",
        ),
        (
            json!({"action": "sync", "dest_bucket": "", "dest_prefix": "copies/"}),
            "dest_prefix must be empty: the bucket and its prefixes are the function's own settings",
        ),
        (
            json!({"type": null, "vault_id": "a"}),
            "type is missing: it must be 'sync_vault', 'sync_multiple' or 'status'",
        ),
        (
            json!({"action": "sync", "vault_password": "hunter2"}),
            "vault_password is there without a vault_id to go with it",
        ),
    ] {
        assert_eq!(complaint(&event), expected, "{event}");
    }
}

#[test]
fn a_message_of_a_queue_fails_alone() {
    let record = |id: &str, body: &str| {
        json!({"messageId": id, "receiptHandle": "x", "body": body, "eventSource": "aws:sqs",
            "awsRegion": "eu-central-1", "attributes": {}})
    };
    let nested = json!({"Records": [record("n", "{}")]}).to_string();
    let event = json!({"Records": [
        record("m1", r#"{"type":"sync_vault","vault_id":"a"}"#),
        record("m2", r#"{"type":"sync_vault"}"#),
        record("m3", r#"{"vault_password": hunter2}"#),
        record("m4", &nested),
        record("m5", "{}"),
        record("m6", "5"),
        {"messageId": "m7", "eventSource": "aws:sqs", "body": 5},
    ]});
    assert_eq!(
        shown(&Event::parse(&event).unwrap()),
        "m1: one a/- full=false timeout=-1\n\
         m2: Records[1].body: vault_id is missing: it must be the vault's id or name\n\
         m3: Records[2].body must be JSON, and is not at 1:20\n\
         m4: Records[3].body must be a single event, not a batch in a batch\n\
         m5: schedule full=false timeout=-1\n\
         m6: Records[5].body: the event must be a JSON object\n\
         m7: Records[6].body must be a text"
    );
}

#[test]
fn a_batch_that_can_not_be_answered_is_refused_whole() {
    for (event, expected) in [
        (
            json!({"Records": [{"eventSource": "aws:s3", "s3": {}}]}),
            "Records[0].eventSource must be 'aws:sqs', not 'aws:s3'",
        ),
        (
            json!({"Records": [{"EventSource": "aws:sns", "Sns": {}}]}),
            "Records[0].eventSource must be 'aws:sqs', not ''",
        ),
        (
            json!({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}),
            "Records[0].messageId must be a text",
        ),
        (json!({"Records": 5}), "Records must be a list [ … ]"),
    ] {
        assert_eq!(complaint(&event), expected, "{event}");
    }
}

#[test]
fn passwords_never_print() {
    let event = json!({"type": "sync_vault", "vault_id": "a", "vault_password": "hunter2"});
    let parsed = Event::parse(&event).unwrap();
    assert!(!format!("{parsed:?}").contains("hunter2"), "{parsed:?}");
    for event in [
        json!({"type": "sync_vault", "vault_id": 1, "vault_password": "hunter2"}),
        json!({"type": "sync_vault", "vault_id": "a", "vault_password": {"x": "hunter2"}}),
        json!({"type": "sync_vault", "vault_id": "a", "vault_pasword": "hunter2"}),
        json!({"vault_id": "a", "vault_password": "hunter2"}),
    ] {
        let error = Event::parse(&event).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn messages_of_a_group_are_one_chain() {
    let record = |id: &str, queue: &str, group: Value| {
        json!({"messageId": id, "body": "{}", "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:eu-central-1:123456789012:{queue}"),
            "attributes": {"MessageGroupId": group}})
    };
    let chained = |records: Value| -> Vec<Vec<String>> {
        let event = Event::parse(&json!({"Records": records})).unwrap();
        let Event::Queue(items) = event else {
            panic!("no queue")
        };
        let ids = |chain: Vec<QueueItem>| chain.into_iter().map(|item| item.message_id).collect();
        chains(items).into_iter().map(ids).collect()
    };
    let fifo = |id, group: &str| record(id, "obsync.fifo", json!(group));
    assert_eq!(
        chained(json!([fifo("1", "a"), fifo("2", "b"), fifo("3", "a")])),
        [vec!["1", "3"], vec!["2"]]
    );
    let fair = |id| record(id, "obsync", json!("a"));
    let bare = |id| record(id, "obsync.fifo", Value::Null);
    assert_eq!(
        chained(json!([fair("1"), fair("2"), bare("3"), bare("4")])),
        [["1"], ["2"], ["3"], ["4"]]
    );
}
