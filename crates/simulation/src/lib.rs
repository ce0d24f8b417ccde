//! The whole engine under a seeded scheduler: API, queue, sequencer, store and search index, on a
//! disk and a clock that are simulated, with clients, faults and crashes. A seed gives one run,
//! always the same.

mod check;
mod clients;
mod clock;
mod content;
mod dice;
mod ledger;
mod listeners;
mod network;
mod operator;
mod planted;
mod process;
mod proofs;
mod reads;
mod scheduler;
mod shaky;
mod sights;
mod simulate;
mod trace;
mod world;
mod writes;

pub use ledger::Counts;
pub use planted::Planted;
pub use simulate::{Run, simulate};
