//! [`Connector`]: who connects, where to, and how patiently.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

use super::SyncClient;
use crate::connection::{Connection, Until};
use crate::crypto::VaultCipher;
use crate::deadlines::{Deadlines, Step};
use crate::dial::{self, BoxedIo};
use crate::error::{Error, Kind};
use crate::host::sync_url;
use crate::secret::Token;
use crate::session::Event;
use crate::tls;
use crate::types::{Vault, VaultId, VaultVersion};
use crate::wire::{InitRequest, Request};

/// Opens connections to one vault. Cheap to clone; clones share TLS sessions to resume.
#[derive(Clone)]
pub struct Connector(Arc<Settings>);

#[derive(Clone)]
struct Settings {
    url: Url,
    vault: VaultId,
    token: Token,
    cipher: VaultCipher,
    device: String,
    user_agent: String,
    deadlines: Deadlines,
    tls: Arc<ClientConfig>,
}

impl Connector {
    /// Takes the vault's address and what opens it. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::ForbiddenHost`] when the service named a sync server to which the token must not go.
    pub fn new(vault: &Vault, token: Token, cipher: &VaultCipher) -> Result<Self, Error> {
        Ok(Self(Arc::new(Settings {
            url: sync_url(&vault.host)?,
            vault: vault.id.clone(),
            token,
            cipher: cipher.clone(),
            device: "obsidian-sync".to_owned(),
            user_agent: concat!("obsidian-sync/", env!("CARGO_PKG_VERSION")).to_owned(),
            deadlines: Deadlines::default(),
            tls: tls::client_config(),
        })))
    }

    /// Names the device, as other clients will show it.
    #[must_use]
    pub fn device(mut self, name: impl Into<String>) -> Self {
        self.settings().device = name.into();
        self
    }

    /// Names the program (`name/version`) in the upgrade request.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.settings().user_agent = user_agent.into();
        self
    }

    /// Sets how long each step may take.
    #[must_use]
    pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
        self.settings().deadlines = deadlines;
        self
    }

    fn settings(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.0)
    }

    /// Connects and opens the vault: resolve, connect, TLS, upgrade, `init`, each under its own
    /// deadline.
    ///
    /// `version` is the last record taken in. `initial` asks for the vault as it stands; without it the
    /// backlog is every record above `version`. A connection that only downloads passes the current
    /// version and `false`, and gets an empty backlog.
    ///
    /// # Errors
    /// - [`Kind::Network`], [`Kind::Timeout`], [`Kind::Edge`], [`Kind::Overloaded`]: try again later.
    /// - [`Kind::SubscriptionExpired`], [`Kind::VaultNotFound`], [`Kind::Unauthorized`]: don't.
    /// - [`Kind::Refused`]: the service gave another reason.
    pub async fn connect(&self, version: VaultVersion, initial: bool) -> Result<SyncClient, Error> {
        let stream = dial::tcp(&self.0.url, &self.0.deadlines).await?;
        self.open(Box::new(stream), version, initial).await
    }

    /// As [`connect`](Self::connect), over a stream that the caller has connected to the sync server:
    /// through a proxy, or within a test. TLS still comes on top where the server's address asks for it.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        version: VaultVersion,
        initial: bool,
    ) -> Result<SyncClient, Error> {
        self.open(Box::new(stream), version, initial).await
    }

    async fn open(
        &self,
        io: BoxedIo,
        version: VaultVersion,
        initial: bool,
    ) -> Result<SyncClient, Error> {
        let Settings { url, deadlines, .. } = &*self.0;
        let host = url.host_str().unwrap_or_default().to_owned();
        let io = dial::tls(io, url, Arc::clone(&self.0.tls), deadlines).await?;
        let socket = dial::upgrade(io, url, &self.0.user_agent, deadlines).await?;
        let mut connection = Connection::new(socket, deadlines.clone(), host);
        let init = Request::Init(InitRequest {
            token: self.0.token.clone(),
            id: self.0.vault.clone(),
            keyhash: Token::new(self.0.cipher.keyhash()),
            version,
            initial,
            device: self.0.device.clone(),
            encryption_version: self.0.cipher.version().number(),
        });
        let until = Until::from_now(deadlines.init, Step::Init);
        match connection.request_until(&init, until).await? {
            Event::Opened(_) => {
                let vault = self.0.vault.as_str();
                tracing::debug!(vault, %version, initial, "sync connection open");
                Ok(SyncClient::new(connection))
            }
            _ => Err(Error::new(
                Kind::Protocol,
                "the service did not answer init",
            )),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("url", &self.0.url.as_str())
            .field("vault", &self.0.vault)
            .field("device", &self.0.device)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
