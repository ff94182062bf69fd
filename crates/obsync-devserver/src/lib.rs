//! A local Obsidian Sync service, for demos, tests and benches.
//!
//! It speaks the real protocol with real encryption: REST and sync connections on one loopback
//! port, accounts with two-factor codes, owned and shared vaults, managed and end-to-end, all
//! encryption versions, backlog and live broadcast, history and restore. On request it misbehaves:
//! see [`Fault`].
//!
//! It is a test double. People may use it to try obsync without an account, but it is no place for
//! real notes: passwords are stored as they are, and nothing is guarded against a power cut.
//!
//! [`DevServer`] is a service that listens; [`Service`] is what it holds, which outlives a stop.
//!
//! ```
//! use obsync_devserver::{DevServer, VaultSpec};
//! use obsidian_sync::Millis;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), obsync_devserver::Error> {
//! let server = DevServer::start().await?;
//! server.add_account("me@example.com", "account password", None)?;
//! let vault = server.add_vault(VaultSpec::encrypted("Notes", "me@example.com", "secret"))?;
//! server.put(&vault, "Hello.md", b"# Hello", Millis(1_700_000_000_000))?;
//!
//! // A client is now pointed at server.url() …
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//!
//! assert_eq!(server.stats().pulled(), 0);
//! assert_eq!(server.tree(&vault)?["Hello.md"], b"# Hello");
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod accounts;
mod api;
mod builder;
mod error;
mod faults;
mod http;
mod log;
mod outbox;
mod pace;
mod persist;
mod record;
mod request;
mod sample;
mod seed;
mod server;
mod service;
mod session;
mod socket;
mod stats;
mod store;
mod vault;
mod wire;

pub use builder::Builder;
pub use error::Error;
pub use faults::{Action, Fault, FaultId, Faults, Point};
pub use seed::{RawRecord, Seeded};
pub use server::{DevServer, serve};
pub use service::Service;
pub use stats::{InitSeen, Stats};
pub use vault::VaultSpec;
