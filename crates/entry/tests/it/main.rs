//! Entries from outside: what is refused, what is kept, and byte for byte how.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not take for tests"
)]

mod accepted;
mod arbitrary;
mod batches;
mod conflicts;
mod es6_numbers;
mod golden;
mod keys;
mod properties;
mod records;
mod refusals;
mod refused_json;
mod retries;
mod support;
mod times;
mod vectors;
