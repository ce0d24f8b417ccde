//! Tests of `audittrail-checkpoint` from outside: golden notes, published vectors, every refusal,
//! and two other implementations.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not take for tests"
)]

mod add_checkpoints;
mod checkpoints;
mod cosignatures;
mod differential;
mod golden;
mod keys;
mod notes;
mod other_types;
mod policies;
mod proofs;
mod signatures;
mod support;
mod vectors;
