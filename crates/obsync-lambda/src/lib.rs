//! obsync as an AWS Lambda function.

mod access;
pub mod answer;
pub mod deadline;
mod ended;
pub mod event;
mod fresh;
pub mod function;
pub mod logging;
pub mod memory;
pub mod metrics;
mod options;
mod rota;
pub mod secrets;
mod slots;
mod status;
mod supervise;
mod told;
mod tools;
mod vault_run;
mod vaults;
