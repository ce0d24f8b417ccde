//! What a monitor of a log decides. Nothing here reads, writes, waits or asks a clock: who
//! monitors a log fetches what is named here, and hands it over.
//!
//! A checkpoint is opened by [`LogKeys`], compared with one that was kept by [`Standing`], and
//! proven to extend it by [`Growth`]. [`ProvenTree`] says which tile proves which, from the
//! checkpoint's root down to the leaves, and [`check_bundle`] compares the leaves with them.

mod bundle;
mod growth;
mod mirror;
mod sighting;
mod tree;

pub use bundle::{BUNDLE_BYTES_MAX, BundleError, check_bundle, first_entries};
pub use growth::{Growth, Verdict, growth_tiles};
pub use mirror::superseded;
pub use sighting::{KeysError, LogKeys, Refusal, Sighting, Standing};
pub use tree::{ProvenTree, TreeError, tile_hashes};
