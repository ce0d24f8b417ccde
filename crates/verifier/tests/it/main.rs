//! Evidence that holds, and evidence that was tampered with.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends where something is not as it should be, and brings its own files"
)]

mod bits;
mod erasures;
mod golden;
mod hostile;
mod policies;
mod selections;
mod support;
mod tampering;
