//! obsync as an AWS Lambda function.

pub mod answer;
pub mod deadline;
pub mod event;
pub mod function;
pub mod logging;
pub mod memory;
pub mod metrics;
mod options;
pub mod secrets;
mod status;
mod told;
mod tools;
mod vault_run;
mod vaults;
