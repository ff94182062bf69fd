//! The stand-ins themselves.

#![allow(clippy::unwrap_used)]

mod runtime;
