//! The binary as its users run it.

mod bad_requests;
mod commands;
mod crashes;
mod data;
mod first_start;
mod readme;
mod support;
mod tampering;
mod writing;
