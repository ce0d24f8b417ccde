//! A monitor's decisions, over logs in memory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

mod bundles;
mod growth;
mod sightings;
mod superseded;
mod support;
mod trees;
