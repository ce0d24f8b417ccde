//! What the store's readers and its writer share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use audittrail_merkle::{Edge, TreeHead};
use audittrail_search_index::{IndexOptions, SearchIndex};
use audittrail_store::KeptCheckpoint;

use crate::data_directory::DataDirectory;
use crate::disk::Disk;
use crate::layout::Layout;
use crate::segments::{Segment, Segments};
use crate::standing::Standing;
use crate::tree::Tree;
use crate::unpacked::Unpacked;

/// How the store is kept.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// A segment is closed when the next batch would make it larger.
    pub segment_bytes: u64,
    /// How the search index is kept.
    pub index: IndexOptions,
}

impl Default for Options {
    /// 256 MiB a segment, and the index's own defaults.
    fn default() -> Self {
        Self {
            segment_bytes: 256 << 20,
            index: IndexOptions::default(),
        }
    }
}

/// A store's parts.
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) layout: Layout,
    pub(crate) options: Options,
    pub(crate) origin_hash: [u8; 32],
    pub(crate) segments: Segments,
    pub(crate) tree: Tree,
    pub(crate) index: SearchIndex,
    pub(crate) head: RwLock<TreeHead>,
    pub(crate) checkpoint: RwLock<Option<KeptCheckpoint>>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) standing: Standing,
    pub(crate) unpacked: Unpacked,
    /// Held as long as the store is.
    pub(crate) directory: DataDirectory,
}

/// What only the one who commits needs.
pub(crate) struct Writer {
    pub(crate) edge: Edge,
    pub(crate) active: Option<Arc<Segment>>,
    /// Where the next batch goes in the active segment.
    pub(crate) end: u64,
    /// A new segment lost its name again, and that is not durable: what is appended before it is
    /// would be beside a segment that a crash brings back.
    pub(crate) name_taken_back: bool,
    /// After a failed sync or truncate nothing may be written any more.
    pub(crate) broken: Option<String>,
    pub(crate) buffer: Vec<u8>,
}

/// No code that holds one of these locks can panic between two changes that belong together.
impl Shared {
    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_head(&self, head: TreeHead) {
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = head;
    }

    pub(crate) fn head(&self) -> TreeHead {
        *self.head.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_checkpoint(&self, checkpoint: KeptCheckpoint) {
        *self
            .checkpoint
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(checkpoint);
    }

    pub(crate) fn kept_checkpoint(&self) -> Option<KeptCheckpoint> {
        self.checkpoint
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
