//! The commit protocol of the store over MongoDB as a model: what workers and the database can do,
//! one step at a time, so that a checker can go through every order of the steps.
//!
//! For tests only; nothing of the product depends on it. What it leaves out is said in
//! docs/commit-protocol.md. The steps are those of crates/store-mongo: `lead.rs` ([`Step::Removing`]),
//! `commit.rs` ([`Step::Inserting`], [`Step::Moving`], [`Step::Asking`]), `checkpoint.rs`
//! ([`Action::Keep`]), `reads.rs` ([`Step::Looking`], [`Step::Again`]). A change there is made here
//! too.

mod database;
mod log;
mod protocol;
mod worker;

pub use database::{Database, Doc, Head, INDICES, Write};
pub use log::{ENTRIES, Log};
pub use protocol::{Action, Bounds, FLYING, Protocol, State, WORKERS, Wrong};
pub use worker::{Found, Step, Worker};
