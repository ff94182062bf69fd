//! Tests against S3 services: a double in this process, and moto where Python has it.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod conformance;
mod homes;
mod moto;
mod objects;
mod support;
mod writers;
