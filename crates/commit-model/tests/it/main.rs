//! The commit protocol, every order of its steps.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends where something is not as it should be, and says how much it looked at"
)]

mod checked;
mod protocol;
