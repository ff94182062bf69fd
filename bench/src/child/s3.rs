//! A home in a bucket of the S3 double.

use std::sync::Arc;

use obsidian_sync::VaultId;
use obsync_core::clock::SystemClock;
use obsync_doubles::s3::BUCKET;
use obsync_s3::{About, EnvironmentCredentials, Place, S3Home, S3Settings};

use super::sync::NAME;
use crate::Result;

pub(super) async fn open(endpoint: &str, vault: &VaultId) -> Result<S3Home> {
    let mut settings = S3Settings::new(BUCKET);
    settings.region = Some("us-east-1".to_owned());
    settings.endpoint = Some(url::Url::parse(endpoint)?);
    let about = About {
        vault: vault.clone(),
        name: NAME.to_owned(),
        shared_name: false,
        place: Place::Prefix(format!("copies/{}", vault.as_str())),
    };
    let credentials = EnvironmentCredentials::from_variables(|name| {
        (name != "AWS_SESSION_TOKEN").then(|| "example".to_owned())
    });
    let credentials = Arc::new(credentials.ok_or("keys were given")?);
    Ok(S3Home::open(&settings, &about, credentials, Arc::new(SystemClock)).await?)
}
