//! Credentials come from a provider that the front end picks, never from a chain of their own: the
//! usual chain ends in a probe of the network.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::CredentialProvider;
pub use object_store::aws::{AwsCredential, AwsCredentialProvider};
use obsync_core::StoreError;

/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, as they were when it was
/// made: in a Lambda function they hold for the life of the process.
#[derive(Debug)]
pub struct EnvironmentCredentials(Arc<AwsCredential>);

impl EnvironmentCredentials {
    /// Reads the variables; `None` if there are no keys in them.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        Some(Self(Arc::new(AwsCredential {
            key_id: get("AWS_ACCESS_KEY_ID")?,
            secret_key: get("AWS_SECRET_ACCESS_KEY")?,
            token: get("AWS_SESSION_TOKEN"),
        })))
    }
}

#[async_trait]
impl CredentialProvider for EnvironmentCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        Ok(Arc::clone(&self.0))
    }
}

/// Credentials that run out and are replaced. Asked before every request, so what it gives is to be
/// kept until shortly before its end.
#[async_trait]
pub trait CredentialSource: fmt::Debug + Send + Sync + 'static {
    /// Credentials that hold for a while.
    ///
    /// # Errors
    /// When there are none. Every request then fails with this message.
    async fn current(&self) -> Result<Arc<AwsCredential>, StoreError>;
}

/// A source as the provider that [`crate::S3Home`] takes.
pub fn provider(source: impl CredentialSource) -> AwsCredentialProvider {
    Arc::new(Sourced(source))
}

#[derive(Debug)]
struct Sourced<S>(S);

#[async_trait]
impl<S: CredentialSource> CredentialProvider for Sourced<S> {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let current = self.0.current().await;
        current.map_err(|error| object_store::Error::Generic {
            store: "S3",
            source: Box::new(error),
        })
    }
}

/// There were no credentials to sign a request with.
#[derive(Debug)]
pub(crate) struct NoCredentials(String);

/// Credentials that can be sent. What signs requests takes that for granted.
pub(crate) fn check(credential: &AwsCredential) -> Result<(), NoCredentials> {
    let plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let what = match &credential.token {
        _ if !plain(&credential.key_id) => "the AWS access key id (AWS_ACCESS_KEY_ID)",
        Some(token) if !plain(token) => "the AWS session token (AWS_SESSION_TOKEN)",
        _ => return Ok(()),
    };
    Err(NoCredentials(format!(
        "{what} holds characters that no key has: was a line break copied with it?"
    )))
}

impl NoCredentials {
    pub(crate) fn new(error: &object_store::Error) -> Self {
        match error {
            object_store::Error::Generic { source, .. } => Self(source.to_string()),
            other => Self(other.to_string()),
        }
    }
}

impl fmt::Display for NoCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoCredentials {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_session_token_counts_and_secrets_do_not_print() {
        let read = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some("id".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("hidden".to_owned()),
            "AWS_SESSION_TOKEN" => Some("token-text".to_owned()),
            _ => None,
        };
        let credentials = EnvironmentCredentials::from_variables(read).unwrap();
        let found = credentials.get_credential().await.unwrap();
        check(&found).unwrap();
        for (name, id, token) in [
            ("AWS_ACCESS_KEY_ID", "id\n", "plural"),
            ("AWS_SESSION_TOKEN", "id", "plu\rral"),
            ("AWS_SESSION_TOKEN", "id", "pl\u{fc}ral"),
        ] {
            let bad = AwsCredential {
                key_id: id.to_owned(),
                secret_key: "hidden".to_owned(),
                token: Some(token.to_owned()),
            };
            let told = check(&bad).unwrap_err().to_string();
            assert!(told.contains(name) && !told.contains("ral"), "{told}");
        }
        assert_eq!(found.token.as_deref(), Some("token-text"));
        let shown = format!("{credentials:?}");
        assert!(
            !shown.contains("hidden") && !shown.contains("token-text"),
            "{shown}"
        );
        let none = EnvironmentCredentials::from_variables(|_| Some(String::new()));
        assert!(none.is_none());
    }
}
