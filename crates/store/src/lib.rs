//! Where the log is kept: the [`Store`] trait with its contract, what a reader
//! asks of it ([`Filter`], [`Query`], [`Page`], [`Stats`]), a store in memory with fault
//! injection, the suite that every store passes, and reading with verification.

mod announce;
mod collect;
pub mod conformance;
mod cursor;
pub mod details;
mod error;
mod filter;
mod memory;
mod params;
mod query;
mod stats;
pub mod text;
mod traits;
mod verify;

pub use announce::Announcing;
pub use collect::Collector;
pub use cursor::{Cursor, CursorError};
pub use error::{CommitError, CommitErrorKind, StoreError, StoreErrorKind};
pub use filter::{Filter, IpBlock, Member, Test, Window, searched_strings};
pub use memory::{Fault, MemoryStore};
pub use params::ParameterError;
pub use query::{Access, Count, CountMode, Direction, Key, Order, Page, Query, Start};
pub use stats::{
    Bucket, Calendar, Facet, Histogram, Interval, Ranking, Span, Stats, StatsQuery, Tally, Top,
    UnknownZone,
};
pub use traits::{Batch, BatchEntry, Damage, KeptCheckpoint, Node, Store, Stored};
pub use verify::{Checked, Reader, Verdict};
