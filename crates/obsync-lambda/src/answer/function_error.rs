//! Failures as the Lambda runtime tells them.

use lambda_runtime::Diagnostic;
use obsync_core::escape_name;

use super::kinds::error_type;
use super::{VaultAnswer, VaultError};
use crate::event::EventError;

/// A failure of the whole invocation. Its type is stable, so that retry rules and alarms can name
/// it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FunctionError {
    /// Such as `Obsync.WrongVaultPassword`.
    pub error_type: String,
    /// For people.
    pub message: String,
}

impl FunctionError {
    /// The failure of the one vault of an event.
    pub fn of_vault(vault: &VaultAnswer) -> Self {
        match &vault.error {
            Some(error) => Self {
                error_type: error_type(error.kind),
                message: format!("vault '{}': {}", escape_name(&vault.name), error.message),
            },
            None => VaultError::new("internal", "a vault failed without a reason").into(),
        }
    }
}

impl From<VaultError> for FunctionError {
    fn from(error: VaultError) -> Self {
        Self {
            error_type: error_type(error.kind),
            message: error.message,
        }
    }
}

impl From<&EventError> for FunctionError {
    fn from(error: &EventError) -> Self {
        VaultError::from(error).into()
    }
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self {
            error_type: error.error_type,
            error_message: error.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_function_error_has_its_own_type() {
        let error = VaultError::new("wrong_vault_password", "refused");
        let vault = VaultAnswer::failed("id", "My\tvault", error);
        let told = Diagnostic::from(FunctionError::of_vault(&vault));
        assert_eq!(
            serde_json::to_value(&told).unwrap(),
            json!({
                "errorType": "Obsync.WrongVaultPassword",
                "errorMessage": "vault 'My\\tvault': refused; this is about the vault's own \
                    encryption password; the account's is another one",
            })
        );
        let event = crate::event::Event::parse(&json!({"type": "x"})).unwrap_err();
        let told = FunctionError::from(&event);
        assert_eq!(told.error_type, "Obsync.InvalidEvent");
        assert!(told.message.starts_with("type must be"), "{}", told.message);
    }
}
