//! What an HTTP answer means: the service's own word, or the edge's in front of it.

use std::time::Duration;

use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::error::{Error, Kind, kind_of_words};
use crate::text::{Unreadable, quote_without};
use crate::wire::Head;

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) host: String,
    pub(super) status: StatusCode,
    pub(super) content_type: Option<String>,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

/// What a call was for: the same words mean different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Sign-in: a refusal means wrong credentials, or two-factor.
    SignIn,
    /// A call that carries only a token: a refusal is about the token.
    Token,
    /// `/vault/access`: a refusal means a wrong password.
    Access,
    /// Anything else: a refusal is just that.
    Other,
}

impl Answer {
    /// The answer's content, or why there is none. `secrets` are kept out of messages.
    pub(super) fn read<T: DeserializeOwned>(
        self,
        call: Call,
        secrets: &[&str],
    ) -> Result<T, Error> {
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self.error(Kind::Overloaded, "takes no more calls for now (HTTP 429)"));
        }
        if !self.may_be_json() {
            return Err(self.edge_error());
        }
        if let Some(words) = self.words() {
            return Err(self.refused(call, &words, secrets));
        }
        match self.status {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED => {
                return Err(self.refused(call, &format!("HTTP {}", self.status), secrets));
            }
            // Without a word of the service's own, whatever stands in front of it has refused the call: a
            // 403 too, which says nothing of a token or a password then.
            _ => return Err(self.edge_error()),
        }
        let other_shape = || self.error(Kind::Protocol, "sent an answer of another shape");
        // A list would pass for an object whose fields are all left out.
        if self.body.trim_ascii_start().first() == Some(&b'[') {
            return Err(other_shape());
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            if error.is_data() {
                other_shape().with_source(Unreadable::of(&error))
            } else {
                self.edge_error()
            }
        })
    }

    /// Whether sign-in may go on after the `OPTIONS` request.
    pub(super) fn check_preflight(&self) -> Result<(), Error> {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => Err(self.error(
                Kind::Overloaded,
                "takes no more sign-ins for now (HTTP 429)",
            )),
            status if status.is_server_error() || status.is_redirection() => Err(self.edge_error()),
            _ => Ok(()),
        }
    }

    /// Whether this is no page for people.
    fn may_be_json(&self) -> bool {
        self.content_type
            .as_ref()
            .is_none_or(|kind| kind.contains("json") || kind.starts_with("text/plain"))
    }

    /// What the service gave as a reason, where it did.
    fn words(&self) -> Option<String> {
        serde_json::from_slice::<Head>(&self.body).ok()?.failure()
    }

    fn refused(&self, call: Call, words: &str, secrets: &[&str]) -> Error {
        if self.status == StatusCode::FORBIDDEN && is_no_word(words) {
            return self.edge_error();
        }
        let mut kind = kind_of_refusal(call, self.status, words);
        // A broken service may say anything; that a token or password is bad is not among it.
        if self.status.is_server_error() && kind != Kind::Overloaded {
            kind = Kind::Edge;
        }
        let said = quote_without(words, secrets);
        let host = &self.host;
        let message = match kind {
            Kind::TwoFactorRequired => "the account wants a two-factor code".to_owned(),
            Kind::TwoFactorRefused => format!(
                "{host} refused the two-factor code; check the secret and this machine's clock"
            ),
            Kind::WrongCredentials => format!("{host} refused the sign-in: {said}"),
            Kind::WrongVaultPassword => {
                format!("the vault's encryption password is wrong ({host} said {said})")
            }
            Kind::Unauthorized => format!("{host} refused the token: {said}; sign in again"),
            Kind::Overloaded => format!("{host} is overloaded: {said}"),
            Kind::SubscriptionExpired => {
                "the account's Obsidian Sync subscription has expired".to_owned()
            }
            _ => format!("{host} refused the call: {said}"),
        };
        self.with_details(Error::new(kind, message))
    }

    /// Not the service's own answer.
    fn edge_error(&self) -> Error {
        let what = if self.status.is_redirection() {
            "a redirect, which is not followed"
        } else if self
            .content_type
            .as_ref()
            .is_some_and(|kind| kind.contains("html"))
        {
            "a web page"
        } else if self.body.is_empty() {
            "nothing"
        } else {
            "something that is not JSON"
        };
        let status = self.status;
        self.error(
            Kind::Edge,
            &format!("answered HTTP {status} with {what}: not the service's own word"),
        )
    }

    fn error(&self, kind: Kind, what: &str) -> Error {
        self.with_details(Error::new(kind, format!("{} {what}", self.host)))
    }

    fn with_details(&self, error: Error) -> Error {
        let error = error.with_retry_after(self.retry_after);
        if self.status.is_success() {
            error
        } else {
            error.with_status(self.status.as_u16())
        }
    }
}

/// Whether a reason only says again what status 403 says: an edge that answers in JSON puts it so.
fn is_no_word(words: &str) -> bool {
    const NO_WORDS: [&str; 4] = ["forbidden", "access denied", "403", "403 forbidden"];
    let words = words.trim().trim_end_matches('.').to_lowercase();
    NO_WORDS.contains(&&*words)
}

/// Whether a refusal under this status can be one of the token or the password at all. What is not found,
/// too large or in conflict was refused for another reason, and to sign in anew would not help.
fn may_be_about_secrets(status: StatusCode) -> bool {
    status.is_success()
        || matches!(
            status,
            StatusCode::BAD_REQUEST
                | StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::UNPROCESSABLE_ENTITY
        )
}

fn kind_of_refusal(call: Call, status: StatusCode, words: &str) -> Kind {
    let lower = words.to_lowercase();
    match (call, kind_of_words(words)) {
        (_, Some(Kind::Overloaded)) => Kind::Overloaded,
        (Call::SignIn, _) if lower.contains("2fa code is incorrect") => Kind::TwoFactorRefused,
        (Call::SignIn, _) if lower.contains("2fa code") => Kind::TwoFactorRequired,
        (Call::SignIn, _) if may_be_about_secrets(status) => Kind::WrongCredentials,
        (Call::SignIn, _) => Kind::Refused,
        (_, Some(kind)) => kind,
        (_, None) if status == StatusCode::UNAUTHORIZED => Kind::Unauthorized,
        (_, None) if !may_be_about_secrets(status) => Kind::Refused,
        (Call::Token, None) => Kind::Unauthorized,
        (Call::Access, None) => Kind::WrongVaultPassword,
        (Call::Other, None) => Kind::Refused,
    }
}

#[cfg(test)]
mod tests;
