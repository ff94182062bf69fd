//! `vaults`: what the account has.

use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Failure;
use crate::output::{Answer, bytes, table};

pub(crate) async fn run(context: &Context) -> Result<Answer, Failure> {
    let vaults = context.vaults().await?;
    let mut rows = vec![
        ["NAME", "ID", "SIZE", "ENCRYPTION", "REGION", "OWNER"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(vaults.iter().map(|vault| {
        let encryption = if vault.managed_password.is_some() {
            "managed"
        } else {
            "end-to-end"
        };
        vec![
            vault.name.clone(),
            vault.id.to_string(),
            bytes(vault.size),
            format!("{encryption} v{}", vault.encryption_version),
            if vault.region.is_empty() {
                "-".to_owned()
            } else {
                vault.region.clone()
            },
            if vault.shared {
                "shared with you"
            } else {
                "you"
            }
            .to_owned(),
        ]
    }));
    let list: Vec<Value> = vaults
        .iter()
        .map(|vault| {
            json!({
                "id": vault.id, "name": vault.name, "size": vault.size, "region": vault.region,
                "encryption_version": vault.encryption_version,
                "managed": vault.managed_password.is_some(), "shared": vault.shared,
                "created": vault.created,
            })
        })
        .collect();
    let answer = Answer::new(json!({ "status": "ok", "vaults": list }));
    Ok(if vaults.is_empty() {
        answer.say("the account has no vaults")
    } else {
        answer.data(table(&rows))
    })
}
