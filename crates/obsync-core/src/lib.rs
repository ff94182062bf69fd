//! The obsync engine: from a vault's records to files at a destination, safely.
//!
//! ```text
//!  feed            plan               transfer                        commit
//!  records → last  records + state +  connections → decrypt → check   stage → intent → publish
//!  one per path    local → actions    → bounded bytes → stage         → state batch → cursor
//! ```
//!
//! - [`sync::SyncRun`] is one run; everything else serves it.
//! - [`plan::plan`] decides, purely; `apply` carries out and is small and boring.
//! - [`VaultStore`] is a home for files, [`StateStore`] one for state. Implementations sit around
//!   this crate and pass the suites in `conformance` (feature `testing`).
//!
//! This crate knows nothing of command lines, terminals, the environment or clouds.

mod apply;
pub mod budget;
pub mod clock;
mod commit;
pub mod error;
pub mod feed;
pub mod filter;
pub mod guard;
mod local;
pub mod path;
mod place;
pub mod plan;
pub mod progress;
pub mod record;
pub mod report;
pub mod state;
pub mod store;
pub mod sync;
mod transfer;
pub mod verify;
pub mod watchdog;

#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "testing")]
pub mod memory;

pub use budget::Budget;
pub use error::SyncError;
pub use path::{PathProblem, VaultPath, escape_name};
pub use record::{Change, Record, RemoteFile};
pub use state::{
    Advance, Batch, Contents, Counts, Entry, FileEntry, Header, LastError, RunStatus, StateStore,
    Unapplied, UnappliedKind,
};
pub use store::{
    Expect, FileMeta, Folding, Found, Listed, Pages, PublishError, Retire, Staged, StagedWriter,
    Stamp, StoreError, StoreErrorKind, Trust, VaultStore,
};
pub use sync::{Preview, SyncOptions, SyncRun};
