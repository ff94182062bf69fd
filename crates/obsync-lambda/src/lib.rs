//! obsync as an AWS Lambda function.

pub mod answer;
pub mod deadline;
mod ended;
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
