//! Looking without a request each: a few by HEAD, many by one listing of the prefix.
//!
//! A listing may be out of date; that does no harm, since every change is conditional. A path
//! where a condition failed is looked at anew.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use obsync_core::{Stamp, VaultPath};

/// From this many looks on, a listing (1,000 keys a request) is the cheaper way.
const FEW: usize = 64;

#[derive(Default)]
pub(super) struct Looks {
    seen: Mutex<Seen>,
    /// Held by the one that lists.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Seen {
    count: usize,
    listing: Option<HashMap<Box<str>, Stamp>>,
    doubted: HashSet<Box<str>>,
}

/// How to look at a path.
pub(super) enum Look {
    /// This is there.
    Known(Option<Stamp>),
    /// By a request for it.
    Ask,
    /// By a listing, for all that follow.
    List,
}

impl Looks {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody else lists.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// How to look at a path.
    pub(super) fn look(&self, path: &VaultPath) -> Look {
        let mut seen = self.seen();
        if seen.doubted.contains(path.as_str()) {
            return Look::Ask;
        }
        if let Some(listing) = &seen.listing {
            return Look::Known(listing.get(path.as_str()).cloned());
        }
        seen.count += 1;
        if seen.count > FEW {
            Look::List
        } else {
            Look::Ask
        }
    }

    /// Takes a listing, as names below the prefix.
    pub(super) fn listed(&self, listing: HashMap<Box<str>, Stamp>) {
        let mut seen = self.seen();
        if seen.listing.is_none() {
            seen.listing = Some(listing);
        }
    }

    /// What is at this path is not what the listing has.
    pub(super) fn doubt(&self, path: &VaultPath) {
        self.seen().doubted.insert(path.as_str().into());
    }

    /// We changed this path.
    pub(super) fn changed(&self, path: &VaultPath, stamp: Option<&Stamp>) {
        let mut seen = self.seen();
        if let Some(listing) = &mut seen.listing {
            match stamp {
                Some(stamp) => listing.insert(path.as_str().into(), stamp.clone()),
                None => listing.remove(path.as_str()),
            };
        }
    }

    /// Drops what was listed; a large vault's is large. What is looked at from here on is asked for
    /// again.
    pub(super) fn rest(&self) {
        let mut seen = self.seen();
        seen.listing = None;
        seen.count = 0;
    }

    /// A new run looks anew.
    pub(super) fn forget(&self) {
        *self.seen() = Seen::default();
    }
}
