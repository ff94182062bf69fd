//! Tests against S3 services: a double in this process, and moto where Python has it.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod conformance;
mod doubt;
mod homes;
mod idle;
mod lease;
mod lost;
mod marks;
mod moto;
mod objects;
mod services;
mod silence;
mod support;
mod uploads;
mod writers;
