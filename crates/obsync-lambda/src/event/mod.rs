//! What the function can be asked: one [`Event`] for each form of JSON that it takes.
//!
//! | form | becomes |
//! |---|---|
//! | `{"type":"sync_vault","vault_id",…}` | [`Event::SyncVault`] |
//! | `{"type":"sync_multiple","vaults":[…],…}` | [`Event::SyncMultiple`] |
//! | `{"type":"status","vault_ids":[…]}` | [`Event::Status`] |
//! | an EventBridge rule's or Scheduler's own event, or `{}` | [`Event::Schedule`] |
//! | an SQS batch, each body one of the other forms | [`Event::Queue`] |
//! | `{"action":"sync","vault_id"?,"sync_type"?}`, as older set-ups send | [`Event::SyncVault`] or [`Event::Schedule`] |
//!
//! `{}` counts as a schedule because it is what EventBridge Scheduler's console and
//! `aws lambda invoke` send when nobody writes a payload. Every other field must be known: a typo
//! such as `full_snyc`, silently ignored, would do the wrong thing for months. `null` is the same
//! as leaving a field out.

mod fields;
mod sources;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::time::Duration;

use obsidian_sync::Password;
use obsync_config::suggest::did_you_mean;
use obsync_core::escape_name;
use serde_json::Value;

use fields::Fields;

/// The most vaults that one event may name.
pub const MOST_VAULTS: usize = 1000;

/// The longest time that an event may ask for. Lambda itself ends an invocation after 15 minutes,
/// so that a larger number is a slip: seconds instead of minutes.
const MOST_MINUTES: f64 = 24.0 * 60.0;

/// The most characters of an id or a name.
const LONGEST_NAME: usize = 1000;

/// A request to the function.
#[derive(Debug, Clone)]
pub enum Event {
    /// Sync one vault. A failure of it is a failure of the invocation.
    SyncVault {
        /// Which.
        vault: VaultRequest,
        /// How.
        options: RunOptions,
    },
    /// Sync these vaults, side by side.
    SyncMultiple {
        /// Which; none twice.
        vaults: Vec<VaultRequest>,
        /// How many at a time; `None`: the function's choice.
        max_concurrent: Option<NonZeroUsize>,
        /// How.
        options: RunOptions,
    },
    /// Tell where vaults stand.
    Status {
        /// Ids or names; empty means all that the function is set up for.
        vaults: Vec<String>,
    },
    /// Sync what the function is set up for.
    Schedule {
        /// How.
        options: RunOptions,
    },
    /// Messages of a queue, each to be answered for itself.
    Queue(Vec<QueueItem>),
}

/// A vault that is to be synced.
#[derive(Debug, Clone)]
pub struct VaultRequest {
    /// Its id or its name.
    pub vault: String,
    /// Its encryption password, if the event brings it.
    pub password: Option<Password>,
}

/// How vaults are to be synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Compare with the whole vault, not only with what changed.
    pub full_sync: bool,
    /// The most time the run may take; `None`: what the invocation has.
    pub timeout: Option<Duration>,
}

/// One message of a queue.
#[derive(Debug, Clone)]
pub struct QueueItem {
    /// By which the queue is told that it failed.
    pub message_id: String,
    /// Its group in a FIFO queue, whose messages keep their order.
    pub group: Option<String>,
    /// What it asks for; never another queue.
    pub body: Result<Event, EventError>,
}

/// An event that is not understood. The message names the field; it quotes no value that may be a
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EventError {
    /// The field, with dots and brackets between levels; empty for the event as a whole.
    pub field: String,
    message: String,
}

impl EventError {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// Messages in chains: those of one group one after the other, and each without a group for itself.
pub fn chains(items: Vec<QueueItem>) -> Vec<Vec<QueueItem>> {
    let mut chains: Vec<Vec<QueueItem>> = Vec::new();
    for item in items {
        let same = |chain: &&mut Vec<QueueItem>| chain[0].group == item.group;
        match chains.iter_mut().find(same) {
            Some(chain) if item.group.is_some() => chain.push(item),
            _ => chains.push(vec![item]),
        }
    }
    chains
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// When its form is unknown, or a field is missing, unknown or not what it must be.
    pub fn parse(event: &Value) -> Result<Self, EventError> {
        let Value::Object(members) = event else {
            return Err(EventError::new("", "the event must be a JSON object"));
        };
        if Fields::top(members).given("Records").is_some() {
            return sources::queue(members);
        }
        Self::parse_single(event)
    }

    /// As [`Event::parse`], without queues.
    fn parse_single(event: &Value) -> Result<Self, EventError> {
        let Value::Object(members) = event else {
            return Err(EventError::new("", "the event must be a JSON object"));
        };
        let fields = Fields::top(members);
        if fields.given("type").is_some() {
            return typed(&fields);
        }
        if fields.given("action").is_some() {
            return sources::action(&fields);
        }
        if fields.given("detail-type").is_some() {
            return sources::bridge(members);
        }
        if members.is_empty() {
            return Ok(Self::Schedule {
                options: RunOptions::default(),
            });
        }
        Err(EventError::new(
            "type",
            format!("type is missing: it must be {}", list(&TYPES)),
        ))
    }

    /// The form, as one word for logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SyncVault { .. } => "sync_vault",
            Self::SyncMultiple { .. } => "sync_multiple",
            Self::Status { .. } => "status",
            Self::Schedule { .. } => "schedule",
            Self::Queue(_) => "queue",
        }
    }
}

const TYPES: [&str; 3] = ["sync_vault", "sync_multiple", "status"];

fn typed(fields: &Fields<'_>) -> Result<Event, EventError> {
    match fields.text("type")?.unwrap_or_default() {
        "sync_vault" => {
            fields.only(&["type", "vault_id", "vault_password", "options"])?;
            Ok(Event::SyncVault {
                vault: vault(fields)?,
                options: options(fields.object("options")?.as_ref(), &[])?,
            })
        }
        "sync_multiple" => {
            fields.only(&["type", "vaults", "options"])?;
            let own = fields.object("options")?;
            let options = options(own.as_ref(), &["max_concurrent"])?;
            let max_concurrent = match &own {
                Some(own) => own.count("max_concurrent", MOST_VAULTS)?,
                None => None,
            };
            Ok(Event::SyncMultiple {
                vaults: vaults(fields)?,
                max_concurrent,
                options,
            })
        }
        "status" => {
            fields.only(&["type", "vault_ids"])?;
            let mut vaults = Vec::new();
            for (at, id) in fields.items("vault_ids", MOST_VAULTS)?.iter().enumerate() {
                let field = format!("vault_ids[{at}]");
                vaults.push(name(&field, id.as_str())?.to_owned());
            }
            Ok(Event::Status { vaults })
        }
        other => Err(fields.not_one_of("type", other, &TYPES)),
    }
}

fn vaults(fields: &Fields<'_>) -> Result<Vec<VaultRequest>, EventError> {
    let items = fields.objects("vaults", MOST_VAULTS)?;
    if items.is_empty() {
        return Err(EventError::new(
            "vaults",
            "vaults must list at least one vault: [{\"vault_id\": …}]",
        ));
    }
    let mut vaults: Vec<VaultRequest> = Vec::with_capacity(items.len());
    for item in &items {
        item.only(&["vault_id", "vault_password"])?;
        let next = vault(item)?;
        if let Some(first) = vaults.iter().position(|known| known.vault == next.vault) {
            let field = item.path("vault_id");
            let message = format!("{field} names the same vault as vaults[{first}].vault_id");
            return Err(EventError::new(field, message));
        }
        vaults.push(next);
    }
    Ok(vaults)
}

fn vault(fields: &Fields<'_>) -> Result<VaultRequest, EventError> {
    let field = fields.path("vault_id");
    let Some(given) = fields.given("vault_id") else {
        let message = format!("{field} is missing: it must be the vault's id or name");
        return Err(EventError::new(field, message));
    };
    let vault = name(&field, given.as_str())?.to_owned();
    let password = match fields.text("vault_password")? {
        Some("") => {
            let field = fields.path("vault_password");
            let message = format!("{field} must not be empty; leave it out where there is none");
            return Err(EventError::new(field, message));
        }
        password => password.map(Password::new),
    };
    Ok(VaultRequest { vault, password })
}

/// A vault's id or name, if that is what the text can be.
fn name<'a>(field: &str, text: Option<&'a str>) -> Result<&'a str, EventError> {
    let wrong = |expected: &str| EventError::new(field, format!("{field} must be {expected}"));
    let text = text.ok_or_else(|| wrong("a text"))?;
    if text.trim().is_empty() {
        return Err(wrong("a vault's id or name, and is empty"));
    }
    if text.chars().count() > LONGEST_NAME || text.chars().any(char::is_control) {
        return Err(wrong("a vault's id or name, and can't be one"));
    }
    Ok(text)
}

fn options(options: Option<&Fields<'_>>, more: &[&str]) -> Result<RunOptions, EventError> {
    let Some(fields) = options else {
        return Ok(RunOptions::default());
    };
    fields.only(&[&["full_sync", "timeout_minutes"], more].concat())?;
    Ok(RunOptions {
        full_sync: fields.truth("full_sync")?.unwrap_or_default(),
        timeout: minutes(fields)?,
    })
}

fn minutes(fields: &Fields<'_>) -> Result<Option<Duration>, EventError> {
    let Some(given) = fields.given("timeout_minutes") else {
        return Ok(None);
    };
    let minutes = given.as_f64().filter(|m| *m > 0.0 && *m <= MOST_MINUTES);
    let timeout = minutes.and_then(|m| Duration::try_from_secs_f64(m * 60.0).ok());
    match timeout {
        Some(timeout) if !timeout.is_zero() => Ok(Some(timeout)),
        _ => Err(fields.wrong(
            "timeout_minutes",
            &format!("a number of minutes above 0, at most {MOST_MINUTES}"),
        )),
    }
}

/// `'a', 'b' or 'c'`.
fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    match quoted.as_slice() {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        one => one.concat(),
    }
}

/// A foreign text in a message: short, and nothing that steers a terminal.
fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("'{}'", escape_name(&short))
}

/// `; did you mean 'x'?`, where something is near.
fn hint(word: &str, known: &[&str]) -> String {
    let near = did_you_mean(word, known.iter().copied());
    near.map(|near| format!("; {near}")).unwrap_or_default()
}
