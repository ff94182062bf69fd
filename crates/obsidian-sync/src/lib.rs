//! A client for the Obsidian Sync protocol: REST, end-to-end encryption and the sync connection.
//!
//! It speaks to the service as the official headless client does, and knows nothing about files, stores
//! or configuration: what arrives is handed to the caller.
//!
//! # The way to a note
//!
//! 1. [`rest::RestClient`] signs in and lists vaults. Sign in rarely and keep the [`Token`]: it lasts
//!    until it is revoked, and the service locks out who signs in often.
//! 2. [`crypto::VaultKey`] is derived from the vault's password, once (85 ms of CPU);
//!    [`crypto::VaultCipher`] turns it into all the keys of the vault.
//! 3. [`rest::RestClient::access`] tells whether the password was right.
//! 4. [`client::Connector`] opens a connection, and [`client::SyncClient`] reads the records
//!    ([`wire::RawRecord`]) from it, up to [`client::Notice::Ready`].
//! 5. [`client::SyncClient::pull`] fetches the content of a record, and the cipher opens it. **Compare
//!    the [`ContentHash`] afterwards**: the tag of the encryption does not say that it is this record's
//!    content.
//!
//! ```no_run
//! use obsidian_sync::client::{Connector, Notice};
//! use obsidian_sync::crypto::{VaultCipher, VaultKey};
//! use obsidian_sync::rest::{API_BASE, RestClient, RestDeadlines};
//! use obsidian_sync::{ContentHash, EncryptionVersion, Password, VaultVersion};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let api = RestClient::new(API_BASE.parse()?, "my-backup/1.0", RestDeadlines::default())?;
//! let account = Password::new("the account's password");
//! let token = api.sign_in("me@example.org", &account, None).await?.token;
//!
//! let vaults = api.vaults(&token).await?;
//! for vault in &vaults {
//!     println!("{}  {}", vault.id, vault.name);
//! }
//! let vault = vaults.first().ok_or("no vault")?;
//!
//! // A managed vault brings its password along; with end-to-end encryption the user has it.
//! let password = vault.managed_password.clone().unwrap_or(Password::new("the vault's password"));
//! let version = EncryptionVersion::from_number(vault.encryption_version).ok_or("too new")?;
//! let salt = vault.salt.clone();
//! let cipher = tokio::task::spawn_blocking(move || {
//!     VaultCipher::new(version, &VaultKey::derive(&password, &salt), &salt)
//! })
//! .await?;
//! api.access(&token, vault, cipher.keyhash()).await?;
//!
//! let connector = Connector::new(vault, token, &cipher)?.device("my backup");
//! let mut client = connector.connect(VaultVersion(0), true).await?;
//! let mut records = Vec::new();
//! while let Notice::Record(record) = client.next().await? {
//!     records.push(record);
//! }
//!
//! for record in records.iter().filter(|record| !record.folder && !record.deleted) {
//!     let sealed = client.pull(record.uid).await?.collect(10_000_000).await?;
//!     let content = cipher.open(sealed)?;
//!     assert_eq!(cipher.decode_hash(&record.hash)?, Some(ContentHash::of(&content)));
//!     println!("{}: {} bytes", cipher.decode_name(&record.path)?, content.len());
//! }
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What errors mean
//!
//! There is one [`Error`]. Its [`Kind`] is named by what the caller does next (sign in again, ask for
//! another password, give the file up); [`Error::retry_kind`] says whether the same call may pass on
//! another try, and when. Messages name the host and the record, never a secret or a decrypted name;
//! what the service said is quoted in them, cut short and without control characters.
//!
//! # What it promises
//!
//! - A token goes to the API host and to sync servers under `obsidian.md` or on this machine, nowhere
//!   else: no redirect is followed, no proxy is read from the environment (see [`host`]).
//! - Every wait has a deadline ([`client::Deadlines`], [`rest::RestDeadlines`]).
//! - Whatever a server sends, nothing panics, and memory stays bounded: 4 MiB a frame, pieces of content
//!   one at a time.
//! - Secrets ([`Token`], [`Password`], keys) do not print and are wiped on drop.
//!
//! # Without the network
//!
//! With `default-features = false` only the pure part is built, without tokio: [`crypto`], the frames in
//! [`wire`], the connection as a state machine in [`session`], and the host rules. Enough for a server,
//! another transport, or a tool that decrypts what it has.

// The tour names things that are not there without the feature.
#![cfg_attr(not(feature = "client"), allow(rustdoc::broken_intra_doc_links))]

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "client")]
mod connection;
pub mod crypto;
#[cfg(feature = "client")]
mod deadlines;
#[cfg(feature = "client")]
mod dial;
pub mod error;
pub mod host;
mod loose;
#[cfg(feature = "client")]
pub mod rest;
pub mod secret;
pub mod session;
mod text;
#[cfg(feature = "client")]
mod tls;
pub mod types;
pub mod wire;

pub use error::{Error, Kind, RetryKind};
pub use secret::{Password, Token};
pub use text::misleads;
pub use types::{
    ContentHash, EncodedName, EncryptionVersion, Millis, Uid, Vault, VaultId, VaultVersion,
};

/// Compiles the README's example.
#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../README.md")]
struct Readme;
