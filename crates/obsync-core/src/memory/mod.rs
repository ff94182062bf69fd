//! Stores in memory, for tests. They are stricter than the real ones: what those may let pass,
//! these refuse, so that a careless caller is found early.

mod faulty;
mod hooks;
mod state;
#[cfg(test)]
mod tests;
mod tree;
mod tricks;
mod vault;

pub use faulty::{FailingStateStore, FailingVaultStore, Faults, Op, When};
pub use state::MemoryStateStore;
pub use vault::MemoryVaultStore;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after another test thread panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
