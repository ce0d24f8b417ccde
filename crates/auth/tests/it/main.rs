//! Tests of `audittrail-auth` from outside. Tokens are made by `support`, whose HMAC shares no
//! code with the crate's.

mod access;
mod claims;
mod config;
mod minting;
mod oracle;
mod refusals;
mod robustness;
mod roles;
mod support;
