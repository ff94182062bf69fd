//! What a person does with the account: sign in for good, sign out.

use obsidian_sync::{Kind, Token};

use super::lock::lock;
use super::{Account, AccountError, Fresh, Session, SignedOut};
use crate::error::{ConfigError, ConfigErrorKind};
use crate::origin::{Origin, Sourced};
use crate::vault_password::{PasswordFlag, Prompt, unanswered};

/// How a login went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The account's e-mail address.
    pub email: String,
    /// Whether the stored token was still good, so that no sign-in was needed.
    pub already: bool,
    /// Where a token comes from that is used before the stored one.
    pub overridden_by: Option<Origin>,
}

/// How a logout went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logout {
    /// Whether a token was revoked at the service.
    pub revoked: bool,
    /// Whether a stored token was deleted.
    pub forgotten: bool,
}

impl Account {
    /// Signs in for good, unless the stored token is still accepted. What the settings and
    /// `password` leave open is asked for.
    ///
    /// # Errors
    /// Why it did not work.
    pub async fn login(
        &self,
        password: Option<&PasswordFlag>,
        prompt: &dyn Prompt,
    ) -> Result<Login, AccountError> {
        let mut session = self.session.lock().await;
        let overridden_by = self
            .credentials
            .auth_token
            .as_ref()
            .map(|given| given.origin.clone());
        if let Ok(stored) = self.usable_token()? {
            match self.service.user_info(&stored.token).await {
                Ok(_) => {
                    let email = stored.email;
                    return Ok(Login {
                        email,
                        already: true,
                        overridden_by,
                    });
                }
                Err(error) if error.kind() == Kind::Unauthorized => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.check_cooldown()?;
        let email = match &self.credentials.email {
            Some(email) => email.value.clone(),
            None => match prompt.line("E-mail address: ").map_err(unanswered)? {
                Some(email) if !email.trim().is_empty() => email.trim().to_owned(),
                _ => return Err(missing("e-mail address", "--email or OBSIDIAN_EMAIL").into()),
            },
        };
        let password = match (password, &self.credentials.password) {
            (Some(flag), _) => flag.read()?,
            (None, Some(given)) => given.clone(),
            (None, None) => match prompt.secret("Password: ").map_err(unanswered)? {
                Some(typed) if !typed.is_empty() => Sourced::new(typed, Origin::Prompt),
                _ => return Err(missing("password", "--password-file or OBSIDIAN_PASSWORD").into()),
            },
        };
        let _lock = lock(&self.lock, &*self.timing).await?;
        let Fresh { signed_in, kept } = self
            .sign_in(&mut session, &email, &password.value, prompt)
            .await?;
        let email = signed_in.email;
        if let Err(source) = kept {
            return Err(AccountError::NotKept { email, source });
        }
        Ok(Login {
            email,
            already: false,
            overridden_by,
        })
    }

    /// Revokes the token at the service, for everybody who uses it, and deletes the stored one. Tokens
    /// of other APIs and accounts stay.
    ///
    /// # Errors
    /// When the service can't be told; the stored token is then kept. Also when only others are signed
    /// in.
    pub async fn sign_out(&self) -> Result<Logout, AccountError> {
        let mut session = self.session.lock().await;
        let stored = match self.usable_token()? {
            Ok(stored) => Some(stored),
            Err(SignedOut::Never) => None,
            Err(_) if self.credentials.auth_token.is_some() => None,
            Err(why) => return Err(AccountError::NotSignedIn { why }),
        };
        let mut tokens: Vec<Token> = Vec::new();
        tokens.extend(
            self.credentials
                .auth_token
                .as_ref()
                .map(|given| given.value.clone()),
        );
        tokens.extend(stored.as_ref().map(|stored| stored.token.clone()));
        tokens.dedup_by(|a, b| a.expose() == b.expose());
        let mut revoked = false;
        for token in &tokens {
            match self.service.sign_out(token).await {
                Ok(()) => revoked = true,
                // It was revoked before: that is what was wanted.
                Err(error) if error.kind() == Kind::Unauthorized => {}
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(stored) = &stored {
            let _lock = lock(&self.lock, &*self.timing).await?;
            self.tokens.forget(stored)?;
        }
        *session = Session::default();
        Ok(Logout {
            revoked,
            forgotten: stored.is_some(),
        })
    }

    /// Deletes the stored token and leaves it valid. Where the file can't be read, all that is in it.
    ///
    /// # Errors
    /// When the file can't be deleted.
    pub async fn forget_local(&self) -> Result<Logout, AccountError> {
        let _lock = lock(&self.lock, &*self.timing).await?;
        let forgotten = match self.usable_token() {
            Ok(Ok(stored)) => self.tokens.forget(&stored).map(|()| true)?,
            Ok(Err(_)) => false,
            Err(_) => self.tokens.remove().map(|()| true)?,
        };
        Ok(Logout {
            revoked: false,
            forgotten,
        })
    }
}

fn missing(what: &str, how: &str) -> ConfigError {
    ConfigError::new(
        ConfigErrorKind::Missing,
        format!("the account's {what} was not given"),
    )
    .hint(format!("give it with {how}, or run this on a terminal"))
}
