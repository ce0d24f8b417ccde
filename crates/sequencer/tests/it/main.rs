//! The sequencer from outside.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends where something is not as it should be, and its clock is the paused one"
)]

mod batching;
mod checkpoints;
mod conflicts;
mod failures;
mod plans;
mod redelivery;
mod support;
