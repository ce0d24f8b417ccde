//! How a store in memory is told to fail.

use crate::StoreErrorKind;

/// One failure, of the next call that it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The commit is refused: by the contract nothing of it is stored.
    CommitRefused,
    /// The commit is told that another leader took over; nothing of it is stored.
    CommitLost,
    /// The commit's answer does not arrive.
    CommitUnknown {
        /// Whether the batch was stored all the same.
        persisted: bool,
    },
    /// The commit breaks the store until [`crate::MemoryStore::restart`].
    CommitFatal {
        /// Whether a restart finds the batch.
        persisted: bool,
    },
    /// The checkpoint cannot be kept now.
    CheckpointUnavailable {
        /// Whether it was kept all the same.
        persisted: bool,
    },
    /// Keeping the checkpoint breaks the store until [`crate::MemoryStore::restart`].
    CheckpointFatal {
        /// Whether a restart finds it.
        persisted: bool,
    },
    /// Another process has taken the lead: the checkpoint is not kept.
    CheckpointLed,
    /// The lead cannot be taken now.
    Lead(StoreErrorKind),
    /// The lead is that of an empty log, as if an old copy of the store had been put back.
    LeadOfEmpty,
    /// The newest checkpoint cannot be read.
    Checkpoint(StoreErrorKind),
    /// Ids cannot be looked up.
    Find(StoreErrorKind),
    /// Records cannot be read by index.
    Records(StoreErrorKind),
    /// The log cannot be scanned.
    Scan(StoreErrorKind),
    /// The log cannot be searched.
    Search(StoreErrorKind),
    /// Statistics cannot be made.
    Stats(StoreErrorKind),
    /// The tree cannot be read.
    Hashes(StoreErrorKind),
}
