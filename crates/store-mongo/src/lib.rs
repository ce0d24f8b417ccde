//! The store over MongoDB: entries, tiles and one head document, which one leader moves.
//!
//! A leader is who last raised the epoch in `head`. It inserts entries beyond the head under its
//! epoch, and once all of them are there it moves the head, if epoch, size and root are still
//! what it knows. What lies beyond the head is not in the log; who takes over removes what
//! earlier epochs left there. A leader that was paused and wakes up can leave documents beyond
//! the head, and never moves it.

mod address;
mod checkpoint;
mod closed;
mod commit;
mod compile;
mod document;
mod failure;
mod head;
mod indexes;
mod lead;
mod network;
mod options;
mod reads;
mod search;
mod start;
mod stats;
mod store;
mod terms;
mod tiles;

pub use address::{complete, shown};
pub use closed::Closed;
pub use document::encode;
pub use indexes::{INDEXES, IndexReport};
pub use options::{Identity, Options};
pub use start::{StartError, StartReport};
pub use store::{MongoStore, Seen};
