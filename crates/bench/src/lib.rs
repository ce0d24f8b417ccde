//! Load for a server, measured: rates, latencies, bytes, CPU and memory, beside what the machine
//! allows in the same run.
//!
//! The crate sees a server as any client does, by HTTP; it never links a store or an API. Only
//! what a process costs is read elsewhere, in `/proc`.
//!
//! Latencies of a fixed rate count from the moment at which a request was to be sent, so that a
//! server that stalls makes all requests late that should have been sent meanwhile ("coordinated
//! omission" is leaving those out).
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock, and spawns what it measures with"
)]

mod budgets;
mod client;
mod embedded;
mod entries;
mod error;
mod figures;
mod growth;
mod limits;
mod load;
mod process;
mod random;
mod reads;
mod rows;
mod scenario;
mod vocabulary;
mod writes;

pub use budgets::{Budgets, Sizes};
pub use client::Target;
pub use embedded::Embedded;
pub use entries::{Entries, Kind};
pub use error::BenchError;
pub use figures::{Figures, Latencies};
pub use growth::{Growth, Stage, Times, growth_table};
pub use limits::{Limits, empty_handler, synced_appends};
pub use load::{Pace, Plan};
pub use rows::{Row, Verdict, table};
pub use scenario::{Report, Scenario, Settings, run};
