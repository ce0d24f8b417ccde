//! The binary as its users run it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test ends where something is not as it should be, and brings its own files"
)]

mod backup;
mod bad_requests;
mod bench;
mod commands;
mod compression;
mod connections;
mod copying;
mod crashes;
mod data;
mod deploying;
mod evidence;
mod export_command;
mod export_memory;
mod exports;
mod first_start;
mod http2;
mod interop;
mod issuer;
mod keys;
mod liar;
mod manual;
#[path = "../../../store-mongo/tests/it/server.rs"]
#[allow(dead_code, reason = "the store's own tests need more of it")]
mod mongod;
mod monitor_alerts;
mod monitor_growth;
mod monitor_hostile;
mod monitor_mirror;
mod monitoring;
mod outputs;
mod prove_command;
mod proxies;
mod readme;
mod smuggling;
mod stopping;
mod streams;
mod support;
mod tampering;
mod watching;
mod witness_command;
mod witnesses;
mod writing;
