//! The REST API: sign-in, vaults, access (protocol section 1).
//!
//! Every call is a POST with a JSON body that carries the token. Redirects are never followed and no
//! proxy is read from the environment: a token goes to the API host and nowhere else.

mod answer;
mod types;

use std::fmt;
use std::time::{Duration, SystemTime};

use backon::{ExponentialBuilder, Retryable as _};
use http::Method;
use http::header::{CONTENT_TYPE, DATE, ORIGIN};
use reqwest::redirect::Policy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use self::answer::{Answer, Call};
pub use self::types::{NewVault, Region, SignedIn, UserInfo};
use self::types::{RegionList, WireSignedIn, WireVault, WireVaults};
use crate::dial::retry_after;
use crate::error::{Error, Kind, RetryKind};
use crate::host::is_this_machine;
use crate::secret::{Password, Token};
use crate::tls;
use crate::types::{EncryptionVersion, Vault};

/// The service's own API.
pub const API_BASE: &str = "https://api.obsidian.md";

/// Where a sign-in says it comes from.
const APP_ORIGIN: &str = "https://obsidian.md";
/// The largest answer that is read. A vault takes less than a kilobyte in a list.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;
/// The longest pause between two tries of one call. Who is asked to wait longer is told so.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How patient a [`RestClient`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestDeadlines {
    /// Looking up, connecting and TLS.
    pub connect: Duration,
    /// One try of a call, from its start to the end of its answer.
    pub call: Duration,
    /// The pause before a second try; it doubles before the third.
    pub pause: Duration,
}

impl Default for RestDeadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            call: Duration::from_secs(60),
            pause: Duration::from_millis(500),
        }
    }
}

/// The REST API of the service. Clones share connections.
///
/// All calls but sign-in and the creation of a vault are tried up to three times.
#[derive(Clone)]
pub struct RestClient {
    http: reqwest::Client,
    base: Url,
    deadlines: RestDeadlines,
}

#[derive(Serialize)]
struct WithToken<'a, T: Serialize> {
    #[serde(serialize_with = "crate::loose::expose")]
    token: &'a Token,
    #[serde(flatten)]
    rest: T,
}

#[derive(Serialize)]
struct Nothing {}

impl RestClient {
    /// Makes a client for the API at `base` (see [`crate::host::api_base`]). `user_agent` is
    /// `name/version`; without one the service's edge refuses calls from data centres.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] when the user agent is empty or no header value;
    /// [`Kind::ForbiddenHost`] when the base is plain `http` on another machine.
    pub fn new(base: Url, user_agent: &str, deadlines: RestDeadlines) -> Result<Self, Error> {
        if user_agent.trim().is_empty() {
            return Err(Error::new(Kind::InvalidInput, "a User-Agent is needed"));
        }
        // Checked again, for those who made the URL themselves.
        let base = crate::host::api_base(&String::from(base))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls::client_config()).clone())
            .https_only(!is_this_machine(&base))
            .user_agent(user_agent)
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(deadlines.connect)
            .timeout(deadlines.call)
            .build()
            .map_err(|error| {
                Error::new(Kind::InvalidInput, "can't set up the HTTP client").with_source(error)
            })?;
        Ok(Self {
            http,
            base,
            deadlines,
        })
    }

    /// Signs in, with one attempt: an `OPTIONS` request, then the call. Do it rarely and keep the
    /// token.
    ///
    /// # Errors
    /// - [`Kind::TwoFactorRequired`]: call again with a code.
    /// - [`Kind::TwoFactorRefused`], [`Kind::WrongCredentials`]: what was given is wrong.
    /// - [`Kind::Overloaded`]: stay away for a good while.
    /// - [`Kind::Edge`], [`Kind::Network`], [`Kind::Timeout`]: the service could not be asked.
    pub async fn sign_in(
        &self,
        email: &str,
        password: &Password,
        mfa: Option<&str>,
    ) -> Result<SignedIn, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            email: &'a str,
            password: &'a str,
            mfa: &'a str,
        }
        if email.trim().is_empty() || password.is_empty() {
            return Err(Error::new(
                Kind::InvalidInput,
                "an e-mail address and a password are needed to sign in",
            ));
        }
        let mfa = mfa.unwrap_or_default();
        let path = "user/signin";
        let preflight = self.http.request(Method::OPTIONS, self.url(path)?);
        let answer = self.exchange(preflight.header(ORIGIN, APP_ORIGIN)).await?;
        answer.check_preflight()?;

        let body = Body {
            email,
            password: password.expose(),
            mfa,
        };
        let request = self.http.post(self.url(path)?).header(ORIGIN, APP_ORIGIN);
        let answer = self.exchange(json(request, &body)?).await?;
        let signed_in: WireSignedIn = answer.read(Call::SignIn, &[password.expose(), mfa])?;
        signed_in.try_into()
    }

    /// The service's time of day, to the second, as an answer of its API tells it; `None` where it tells
    /// none. Two-factor codes depend on it. No token is sent, and nothing is tried twice.
    ///
    /// # Errors
    /// [`Kind::Network`] or [`Kind::Timeout`] when the service does not answer at all.
    pub async fn clock(&self) -> Result<Option<SystemTime>, Error> {
        // What a browser asks ahead of a sign-in: the one call that needs no token and does nothing.
        let request = self.http.request(Method::OPTIONS, self.url("user/signin")?);
        let host = self.base.host_str().unwrap_or_default();
        let answer = request.header(ORIGIN, APP_ORIGIN).send().await;
        let answer = answer.map_err(|error| failed(host, error))?;
        let date = answer.headers().get(DATE);
        Ok(date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok()))
    }

    /// Revokes a token, everywhere.
    ///
    /// # Errors
    /// [`Kind::Unauthorized`] when it was not valid; otherwise as [`vaults`](Self::vaults).
    pub async fn sign_out(&self, token: &Token) -> Result<(), Error> {
        self.call("user/signout", token, Call::Token, Nothing {}, &[])
            .await
            .map(ignore)
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// As [`vaults`](Self::vaults).
    pub async fn user_info(&self, token: &Token) -> Result<UserInfo, Error> {
        self.call("user/info", token, Call::Token, Nothing {}, &[])
            .await
    }

    /// Where a vault may be kept.
    ///
    /// # Errors
    /// As [`vaults`](Self::vaults).
    pub async fn regions(&self, token: &Token, host: Option<&str>) -> Result<Vec<Region>, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            host: Option<&'a str>,
        }
        let list: RegionList = self
            .call("vault/regions", token, Call::Token, Body { host }, &[])
            .await?;
        Ok(list.regions)
    }

    /// The account's vaults: its own, then those that others share with it.
    ///
    /// # Errors
    /// [`Kind::Unauthorized`] when the token is refused; [`Kind::Overloaded`], [`Kind::Edge`],
    /// [`Kind::Network`] or [`Kind::Timeout`] when three tries did not help.
    pub async fn vaults(&self, token: &Token) -> Result<Vec<Vault>, Error> {
        #[derive(Serialize)]
        struct Body {
            supported_encryption_version: u64,
        }
        let body = Body {
            supported_encryption_version: EncryptionVersion::LATEST.number(),
        };
        let lists: WireVaults = self
            .call("vault/list", token, Call::Token, body, &[])
            .await?;
        lists.try_into()
    }

    /// Creates a vault. Tried once: a second try could make a second vault.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the service does not want to; otherwise as [`vaults`](Self::vaults).
    pub async fn create_vault(&self, token: &Token, vault: NewVault) -> Result<Vault, Error> {
        let secrets = [
            token.expose(),
            vault.keyhash.as_ref().map_or("", Token::expose),
        ];
        let body = WithToken {
            token,
            rest: &vault,
        };
        let created: WireVault = self
            .attempt("vault/create", &body, Call::Other, &secrets)
            .await?;
        created.into_vault(false)
    }

    /// Asks whether the vault's password is right. Call it before connecting.
    ///
    /// # Errors
    /// [`Kind::WrongVaultPassword`] when it is not; [`Kind::VaultNotFound`] or
    /// [`Kind::SubscriptionExpired`] when the service says so; otherwise as
    /// [`vaults`](Self::vaults).
    pub async fn access(&self, token: &Token, vault: &Vault, keyhash: &str) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            vault_uid: &'a str,
            keyhash: &'a str,
            host: &'a str,
            encryption_version: u64,
        }
        let body = Body {
            vault_uid: vault.id.as_str(),
            keyhash,
            host: &vault.host,
            encryption_version: vault.encryption_version,
        };
        self.call("vault/access", token, Call::Access, body, &[keyhash])
            .await
            .map(ignore)
    }

    /// A call that may be repeated, with up to three tries.
    async fn call<T: DeserializeOwned>(
        &self,
        path: &str,
        token: &Token,
        call: Call,
        rest: impl Serialize,
        secrets: &[&str],
    ) -> Result<T, Error> {
        let secrets = [&[token.expose()], secrets].concat();
        let body = WithToken { token, rest };
        let pauses = ExponentialBuilder::new()
            .with_min_delay(self.deadlines.pause)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(2)
            .with_jitter();
        (|| self.attempt(path, &body, call, &secrets))
            .retry(pauses)
            .when(may_pass_soon)
            .adjust(|error, pause| {
                pause.map(|pause| pause.max(error.retry_after().unwrap_or(pause)))
            })
            .notify(|error, pause| tracing::debug!(path, %error, ?pause, "trying again"))
            .await
    }

    async fn attempt<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        call: Call,
        secrets: &[&str],
    ) -> Result<T, Error> {
        let request = json(self.http.post(self.url(path)?), body)?;
        self.exchange(request).await?.read(call, secrets)
    }

    fn url(&self, path: &str) -> Result<Url, Error> {
        self.base.join(path).map_err(|error| {
            Error::new(Kind::InvalidInput, "the API address has no room for a path")
                .with_source(error)
        })
    }

    /// Sends a request and reads the answer, up to a limit.
    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<Answer, Error> {
        let host = self.base.host_str().unwrap_or_default();
        let mut response = request.send().await.map_err(|error| failed(host, error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| failed(host, error))?
        {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                return Err(Error::new(
                    Kind::Protocol,
                    format!("{host} sent an answer of more than {ANSWER_LIMIT} bytes"),
                ));
            }
            body.extend_from_slice(&chunk);
        }
        let content_type = response.headers().get(CONTENT_TYPE);
        Ok(Answer {
            host: host.to_owned(),
            status: response.status(),
            content_type: content_type
                .map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase()),
            retry_after: retry_after(response.headers()),
            body,
        })
    }
}

impl fmt::Debug for RestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestClient")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

/// Whether the same call may pass within seconds.
fn may_pass_soon(error: &Error) -> bool {
    match error.retry_kind() {
        RetryKind::Reconnect => error.retry_after().is_none_or(|wait| wait <= LONGEST_PAUSE),
        RetryKind::Later(wait) => wait.is_some_and(|wait| wait <= LONGEST_PAUSE),
        RetryKind::Never | RetryKind::Request => false,
    }
}

fn json(
    request: reqwest::RequestBuilder,
    body: &impl Serialize,
) -> Result<reqwest::RequestBuilder, Error> {
    let body = serde_json::to_vec(body).map_err(|error| {
        Error::new(Kind::InvalidInput, "the request can't be written as JSON").with_source(error)
    })?;
    Ok(request.header(CONTENT_TYPE, "application/json").body(body))
}

fn failed(host: &str, error: reqwest::Error) -> Error {
    let (kind, what) = if error.is_timeout() {
        (Kind::Timeout, "did not answer in time")
    } else if error.is_connect() {
        (Kind::Network, "can't be reached")
    } else {
        (Kind::Network, "broke the connection")
    };
    Error::new(kind, format!("{host} {what}")).with_source(error.without_url())
}

/// For calls whose answer holds nothing.
fn ignore(_: serde::de::IgnoredAny) {}
