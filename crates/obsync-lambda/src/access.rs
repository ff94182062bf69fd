//! [`CurrentAccess`]: the credentials that an invocation works with, and what becomes of them once
//! they are refused.
//!
//! A warm process keeps the secret. Where credentials are refused, or are not there, the secret may
//! have been filled in or changed meanwhile: it is fetched again, once an invocation, and if it
//! holds others by now, what was refused is tried once more.

use std::sync::Arc;

use obsync_config::{Account, CombinedText, Settings, SystemTiming};
use tokio::sync::{Mutex, OnceCell};

use crate::answer::VaultError;
use crate::ended::Fault;
use crate::secrets::{self, KeptSecret};
use crate::tools::Tools;

/// Failures that may come from credentials which have been changed since.
const REFUSALS: [&str; 7] = [
    "credentials_missing",
    "not_signed_in",
    "unauthorized",
    "wrong_credentials",
    "wrong_vault_password",
    "two_factor_required",
    "two_factor_refused",
];

/// One set of credentials, and the account that they open.
pub(crate) struct Access {
    pub(crate) settings: Settings,
    /// It signs in at most once in its life, which is no longer than an invocation's.
    pub(crate) account: Account,
    /// The secret that they come from, if one is named.
    secret: Option<CombinedText>,
    /// What took its place when it was refused, if anything did.
    next: OnceCell<Option<Arc<Access>>>,
}

/// The credentials of an invocation. They are gathered when they are first wanted.
pub(crate) struct CurrentAccess {
    tools: Arc<Tools>,
    kept: Arc<KeptSecret>,
    now: Mutex<Option<Arc<Access>>>,
}

/// A failure that may be a refusal of credentials.
pub(crate) trait Refusal {
    /// Whether other credentials might mend it.
    fn is_refusal(&self) -> bool;
}

impl Refusal for VaultError {
    fn is_refusal(&self) -> bool {
        REFUSALS.contains(&self.kind)
    }
}

impl Refusal for Fault {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Error(error) if error.is_refusal())
    }
}

impl CurrentAccess {
    pub(crate) fn new(tools: Arc<Tools>, kept: Arc<KeptSecret>) -> Self {
        Self {
            tools,
            kept,
            now: Mutex::default(),
        }
    }

    /// Credentials.
    ///
    /// # Errors
    /// When the secret can't be had, or makes no sense.
    pub(crate) async fn get(&self) -> Result<Arc<Access>, VaultError> {
        let mut now = self.now.lock().await;
        if let Some(access) = &*now {
            return Ok(Arc::clone(access));
        }
        let access = match secret(&self.tools, &self.kept).await? {
            None => self.with(None)?,
            Some(text) => match self.with(Some(text.clone())) {
                Ok(access) => access,
                // Put right meanwhile?
                Err(error) => match self.other_than(&text).await {
                    Some(text) => self.with(Some(text))?,
                    None => return Err(error),
                },
            },
        };
        Ok(Arc::clone(now.insert(Arc::new(access))))
    }

    /// Does what needs credentials; once more where they were refused and the secret holds others
    /// by now.
    ///
    /// # Errors
    /// Those of `act`, and of [`Self::get`].
    pub(crate) async fn with_access<T, E, R>(&self, act: impl Fn(Arc<Access>) -> R) -> Result<T, E>
    where
        E: Refusal + From<VaultError>,
        R: Future<Output = Result<T, E>>,
    {
        let access = self.get().await?;
        match act(Arc::clone(&access)).await {
            Err(error) if error.is_refusal() => match self.after(&access).await {
                Some(next) => act(next).await,
                None => Err(error),
            },
            done => done,
        }
    }

    /// Has the next invocation fetch the secret: credentials were refused too late to begin anew.
    pub(crate) async fn doubt(&self) {
        self.kept.doubt().await;
    }

    /// What takes the place of credentials that were refused. The secret is asked once for all who
    /// were refused with them.
    async fn after(&self, refused: &Arc<Access>) -> Option<Arc<Access>> {
        let next = refused.next.get_or_init(|| async {
            let text = self.other_than(refused.secret.as_ref()?).await?;
            match self.with(Some(text)) {
                Ok(access) => {
                    tracing::info!("the secret was changed: what it holds now is tried");
                    let access = Arc::new(access);
                    *self.now.lock().await = Some(Arc::clone(&access));
                    Some(access)
                }
                Err(error) => {
                    tracing::warn!("the secret was changed: {}", error.message);
                    None
                }
            }
        });
        next.await.clone()
    }

    async fn other_than(&self, refused: &CombinedText) -> Option<CombinedText> {
        let name = self.tools.lambda.secret_name.as_ref()?;
        let fetch = || secrets::fetch(&name.value, self.tools.environment());
        self.kept.other_than(refused, fetch).await
    }

    fn with(&self, secret: Option<CombinedText>) -> Result<Access, VaultError> {
        let settings = self.tools.settings(secret.as_ref())?;
        let rest = Arc::new(self.tools.rest.clone());
        Ok(Access {
            account: Account::new(rest, &settings, Arc::new(SystemTiming)),
            settings,
            secret,
            next: OnceCell::new(),
        })
    }
}

/// The secret's credentials; `None` if no secret is named.
///
/// # Errors
/// When they can't be had.
pub(crate) async fn secret(
    tools: &Tools,
    kept: &KeptSecret,
) -> Result<Option<CombinedText>, VaultError> {
    let Some(name) = &tools.lambda.secret_name else {
        return Ok(None);
    };
    let text = kept.get(|| secrets::fetch(&name.value, tools.environment()));
    let text = text.await.map_err(|error| VaultError::from(&error))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::KINDS;

    #[test]
    fn refusals_are_kinds_that_are_final() {
        for word in REFUSALS {
            let kind = KINDS.iter().find(|kind| kind.word == word);
            assert!(kind.is_some_and(|kind| !kind.retryable), "{word}");
        }
        assert!(!VaultError::new("network", "x").is_refusal());
        assert!(Fault::from(VaultError::new("unauthorized", "x")).is_refusal());
        let hung = VaultError::new("unauthorized", "x");
        assert!(!Fault::GaveUp(hung).is_refusal() && !Fault::Stopped.is_refusal());
    }
}
