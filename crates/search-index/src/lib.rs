//! The search index of the embedded store: it follows the log, answers queries, and finds
//! entries by their ids.
//!
//! Everything in it follows from the log, so it can be deleted at any time. Its files hold the
//! entries up to its position, and a tail in memory those from there to the head; a query sees
//! both as they were at one moment. What a filter means is said by
//! [`audittrail_store::Filter::matches`] alone.

mod checksum;
mod compare;
mod count;
mod document;
mod error;
mod follow;
mod grams;
mod index;
mod merging;
mod page;
mod plan;
mod schema;
mod segment;
mod stats;
mod tail;
mod terms;

pub use compare::{Compared, compare};
pub use error::IndexError;
pub use follow::Step;
pub use index::{IndexOptions, SearchIndex, Source};
