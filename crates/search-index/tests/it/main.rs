//! The search index from outside, beside a log in memory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends where something is not as it should be, and damages files itself"
)]

mod building;
mod damage;
mod following;
mod many;
mod room;
mod stats;
mod support;
