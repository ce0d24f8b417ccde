//! The one loop that gives out indices, grows the tree, commits, and publishes checkpoints.
//!
//! It does only what must be serial. Whatever waits in the queue, up to a limit, becomes one
//! commit; a lone entry does not wait for company.

mod error;
mod history;
mod instead;
mod plan;
mod sequencer;

pub use error::SequencerError;
pub use instead::Instead;
pub use plan::{Existing, Plan, plan, plan_instead};
pub use sequencer::{Config, Sequencer};
