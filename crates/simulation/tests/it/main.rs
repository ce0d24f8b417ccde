//! The simulator, what it finds, and that it finds anything.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends where something is not as it should be"
)]

mod planted;
mod replays;
mod seeds;
mod support;
