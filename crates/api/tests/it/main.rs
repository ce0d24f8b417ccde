//! The interface over real connections, with a store that can be told to fail.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends where something is not as it should be, and brings its own tasks"
)]

mod counted;
mod description;
mod events;
mod exports;
mod proofs;
mod queue_answers;
mod receipts;
mod stats;
mod stream_walls;
mod streams;
mod support;
mod tile_reads;
mod tiles;
mod vectors;
