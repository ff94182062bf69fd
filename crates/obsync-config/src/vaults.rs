//! Which vault is meant: an id, or a name that only one vault has.
//!
//! Names in messages are as the service has them; whoever prints them escapes them.

use obsidian_sync::Vault;

use crate::suggest::did_you_mean;

/// No vault, or more than one, goes by what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultChoiceError {
    /// None does.
    #[error("this account has no vault '{wanted}'")]
    Unknown {
        /// What was given.
        wanted: String,
        /// Ways out.
        hints: Vec<String>,
    },
    /// Several have this name.
    #[error("{} vaults are named '{wanted}'", .ids.len())]
    Ambiguous {
        /// What was given.
        wanted: String,
        /// Their ids, each with what tells it apart.
        ids: Vec<String>,
    },
}

impl VaultChoiceError {
    /// A stable word for the kind, for JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "vault_unknown",
            Self::Ambiguous { .. } => "vault_ambiguous",
        }
    }

    /// Ways out, for people.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown { hints, .. } => hints.clone(),
            Self::Ambiguous { ids, .. } => {
                let mut hints = vec!["use the id of the one that is meant:".to_owned()];
                hints.extend(ids.iter().map(|id| format!("  {id}")));
                hints
            }
        }
    }
}

/// Finds the vault with this id or, if there is none, the only one with this name.
///
/// # Errors
/// When none or several go by it.
pub fn choose<'a>(vaults: &'a [Vault], wanted: &str) -> Result<&'a Vault, VaultChoiceError> {
    if let Some(vault) = vaults.iter().find(|vault| vault.id.as_str() == wanted) {
        return Ok(vault);
    }
    let named: Vec<&Vault> = vaults.iter().filter(|vault| vault.name == wanted).collect();
    match named.as_slice() {
        [one] => Ok(one),
        [] => Err(VaultChoiceError::Unknown {
            wanted: wanted.to_owned(),
            hints: hints(vaults, wanted),
        }),
        several => Err(VaultChoiceError::Ambiguous {
            wanted: wanted.to_owned(),
            ids: several.iter().map(|vault| describe(vault)).collect(),
        }),
    }
}

fn describe(vault: &Vault) -> String {
    let whose = if vault.shared {
        "shared with you"
    } else {
        "yours"
    };
    let region = if vault.region.is_empty() {
        String::new()
    } else {
        format!(", region {}", vault.region)
    };
    format!("{} ({whose}{region})", vault.id)
}

fn hints(vaults: &[Vault], wanted: &str) -> Vec<String> {
    if vaults.is_empty() {
        return vec!["the account has no remote vault at all; is it the right account?".to_owned()];
    }
    let names = vaults
        .iter()
        .flat_map(|vault| [vault.name.as_str(), vault.id.as_str()]);
    let near = did_you_mean(wanted, names);
    near.into_iter()
        .chain(["'obsync vaults' lists them".to_owned()])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use obsidian_sync::{Millis, VaultId};

    fn vault(id: &str, name: &str, shared: bool) -> Vault {
        Vault {
            id: VaultId::new(id),
            name: name.to_owned(),
            host: String::new(),
            region: "Europe".to_owned(),
            salt: String::new(),
            encryption_version: 3,
            created: Millis(0),
            size: 0,
            managed_password: None,
            shared,
        }
    }

    #[test]
    fn an_id_or_a_unique_name_chooses() {
        let vaults = [
            vault("aa11", "Notes", false),
            vault("bb22", "Work", false),
            vault("cc33", "Work", true),
            // A name that is another vault's id: the id goes first.
            vault("dd44", "aa11", false),
        ];
        let chosen = |wanted| choose(&vaults, wanted).map(|vault| vault.id.as_str().to_owned());
        assert_eq!(chosen("Notes").unwrap(), "aa11");
        assert_eq!(chosen("cc33").unwrap(), "cc33");
        assert_eq!(chosen("aa11").unwrap(), "aa11");

        let ambiguous = chosen("Work").unwrap_err();
        assert_eq!(ambiguous.to_string(), "2 vaults are named 'Work'");
        assert_eq!(
            ambiguous.hints(),
            [
                "use the id of the one that is meant:",
                "  bb22 (yours, region Europe)",
                "  cc33 (shared with you, region Europe)",
            ]
        );

        let unknown = chosen("notes").unwrap_err();
        assert_eq!(unknown.to_string(), "this account has no vault 'notes'");
        assert_eq!(
            unknown.hints(),
            ["did you mean 'Notes'?", "'obsync vaults' lists them"]
        );
        assert!(choose(&[], "x").unwrap_err().hints()[0].contains("right account"));
    }
}
