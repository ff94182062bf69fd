//! Who we are for AWS, and in which region: the environment first, then as AWS tools find it.

use std::sync::Arc;

use obsync_config::{ConfigError, ConfigErrorKind, Environment};
use obsync_s3::{AwsCredentialProvider, EnvironmentCredentials};

use crate::exit::Failure;

const KEYS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// A variable as text. What is not UTF-8 becomes text that no setting takes.
pub(crate) fn variable(environment: &Environment, name: &str) -> Option<String> {
    let value = environment.get(name)?;
    Some(value.to_string_lossy().into_owned())
}

/// The credentials to sign with.
pub(crate) async fn credentials(
    environment: &Environment,
) -> Result<AwsCredentialProvider, Failure> {
    let read = EnvironmentCredentials::from_variables(|name| variable(environment, name));
    if let Some(read) = read {
        return Ok(Arc::new(read));
    }
    let set = |name: &str| variable(environment, name).is_some_and(|value| !value.is_empty());
    let missing: Vec<&str> = KEYS.into_iter().filter(|name| !set(name)).collect();
    let not_set = match missing[..] {
        [one] => format!("{one} is not set"),
        _ => format!("{} are not set", missing.join(" and ")),
    };
    if missing.len() < KEYS.len() {
        // Half a pair is a mistake, not a reason to look elsewhere.
        return Err(none(&[not_set]));
    }
    elsewhere(not_set).await
}

#[cfg(feature = "aws-profiles")]
async fn elsewhere(not_set: String) -> Result<AwsCredentialProvider, Failure> {
    crate::aws_chain::credentials(not_set).await
}

#[cfg(not(feature = "aws-profiles"))]
async fn elsewhere(not_set: String) -> Result<AwsCredentialProvider, Failure> {
    Err(none(&[
        not_set,
        "this obsync was built without profiles and roles".to_owned(),
    ]))
}

/// The region that the profile names.
pub(crate) async fn region() -> Option<String> {
    #[cfg(feature = "aws-profiles")]
    return crate::aws_chain::region().await;
    #[cfg(not(feature = "aws-profiles"))]
    return None;
}

/// Nothing was found in any of these places.
pub(crate) fn none(tried: &[String]) -> Failure {
    let message = format!("there are no AWS credentials: {}", tried.join("; "));
    let failure: Failure = ConfigError::new(ConfigErrorKind::Missing, message).into();
    failure.hint(
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary \
         ones), or AWS_PROFILE; for single sign-on run 'aws sso login' first",
    )
}
