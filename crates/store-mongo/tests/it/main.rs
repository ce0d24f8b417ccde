//! The store over a real MongoDB.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends where something is not as it should be, and brings its own tasks"
)]

mod answers;
mod conformance;
mod crashes;
mod damage;
mod explained;
mod filters;
mod leaders;
mod lookups;
mod server;
mod starts;
mod support;
mod trees;
mod zombies;
