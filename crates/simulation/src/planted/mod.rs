//! Bugs that are planted to see whether the simulator finds them. Each sits in a wrapper around
//! one of the engine's seams, so that nothing of the engine knows of it.

mod disk;
mod queue;
mod store;

use std::sync::Arc;

use audittrail_queue::{InProcessQueue, Queue};
use audittrail_store::Store;
use audittrail_store_embedded::EmbeddedStore;
use audittrail_store_embedded::disk::{Disk, SimulatedDisk, SyncPoint};

/// What is wrong with the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// Nothing.
    Nothing,
    /// The sync of a batch does nothing, and says that it succeeded.
    DroppedSync,
    /// A sync that failed is tried again, and the second answer counts.
    RepeatedSync,
    /// The queue acknowledges what it hands over, before it is committed.
    EarlyAcknowledgement,
    /// A batch that was refused is said to be committed.
    SwallowedRefusal,
    /// A batch is committed in two parts.
    TornBatch,
    /// Ids are looked up in the index's files, and not in what waits in memory.
    ForgottenIds,
    /// Searches see the index's files, and not what waits in memory.
    ForgottenTail,
    /// Statistics count one entry too many, at some sizes of the log.
    OverCount,
    /// A checkpoint is shown before it is kept.
    EarlyCheckpoint,
    /// What is delivered again does not say so.
    UnmarkedRedelivery,
    /// A packed segment takes the name of the segment before it was synced.
    UnsyncedPacking,
    /// A block of a packed segment is not the one that was compared.
    WrongBlock,
}

impl Planted {
    /// All bugs.
    pub const ALL: [Self; 12] = [
        Self::DroppedSync,
        Self::RepeatedSync,
        Self::EarlyAcknowledgement,
        Self::SwallowedRefusal,
        Self::TornBatch,
        Self::ForgottenIds,
        Self::ForgottenTail,
        Self::OverCount,
        Self::EarlyCheckpoint,
        Self::UnmarkedRedelivery,
        Self::UnsyncedPacking,
        Self::WrongBlock,
    ];

    /// The disk as the engine sees it.
    pub(crate) fn disk(self, disk: &SimulatedDisk) -> Arc<dyn Disk> {
        match self {
            Self::DroppedSync => disk.leave_out(SyncPoint::Batch),
            Self::UnsyncedPacking => disk.leave_out(SyncPoint::PackedSegment),
            Self::RepeatedSync | Self::WrongBlock => {
                return Arc::new(disk::Wrong {
                    disk: disk.clone(),
                    what: self,
                });
            }
            _ => {}
        }
        Arc::new(disk.clone())
    }

    /// The queue as the engine sees it.
    pub(crate) fn queue(
        self,
        queue: &Arc<InProcessQueue>,
        store: &Arc<EmbeddedStore>,
    ) -> Arc<dyn Queue> {
        match self {
            Self::EarlyAcknowledgement => Arc::new(queue::Early::new(queue, store)),
            Self::UnmarkedRedelivery => Arc::new(queue::Unmarked(Arc::clone(queue))),
            _ => Arc::clone(queue) as Arc<dyn Queue>,
        }
    }

    /// The store as the engine sees it.
    pub(crate) fn store(self, store: &Arc<EmbeddedStore>) -> Arc<dyn Store> {
        match self {
            Self::SwallowedRefusal
            | Self::TornBatch
            | Self::ForgottenIds
            | Self::ForgottenTail
            | Self::OverCount
            | Self::EarlyCheckpoint => Arc::new(store::Wrong::new(store, self)),
            _ => Arc::clone(store) as Arc<dyn Store>,
        }
    }
}
