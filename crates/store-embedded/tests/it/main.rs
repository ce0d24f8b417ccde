//! The embedded store from outside.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test ends where something is not as it should be, and brings its own files"
)]

mod backup_faults;
mod backups;
mod conformance;
mod crashes;
mod damage;
mod edited;
mod gated;
mod golden;
mod indexed;
mod packing;
mod standing;
mod support;
