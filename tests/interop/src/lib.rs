//! The official client, for tests and benches: installed once from npm, and driven unmodified.

pub mod install;
pub mod official;
pub mod process;

/// What a step comes to. What went wrong is text for whoever reads the output.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
