//! The client against servers that behave, and servers that don't.

mod conversation;
mod deadlines;
mod opening;
mod rest;
mod support;
