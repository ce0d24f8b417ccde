//! Tests of `audittrail-auth` from outside. Tokens are made by `support`, whose HMAC shares no
//! code with the crate's.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not take for tests"
)]
#![allow(
    clippy::needless_pass_by_value,
    reason = "rows are written as `json!` in place"
)]

mod access;
mod claims;
mod config;
mod jwks;
mod minting;
mod oracle;
mod public_keys;
mod refusals;
mod robustness;
mod roles;
mod support;
