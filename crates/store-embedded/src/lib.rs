//! The embedded store: segments, tree and checkpoint in one directory.
//!
//! The log is the database. `tree/`, `locations/` and `index/` are derived from it and can be
//! deleted; `checkpoint` and `keys/` cannot.

mod appended;
mod backup;
mod data_directory;
pub mod disk;
mod format;
mod fsck;
mod fsck_ids;
mod fsck_index;
mod indexed;
mod layout;
mod locations;
mod moved;
mod offload;
mod packed;
mod packing;
mod rebuild;
mod segments;
mod shared;
mod standing;
mod start;
mod start_error;
mod store;
mod tail;
mod tree;
mod unpacked;
mod waiting;
mod walk;
mod writer;

pub use backup::{
    BackupInput, BackupMarker, BackupReport, BackupState, Earlier, Purpose, Secrets, backup,
    begin_copy, finish_copy,
};
pub use data_directory::{DataDirectory, read_key, write_key};
pub use format::{append_batch, read_batch};
pub use fsck::{Finding, FsckInput, FsckReport, fsck};
pub use indexed::Following;
pub use moved::Moved;
pub use offload::{Inline, Offload};
pub use packing::{PackedSegment, Packing};
pub use shared::Options;
pub use start::{Identity, StartReport};
pub use start_error::StartError;
pub use store::EmbeddedStore;
