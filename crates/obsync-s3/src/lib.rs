//! S3 as a home for obsync: a vault's files as objects, its sync state as one document beside them.
//!
//! - [`S3Settings`] say which bucket and how; credentials come from a provider that the caller
//!   picks, such as [`EnvironmentCredentials`].
//! - [`S3Home::open`] yields the two stores of a vault: [`S3VaultStore`] and [`S3StateStore`].
//! - [`S3Homes`] keeps homes, connections and credentials from one run to the next, for many vaults.
//! - One lease covers both. It is taken before the first effect, so an idle run takes none, and
//!   released by [`S3StateStore::close`] or at the end of a run.
//! - Requests are put together here (`ask`), and signed and sent by `object_store`: its own operations
//!   know no conditional DELETE, no expected bucket owner and no `Date` of an answer, by which the
//!   lease is timed, and bring a second loop of retries.
//!
//! ```no_run
//! # async fn example() -> Result<(), obsync_core::StoreError> {
//! use std::sync::Arc;
//!
//! use obsync_core::clock::SystemClock;
//! use obsync_core::StateStore as _;
//! use obsync_s3::{About, EnvironmentCredentials, Place, S3Home, S3Settings};
//!
//! let variable = |name: &str| std::env::var(name).ok();
//! let settings = S3Settings::from_variables(variable)?;
//! let credentials = EnvironmentCredentials::from_variables(variable).expect("keys are set");
//! let about = About {
//!     vault: obsidian_sync::VaultId::new("0123abcd"),
//!     name: "My vault".to_owned(),
//!     shared_name: false,
//!     place: Place::Usual,
//! };
//! let home = S3Home::open(&settings, &about, Arc::new(credentials), Arc::new(SystemClock)).await?;
//! println!("{:?}", home.state.header().await?);
//! # Ok(())
//! # }
//! ```

mod ask;
mod bucket;
mod credentials;
mod deletion;
mod fault;
mod gate;
mod home;
mod homes;
mod keys;
mod lease;
mod listing;
mod object;
mod objects;
mod parts;
mod prefix;
mod probe;
mod register;
mod settings;
mod state;
mod wire;

pub use credentials::{
    AwsCredential, AwsCredentialProvider, CredentialSource, EnvironmentCredentials, provider,
};
pub use home::{About, Place, S3Home};
pub use homes::{Known, S3Homes};
pub use objects::S3VaultStore;
pub use probe::{Outcome, Tried, probe};
pub use settings::{Encryption, S3Settings};
pub use state::S3StateStore;
