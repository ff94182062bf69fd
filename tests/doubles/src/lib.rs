//! Stand-ins for AWS services, in the process of whoever uses them.
//!
//! - [`s3`]: a bucket that is strict about signatures and conditions, and fails on purpose.
//! - [`runtime`]: Lambda's Runtime API, and the process that it starts.

#![allow(clippy::unwrap_used)]

pub mod runtime;
pub mod s3;
