//! [`Account`]: a token for whoever needs one, with as few sign-ins as possible.
//!
//! The service bans whoever signs in often, so: a token is kept on disk and reused until it is
//! refused; one run signs in at most once; two processes do not sign in at the same time; and after
//! "overloaded" nobody tries until a stored pause has passed.

mod error;
mod lock;
mod login;
mod sign_in;

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use obsidian_sync::rest::{RestClient, SignedIn, UserInfo};
use obsidian_sync::{Error, Kind, Password, Token};
use tokio::sync::Mutex;
use url::Url;

pub use self::error::{AccountError, SignedOut};
pub use self::login::{Login, Logout};
use self::sign_in::{Codes, SignIn};
use crate::cooldown::Cooldown;
use crate::credentials::Credentials;
use crate::private_file::FileError;
use crate::settings::Settings;
use crate::timing::Timing;
use crate::token_store::{StoredToken, TokenStore};
use crate::totp::TotpSecret;
use crate::vault_password::{NoPrompt, Prompt};

/// The calls of the service that this module makes.
#[async_trait]
pub trait AccountService: Send + Sync {
    /// `/user/signin`, one attempt.
    ///
    /// # Errors
    /// As [`RestClient::sign_in`].
    async fn sign_in(
        &self,
        email: &str,
        password: &Password,
        code: Option<&str>,
    ) -> Result<SignedIn, Error>;

    /// `/user/signout`.
    ///
    /// # Errors
    /// As [`RestClient::sign_out`].
    async fn sign_out(&self, token: &Token) -> Result<(), Error>;

    /// `/user/info`.
    ///
    /// # Errors
    /// As [`RestClient::user_info`].
    async fn user_info(&self, token: &Token) -> Result<UserInfo, Error>;
}

#[async_trait]
impl AccountService for RestClient {
    async fn sign_in(
        &self,
        email: &str,
        password: &Password,
        code: Option<&str>,
    ) -> Result<SignedIn, Error> {
        RestClient::sign_in(self, email, password, code).await
    }

    async fn sign_out(&self, token: &Token) -> Result<(), Error> {
        RestClient::sign_out(self, token).await
    }

    async fn user_info(&self, token: &Token) -> Result<UserInfo, Error> {
        RestClient::user_info(self, token).await
    }
}

/// One account at one API.
pub struct Account {
    service: Arc<dyn AccountService>,
    timing: Arc<dyn Timing>,
    api_url: Url,
    credentials: Credentials,
    tokens: TokenStore,
    cooldown: Cooldown,
    lock: PathBuf,
    session: Mutex<Session>,
}

/// What this run has found out so far.
#[derive(Default)]
struct Session {
    token: Option<Token>,
    signed_in: bool,
}

/// What a sign-in brought.
struct Fresh {
    signed_in: SignedIn,
    /// Whether the next run finds the token, and no pause.
    kept: Result<(), FileError>,
}

impl Account {
    /// The account that the settings name.
    pub fn new(
        service: Arc<dyn AccountService>,
        settings: &Settings,
        timing: Arc<dyn Timing>,
    ) -> Self {
        let state_dir = &settings.state_dir.value;
        Self {
            service,
            timing,
            api_url: settings.api_url.value.clone(),
            credentials: settings.credentials.clone(),
            tokens: TokenStore::new(state_dir),
            cooldown: Cooldown::new(state_dir),
            lock: state_dir.join("sign-in.lock"),
            session: Mutex::default(),
        }
    }

    /// Hands a token to `call`. If the service refuses the token and credentials are at hand, signs
    /// in anew, once a run, and hands over the new one.
    ///
    /// # Errors
    /// What `call` returns, or why there is no token.
    pub async fn with_token<T, F, R>(&self, mut call: F) -> Result<T, AccountError>
    where
        F: FnMut(Token) -> R,
        R: Future<Output = Result<T, Error>>,
    {
        let token = self.token().await?;
        match call(token.clone()).await {
            Err(error) if error.kind() == Kind::Unauthorized => {
                let token = self.replace(&token, error).await?;
                Ok(call(token).await?)
            }
            result => Ok(result?),
        }
    }

    /// A token: the one that was given, else the stored one, else one from a sign-in.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn token(&self) -> Result<Token, AccountError> {
        let mut session = self.session.lock().await;
        if let Some(token) = &session.token {
            return Ok(token.clone());
        }
        let token = match &self.credentials.auth_token {
            Some(given) => given.value.clone(),
            None => match self.usable_token()? {
                Ok(stored) => stored.token,
                Err(why) => self.sign_in_unattended(&mut session, why, None).await?,
            },
        };
        session.token = Some(token.clone());
        Ok(token)
    }

    /// The stored token of this API and, where the settings name one, of this account; the newest.
    fn usable_token(&self) -> Result<Result<StoredToken, SignedOut>, FileError> {
        let tokens = self.tokens.load()?;
        let wanted = self.credentials.email.as_ref();
        let wanted = wanted.map(|wanted| wanted.value.as_str());
        let find = |email| tokens.iter().find(|one| one.is_of(&self.api_url, email));
        Ok(match (find(wanted), find(None), tokens.first()) {
            (Some(found), ..) => Ok(found.clone()),
            (None, Some(other), _) => Err(SignedOut::OtherAccount {
                stored: other.email.clone(),
                wanted: wanted.unwrap_or_default().to_owned(),
            }),
            (None, None, Some(other)) => Err(SignedOut::OtherApi(other.api_url.clone())),
            (None, None, None) => Err(SignedOut::Never),
        })
    }

    /// Another token for one that was refused.
    async fn replace(&self, refused: &Token, source: Error) -> Result<Token, AccountError> {
        let mut session = self.session.lock().await;
        match &session.token {
            // Another task of this run has replaced it meanwhile.
            Some(token) if token.expose() != refused.expose() => return Ok(token.clone()),
            _ => {}
        }
        if let Some(given) = &self.credentials.auth_token {
            return Err(AccountError::TokenRefused {
                given: Some(Box::new(given.origin.clone())),
                source,
            });
        }
        if session.signed_in {
            return Err(AccountError::TokenRefused {
                given: None,
                source,
            });
        }
        let token = self
            .sign_in_unattended(&mut session, SignedOut::Refused, Some(refused))
            .await?;
        session.token = Some(token.clone());
        Ok(token)
    }

    /// Signs in with the credentials of the settings, or takes the token that another process got
    /// in the meantime.
    async fn sign_in_unattended(
        &self,
        session: &mut Session,
        why: SignedOut,
        refused: Option<&Token>,
    ) -> Result<Token, AccountError> {
        let (Some(email), Some(password)) = (&self.credentials.email, &self.credentials.password)
        else {
            return Err(AccountError::NotSignedIn { why });
        };
        let _lock = lock::lock(&self.lock, &*self.timing).await?;
        if let Ok(StoredToken { token, .. }) = self.usable_token()?
            && refused.is_none_or(|refused| refused.expose() != token.expose())
        {
            return Ok(token);
        }
        let fresh = self
            .sign_in(session, &email.value, &password.value, &NoPrompt)
            .await?;
        if let Err(error) = &fresh.kept {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::warn!(
                %error, cause,
                "signed in, but the token can't be kept: the next run has to sign in anew"
            );
        }
        Ok(fresh.signed_in.token)
    }

    /// The one place that signs in. The caller holds the lock.
    async fn sign_in(
        &self,
        session: &mut Session,
        email: &str,
        password: &Password,
        prompt: &dyn Prompt,
    ) -> Result<Fresh, AccountError> {
        self.check_cooldown()?;
        let secret = self
            .credentials
            .totp_secret
            .as_ref()
            .map(TotpSecret::parse)
            .transpose()?;
        let attempt = SignIn {
            service: self.service.as_ref(),
            timing: self.timing.as_ref(),
            email,
            password,
            codes: secret.as_ref().map_or(Codes::Ask(prompt), Codes::Secret),
        };
        let signed_in = match attempt.run().await {
            Ok(signed_in) => signed_in,
            Err(AccountError::Service(source)) if source.kind() == Kind::Overloaded => {
                let (api, asked) = (self.api_url.as_str(), source.retry_after());
                let until = self.cooldown.start(api, self.timing.now(), asked)?;
                return Err(AccountError::CoolingDown {
                    until,
                    source: Some(source),
                });
            }
            Err(error) => return Err(error),
        };
        // Sign-ins are dear: what one brought serves this run, whatever becomes of the files.
        session.token = Some(signed_in.token.clone());
        session.signed_in = true;
        let cleared = self.cooldown.clear();
        let saved = self.tokens.save(&StoredToken {
            token: signed_in.token.clone(),
            email: email.to_owned(),
            api_url: self.api_url.clone(),
        });
        let kept = saved.and(cleared);
        Ok(Fresh { signed_in, kept })
    }

    fn check_cooldown(&self) -> Result<(), AccountError> {
        match self
            .cooldown
            .running(self.api_url.as_str(), self.timing.now())?
        {
            Some(until) => Err(AccountError::CoolingDown {
                until,
                source: None,
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
