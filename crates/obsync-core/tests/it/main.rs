//! The engine against the local service: real protocol, real encryption, stores in memory.

mod bench;
mod changes;
mod crash;
mod guards;
mod hostile;
mod network;
mod plans;
