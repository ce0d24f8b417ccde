//! The store crate from outside.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

mod broken;
mod calendars;
mod cursors;
mod filters;
mod matching;
mod memory;
mod verifying;
