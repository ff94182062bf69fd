//! Events in the words of others: EventBridge, SQS, older set-ups.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::{Event, EventError, QueueItem, RunOptions, quoted, vault};

/// An event that EventBridge makes. Its many other fields are EventBridge's business.
pub(super) fn bridge(members: &Map<String, Value>) -> Result<Event, EventError> {
    let fields = Fields::top(members);
    let kind = fields.text("detail-type")?.unwrap_or_default();
    let source = fields.text("source")?.unwrap_or_default();
    if kind == "Scheduled Event" && matches!(source, "aws.events" | "aws.scheduler") {
        return Ok(Event::Schedule {
            options: RunOptions::default(),
        });
    }
    Err(EventError::new(
        "detail-type",
        format!(
            "detail-type {} from {} is no schedule; give the rule a constant input such as \
             {{\"type\":\"sync_vault\",\"vault_id\":\"…\"}}",
            quoted(kind),
            quoted(source)
        ),
    ))
}

/// A batch of SQS messages. A bad message is its own failure; a batch that is not from SQS is one
/// as a whole, since it can't be answered message by message.
pub(super) fn queue(members: &Map<String, Value>) -> Result<Event, EventError> {
    let fields = Fields::top(members);
    let records = fields.objects("Records", usize::MAX)?;
    let items = records.iter().map(item).collect::<Result<_, _>>()?;
    Ok(Event::Queue(items))
}

fn item(record: &Fields<'_>) -> Result<QueueItem, EventError> {
    let source = record.text("eventSource")?.unwrap_or_default();
    if source != "aws:sqs" {
        let not = quoted(source);
        return Err(record.wrong("eventSource", &format!("'aws:sqs', not {not}")));
    }
    let Some(message_id) = record.text("messageId")?.filter(|id| !id.is_empty()) else {
        return Err(record.wrong("messageId", "a text"));
    };
    Ok(QueueItem {
        message_id: message_id.to_owned(),
        group: group(record)?,
        body: body(record),
    })
}

/// The group of a FIFO queue's message. A standard queue may have groups too, which are about
/// fairness, and not about order.
fn group(record: &Fields<'_>) -> Result<Option<String>, EventError> {
    let queue = record.text("eventSourceARN")?.unwrap_or_default();
    if !queue.ends_with(".fifo") {
        return Ok(None);
    }
    let attributes = record.object("attributes")?;
    let group = match &attributes {
        Some(attributes) => attributes.text("MessageGroupId")?,
        None => None,
    };
    Ok(group.map(str::to_owned))
}

fn body(record: &Fields<'_>) -> Result<Event, EventError> {
    let Some(text) = record.text("body")? else {
        return Err(record.wrong("body", "a text"));
    };
    // The parser's own words may quote the text, which may hold a password.
    let event: Value = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        record.wrong("body", &format!("JSON, and is not at {line}:{column}"))
    })?;
    if event.get("Records").is_some() {
        return Err(record.wrong("body", "a single event, not a batch in a batch"));
    }
    Event::parse_single(&event).map_err(|error| {
        let field = match error.field.as_str() {
            "" => record.path("body"),
            field => format!("{}.{field}", record.path("body")),
        };
        EventError::new(field, format!("{}: {error}", record.path("body")))
    })
}

const FULL: [&str; 2] = ["complete", "full"];
const INCREMENTAL: &str = "incremental";

const DESTINATIONS: [&str; 2] = ["dest_bucket", "dest_prefix"];

/// `{"action":"sync","vault_id"?,"sync_type"?}`.
pub(super) fn action(fields: &Fields<'_>) -> Result<Event, EventError> {
    match fields.text("action")?.unwrap_or_default() {
        "sync" => {}
        other => return Err(fields.not_one_of("action", other, &["sync"])),
    }
    // Where to is the function's own business; its sender left these empty where it meant that, too.
    for name in DESTINATIONS {
        if fields.text(name)?.is_some_and(|text| !text.is_empty()) {
            let expected = "empty: the bucket and its prefixes are the function's own settings";
            return Err(fields.wrong(name, expected));
        }
    }
    let known = ["action", "vault_id", "vault_password", "sync_type"];
    fields.only(&[&known[..], &DESTINATIONS].concat())?;
    let full_sync = match fields.text("sync_type")? {
        None | Some("" | INCREMENTAL) => false,
        Some(word) if FULL.contains(&word) => true,
        Some(other) => {
            let known = [INCREMENTAL, FULL[0], FULL[1]];
            return Err(fields.not_one_of("sync_type", other, &known));
        }
    };
    let options = RunOptions {
        full_sync,
        timeout: None,
    };
    // Its sender left the id empty where it meant all vaults.
    let all = |id: &Value| id.as_str() == Some("");
    if fields.given("vault_id").is_none_or(all) {
        if fields.given("vault_password").is_some() {
            let message = "vault_password is there without a vault_id to go with it";
            return Err(EventError::new("vault_password", message));
        }
        return Ok(Event::Schedule { options });
    }
    Ok(Event::SyncVault {
        vault: vault(fields)?,
        options,
    })
}
