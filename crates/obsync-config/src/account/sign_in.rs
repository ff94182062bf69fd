//! One sign-in: patience with a busy service, and the two-factor steps.

use std::time::Duration;

use obsidian_sync::rest::SignedIn;
use obsidian_sync::{Error, Kind, Password};

use super::{AccountError, AccountService};
use crate::timing::Timing;
use crate::totp::TotpSecret;
use crate::vault_password::{Prompt, unanswered};

/// Requests that a busy or broken service may refuse, over all steps of one sign-in.
const TRIES: u32 = 3;
/// The longest wait between tries. A service that asks for more is not asked again in this run.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Where a two-factor code comes from.
pub(super) enum Codes<'a> {
    Secret(&'a TotpSecret),
    Ask(&'a dyn Prompt),
}

pub(super) struct SignIn<'a> {
    pub(super) service: &'a dyn AccountService,
    pub(super) timing: &'a dyn Timing,
    pub(super) email: &'a str,
    pub(super) password: &'a Password,
    pub(super) codes: Codes<'a>,
}

impl SignIn<'_> {
    /// Signs in. An overloaded service is returned as [`AccountError::Service`]; what follows from
    /// it is the caller's business.
    pub(super) async fn run(&self) -> Result<SignedIn, AccountError> {
        let mut refusals = 0;
        // The service wants no code before it has asked for one.
        match self.request(None, &mut refusals).await {
            Err(error) if error.kind() == Kind::TwoFactorRequired => {}
            other => return other.map_err(|error| self.named(error)),
        }
        match &self.codes {
            Codes::Secret(secret) => self.with_secret(secret, &mut refusals).await,
            Codes::Ask(prompt) => {
                let Some(code) = prompt.line("Two-factor code: ").map_err(unanswered)? else {
                    return Err(AccountError::TwoFactorNeeded);
                };
                let code: String = code.split_whitespace().collect();
                self.request(Some(&code), &mut refusals)
                    .await
                    .map_err(|error| self.named(error))
            }
        }
    }

    /// Sends the current code and, where it is refused, the next one: the first may have run out on
    /// its way, or may have been used a moment ago, and each counts only once.
    async fn with_secret(
        &self,
        secret: &TotpSecret,
        refusals: &mut u32,
    ) -> Result<SignedIn, AccountError> {
        let code = secret.code(self.timing.now());
        match self.request(Some(&code.digits), refusals).await {
            Err(error) if error.kind() == Kind::TwoFactorRefused => {}
            other => return other.map_err(|error| self.named(error)),
        }
        tracing::info!("the two-factor code was refused; waiting for the next one");
        self.timing
            .sleep(secret.code(self.timing.now()).valid_for)
            .await;
        let code = secret.code(self.timing.now());
        self.request(Some(&code.digits), refusals)
            .await
            .map_err(|error| self.named(error))
    }

    /// One request, repeated where the service's front says that it is busy or broken.
    async fn request(&self, code: Option<&str>, refusals: &mut u32) -> Result<SignedIn, Error> {
        loop {
            let error = match self.service.sign_in(self.email, self.password, code).await {
                Ok(signed_in) => return Ok(signed_in),
                Err(error) => error,
            };
            *refusals += 1;
            match wait(&error, *refusals, self.timing.chance()) {
                Some(pause) if *refusals < TRIES => {
                    tracing::info!(%error, ?pause, "sign-in was not answered; trying again");
                    self.timing.sleep(pause).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// The error in terms of what a person gave.
    fn named(&self, source: Error) -> AccountError {
        match source.kind() {
            Kind::WrongCredentials => AccountError::WrongCredentials {
                email: self.email.to_owned(),
                source,
            },
            Kind::TwoFactorRequired => AccountError::TwoFactorNeeded,
            Kind::TwoFactorRefused => AccountError::TwoFactorRefused {
                from_secret: matches!(self.codes, Codes::Secret(_)),
                source,
            },
            _ => AccountError::Service(source),
        }
    }
}

/// How long to wait before the same request may pass; `None` when it is not worth it. "Server
/// overloaded" is not: it can last for days.
fn wait(error: &Error, refusals: u32, chance: f64) -> Option<Duration> {
    let busy = error.status() == Some(429);
    if !busy && error.kind() != Kind::Edge {
        return None;
    }
    let backoff = Duration::from_secs(1 << refusals.min(5)).mul_f64(0.5 + chance);
    let pause = error.retry_after().unwrap_or(backoff);
    (pause <= LONGEST_WAIT).then_some(pause)
}
