//! The combined credentials from AWS Secrets Manager.
//!
//! One request, signed with the function's own credentials, asks for the secret that
//! `OBSYNC_SECRET_NAME` names. What it holds is read by the rules of the combined credentials
//! file: [`obsync_config::Settings::load_with`].

mod error;
mod kept;
mod place;
#[cfg(test)]
mod tests;

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Credentials, Region};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use obsidian_sync::Password;
use obsync_config::{CombinedText, Environment};

pub use error::{SecretError, SecretErrorKind};
pub(crate) use kept::KeptSecret;
use place::Place;

const ATTEMPTS: u32 = 3;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// One try.
    attempt: Duration,
    /// All of them together.
    whole: Duration,
    /// The most that is waited before the second try.
    pause: Duration,
}

/// Init has 10 seconds in all.
const PACE: Pace = Pace {
    attempt: Duration::from_secs(3),
    whole: Duration::from_secs(8),
    pause: Duration::from_millis(500),
};

/// Fetches the current version of a secret, by its name or ARN.
///
/// The region is the ARN's, or else `AWS_REGION`'s; credentials are those of the environment.
/// `AWS_ENDPOINT_URL_SECRETS_MANAGER` or `AWS_ENDPOINT_URL` names another service than AWS's.
///
/// # Errors
/// When it can't be had; the error says which secret, which permission is missing, and what to do.
pub async fn fetch(name: &str, environment: &Environment) -> Result<CombinedText, SecretError> {
    fetch_at(PACE, name, environment).await
}

async fn fetch_at(
    pace: Pace,
    name: &str,
    environment: &Environment,
) -> Result<CombinedText, SecretError> {
    let place = Place::of(name, environment)?;
    let client = Client::from_conf(config(&place, pace));
    let answer = client.get_secret_value().secret_id(name).send().await;
    let answer = answer.map_err(|error| error::told(name, &place, &error))?;
    match answer.secret_string {
        Some(text) if !text.trim().is_empty() => Ok(CombinedText {
            name: format!("secret {name}"),
            text: Password::new(text),
        }),
        Some(_) => Err(error::unusable(name, "is empty")),
        None => Err(error::unusable(name, "holds bytes instead of text")),
    }
}

fn config(place: &Place, pace: Pace) -> Config {
    let [key, secret, token] = &place.credentials;
    let token = Some(token.expose()).filter(|token| !token.is_empty());
    let credentials = Credentials::new(
        key.expose(),
        secret.expose(),
        token.map(str::to_owned),
        None,
        "environment",
    );
    let http = Builder::new();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(place.region.clone()))
        .credentials_provider(credentials)
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_initial_backoff(pace.pause),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(pace.attempt)
                .operation_attempt_timeout(pace.attempt)
                .operation_timeout(pace.whole)
                .build(),
        );
    match &place.endpoint {
        // Plain HTTP is for this machine only; TLS and its roots need not be set up for it.
        Some(url) if url.starts_with("http:") => config
            .endpoint_url(url)
            .http_client(http.build_http())
            .build(),
        endpoint => {
            let tls = Provider::rustls(CryptoMode::Ring);
            let config = config.http_client(http.tls_provider(tls).build_https());
            match endpoint {
                Some(url) => config.endpoint_url(url).build(),
                None => config.build(),
            }
        }
    }
}
