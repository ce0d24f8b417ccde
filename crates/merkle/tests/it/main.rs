//! Tests of `audittrail-merkle` from outside. What it says is compared with published vectors,
//! with an oracle written from the RFC, and with two other implementations.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not take for tests"
)]

mod chain;
mod differential;
mod edge;
mod large;
mod oracle;
mod proofs;
mod properties;
mod support;
mod tampering;
mod tiles;
mod vectors;
mod verifier;
