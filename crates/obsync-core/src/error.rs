//! Why a run ended badly, by what the caller does next.

use std::fmt;

use crate::filter::FilterError;
use crate::guard::Tripped;
use crate::store::{StoreError, StoreErrorKind};

/// A run's failure.
#[derive(Debug)]
pub enum SyncError {
    /// The service, the network, or a password.
    Remote(obsidian_sync::Error),
    /// The destination or the state.
    Store(StoreError),
    /// A guard stopped the run before it changed anything.
    Guard(Tripped),
    /// A filter setting can't be used.
    Filter(FilterError),
    /// The run was told to stop.
    Stopped,
}

impl SyncError {
    /// A stable word for the kind, for JSON and status files.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Remote(error) => error.kind().word(),
            Self::Store(error) => match error.kind {
                StoreErrorKind::Full => "destination_full",
                StoreErrorKind::Denied => "permission_denied",
                StoreErrorKind::Unusable => "state_unusable",
                StoreErrorKind::Busy => "busy",
                StoreErrorKind::Changed
                | StoreErrorKind::InTheWay
                | StoreErrorKind::Unholdable
                | StoreErrorKind::Other => "destination",
            },
            Self::Guard(_) => "guard",
            Self::Filter(_) => "filter",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Guard(tripped) => tripped.fmt(f),
            Self::Filter(error) => error.fmt(f),
            Self::Stopped => {
                f.write_str("stopped before the end; progress is saved, run again to go on")
            }
        }
    }
}

impl std::error::Error for SyncError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Remote(error) => error.source(),
            Self::Store(error) => error.source(),
            Self::Guard(_) | Self::Filter(_) | Self::Stopped => None,
        }
    }
}

impl From<obsidian_sync::Error> for SyncError {
    fn from(error: obsidian_sync::Error) -> Self {
        Self::Remote(error)
    }
}

impl From<StoreError> for SyncError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Tripped> for SyncError {
    fn from(tripped: Tripped) -> Self {
        Self::Guard(tripped)
    }
}

impl From<FilterError> for SyncError {
    fn from(error: FilterError) -> Self {
        Self::Filter(error)
    }
}
