use audittrail_checkpoint::CheckpointError;
use audittrail_queue::QueueError;
use audittrail_store::{CommitError, StoreError};

/// Why the loop ended. In each case nothing more is acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum SequencerError {
    /// Another leader has taken over.
    #[error("another sequencer has taken over this log")]
    Lost(#[source] CommitError),
    /// The store can no longer be written safely by this process.
    #[error("the store has to be opened anew: {0}")]
    Commit(#[source] CommitError),
    /// The store failed outside a commit, beyond trying again.
    #[error("the store failed: {0}")]
    Store(#[source] StoreError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The log is not the one that the kept checkpoint was made of.
    #[error("the log and its checkpoint disagree: {0}")]
    Inconsistent(String),
    /// A checkpoint could not be signed.
    #[error("the checkpoint cannot be signed: {0}")]
    Sign(#[from] CheckpointError),
}
