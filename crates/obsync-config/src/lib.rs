//! What obsync is told, and by whom: settings, credentials, the account.
//!
//! - [`Settings::load`] gathers the layers: defaults, config file, combined credentials file,
//!   environment, flags. The environment comes in as an [`Environment`]; nothing here reads it, or
//!   a terminal, by itself. Each value is [`Sourced`]: it remembers its [`Origin`].
//! - [`Account`] hands out a token with as few sign-ins as possible.
//! - [`find_vault`] and [`open_vault`] find the vault that is meant and its password, and make it
//!   ready to connect.
//!
//! A [`ConfigError`] says which value is wrong, where it came from and what was expected;
//! [`AccountError`] says what a person does next. Neither holds a secret.
//!
//! ```
//! use obsync_config::{Environment, Flags, Settings};
//!
//! let environment: Environment =
//!     [("OBSYNC_STATE_DIR", "/tmp/state"), ("OBSYNC_CONNECTIONS", "8")].into_iter().collect();
//! let settings = Settings::load(&Flags::default(), &environment)?;
//! assert_eq!(settings.connections.value, 8);
//! assert_eq!(settings.connections.origin.to_string(), "OBSYNC_CONNECTIONS");
//! # Ok::<(), obsync_config::ConfigError>(())
//! ```

pub mod account;
mod cooldown;
pub mod credentials;
pub mod env_vars;
mod environment;
mod error;
mod json;
pub mod keys;
pub mod lambda;
mod layers;
mod open;
mod origin;
mod private_file;
mod secret_file;
pub mod settings;
pub mod suggest;
mod timing;
mod token_store;
pub mod totp;
pub mod values;
mod vault_keys;
mod vault_password;
pub mod vaults;

pub use account::{Account, AccountError, AccountService};
pub use credentials::{CombinedText, Credentials};
pub use environment::Environment;
pub use error::{ConfigError, ConfigErrorKind};
pub use lambda::LambdaSettings;
pub use layers::{Flags, config_file};
pub use open::{OpenError, OpenVault, PasswordSources, find_vault, open_vault, open_vault_with};
pub use origin::{Origin, Sourced};
pub use private_file::FileError;
pub use settings::Settings;
pub use timing::{SystemTiming, Timing};
pub use vault_keys::VaultKeys;
pub use vault_password::{NoPrompt, PasswordFlag, Prompt, vault_password};
