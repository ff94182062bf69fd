//! The client against servers that behave, and servers that don't.
#![allow(
    clippy::unwrap_used,
    reason = "the lint knows test functions, not their helpers"
)]

mod conversation;
mod deadlines;
mod opening;
mod rest;
mod support;
