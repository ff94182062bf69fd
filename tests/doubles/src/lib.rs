//! Stand-ins for AWS services, in the process of whoever uses them.
//!
//! - [`s3`]: a bucket that is strict about signatures and conditions, and fails on purpose.

#![allow(clippy::unwrap_used)]

pub mod s3;
