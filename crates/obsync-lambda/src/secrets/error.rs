//! Why a secret could not be had.

use std::error::Error as StdError;

use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use obsync_core::escape_name;

use super::place::Place;

/// Why a secret could not be had. No secret is in it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SecretError {
    kind: SecretErrorKind,
    message: String,
}

/// A [`SecretError`], named by what a person does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretErrorKind {
    /// There is none of that name, or nothing in it: create it, correct the name, or fill it in.
    Missing,
    /// The function may not read or decrypt it: mend its policies.
    Denied,
    /// What it holds can't be credentials: mend it.
    Unusable,
    /// The service did not answer, or is throttling: it may pass later.
    Unavailable,
    /// The function's own settings are wrong.
    Settings,
}

impl SecretError {
    pub(super) fn new(kind: SecretErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What a person does next.
    pub fn kind(&self) -> SecretErrorKind {
        self.kind
    }

    /// The kind's word in answers.
    pub fn word(&self) -> &'static str {
        match self.kind {
            SecretErrorKind::Missing => "secret_missing",
            SecretErrorKind::Denied => "secret_denied",
            SecretErrorKind::Unusable => "secret_unusable",
            SecretErrorKind::Unavailable => "secret_unavailable",
            SecretErrorKind::Settings => "settings",
        }
    }
}

pub(super) fn unusable(name: &str, fault: &str) -> SecretError {
    SecretError::new(
        SecretErrorKind::Unusable,
        format!(
            "the secret '{}' {fault}; it must hold the combined credentials as JSON text",
            escape_name(name)
        ),
    )
}

/// The error for people, from the SDK's.
pub(super) fn told(
    name: &str,
    place: &Place,
    error: &SdkError<GetSecretValueError, HttpResponse>,
) -> SecretError {
    let name = escape_name(name);
    let region = &place.region;
    let asked = format!("the secret '{name}' in {region}");
    let Some(service) = error.as_service_error() else {
        let why = chain(error);
        let message = format!(
            "Secrets Manager did not answer when asked for {asked}: {why}; in a VPC, the function \
             needs a way to it: a NAT gateway or an endpoint for secretsmanager"
        );
        return SecretError::new(SecretErrorKind::Unavailable, message);
    };
    let said = service.message().map(escape_name).unwrap_or_default();
    let code = service.code().unwrap_or("an error");
    let (kind, message) = match code {
        // As the templates make it.
        "ResourceNotFoundException" if said.contains("AWSCURRENT") => (
            SecretErrorKind::Missing,
            format!(
                "{asked} has no value yet: fill it in with the combined credentials, by \
                 `aws secretsmanager put-secret-value`"
            ),
        ),
        "ResourceNotFoundException" => (
            SecretErrorKind::Missing,
            format!(
                "there is no {}: create it, or check OBSYNC_SECRET_NAME",
                &asked[4..]
            ),
        ),
        "AccessDeniedException" if said.contains("kms:") => (
            SecretErrorKind::Denied,
            format!(
                "the function may not decrypt {asked}: allow it kms:Decrypt on the secret's KMS \
                 key ({said})"
            ),
        ),
        "AccessDeniedException" => (
            SecretErrorKind::Denied,
            format!(
                "the function may not read {asked}: allow it secretsmanager:GetSecretValue on the \
                 secret ({said})"
            ),
        ),
        "DecryptionFailure" | "DecryptionFailureException" => (
            SecretErrorKind::Denied,
            format!(
                "Secrets Manager can't decrypt {asked}: is its KMS key enabled, and may the \
                 function kms:Decrypt with it? ({said})"
            ),
        ),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidSignatureException" => (
            SecretErrorKind::Denied,
            format!(
                "AWS does not accept the credentials with which {asked} was asked for: {code} \
                 ({said})"
            ),
        ),
        "InvalidRequestException" | "InvalidParameterException" | "ValidationException" => (
            SecretErrorKind::Unusable,
            format!("{asked} can't be read as it is: {said}; is it marked for deletion?"),
        ),
        _ => (
            SecretErrorKind::Unavailable,
            format!("Secrets Manager answered {code} when asked for {asked} ({said})"),
        ),
    };
    SecretError::new(kind, message)
}

fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    escape_name(&text)
}
