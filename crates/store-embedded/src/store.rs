//! The store: what readers and the sequencer see.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, RwLock};

use async_trait::async_trait;
use audittrail_entry::{Record, Timestamp};
use audittrail_merkle::{Edge, Hash, TreeHead};
use audittrail_search_index::IndexError;
use audittrail_store::{
    Batch, CommitError, KeptCheckpoint, Page, Query, Stats, StatsQuery, Store, StoreError,
    StoreErrorKind, Stored,
};
use uuid::Uuid;

use crate::data_directory::DataDirectory;
use crate::format::origin_hash;
use crate::indexed::{self, Log};
use crate::offload::{Offload, offload};
use crate::shared::{Options, Shared, Writer};
use crate::standing::Standing;
use crate::start::{Identity, StartReport, start};
use crate::start_error::StartError;
use crate::tree::Tree;
use crate::unpacked::Unpacked;
use crate::waiting::Waiting;

/// A log in one directory of one machine.
///
/// [`Store::commit`], [`Store::keep_checkpoint`] and [`Store::find`] block the calling
/// thread on the disk; other reads run where the [`Offload`] puts them.
pub struct EmbeddedStore {
    pub(crate) shared: Arc<Shared>,
    offload: Arc<dyn Offload>,
}

impl EmbeddedStore {
    /// Starts on what stands in the directory; a directory without a log becomes an empty
    /// one. The sequencer's first act has to be a checkpoint of what stands.
    ///
    /// # Errors
    /// If the directory cannot be used, or what stands there cannot be continued.
    pub fn open(
        directory: DataDirectory,
        identity: &Identity,
        options: Options,
        now: Timestamp,
        offload: Arc<dyn Offload>,
    ) -> Result<(Self, StartReport), StartError> {
        let disk = directory.disk();
        let layout = directory.layout().clone();
        let started = start(&disk, &layout, identity, now, directory.is_copying())?;
        let head = started.edge.head();
        let origin_hash = origin_hash(&identity.origin);
        let index = indexed::open(
            &*disk,
            &layout,
            origin_hash,
            head.size,
            &Log::new(&started.segments, &started.tree),
            options.index,
        )?;
        let writer = Writer {
            edge: started.edge,
            active: started.active,
            end: started.end,
            name_taken_back: false,
            broken: None,
            buffer: Vec::new(),
        };
        let shared = Shared {
            disk,
            layout,
            options,
            origin_hash,
            segments: started.segments,
            tree: started.tree,
            index,
            head: RwLock::new(head),
            checkpoint: RwLock::new(started.checkpoint),
            writer: Mutex::new(writer),
            standing: Standing::default(),
            unpacked: Unpacked::default(),
            directory,
        };
        Ok((
            Self {
                shared: Arc::new(shared),
                offload,
            },
            started.report,
        ))
    }

    async fn read<T: Send + 'static>(
        &self,
        what: &'static str,
        job: impl FnOnce(&Shared) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        let answer = offload(&*self.offload, move || job(&shared)).await;
        answer
            .unwrap_or_else(|| Err(io::Error::other("the reading thread ended")))
            .map_err(|error| StoreError::caused(StoreErrorKind::Unavailable, what, error))
    }
}

fn index_error(what: &'static str, error: IndexError) -> StoreError {
    match error {
        IndexError::Building { .. } => StoreError::new(StoreErrorKind::Building, error.to_string()),
        IndexError::Refused(error) => error,
        error => StoreError::caused(StoreErrorKind::Unavailable, what, error),
    }
}

fn not_there(size: u64, level: u8, range: &Range<u64>) -> StoreError {
    invalid(format!(
        "a tree of {size} leaves does not have all of {range:?} at level {level}"
    ))
}

fn invalid(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, message)
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn lead(&self) -> Result<Edge, StoreError> {
        Ok(self.shared.writer().edge.clone())
    }

    async fn commit(
        &self,
        expected: TreeHead,
        batch: Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError> {
        let outcome = self.shared.commit(expected, &batch, new);
        self.shared.standing.committed(&outcome);
        outcome
    }

    async fn keep_checkpoint(&self, checkpoint: &KeptCheckpoint) -> Result<(), StoreError> {
        let outcome = self.shared.keep_checkpoint(checkpoint);
        self.shared.standing.kept(&outcome);
        outcome
    }

    async fn head(&self) -> Result<TreeHead, StoreError> {
        Ok(self.shared.head())
    }

    async fn checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError> {
        Ok(self.shared.kept_checkpoint())
    }

    async fn find(&self, ids: &[Uuid]) -> Result<Vec<Option<u64>>, StoreError> {
        let found = self.shared.find(ids);
        found.map_err(|error| index_error("ids cannot be looked up", error))
    }

    async fn records(&self, indices: &[u64]) -> Result<Vec<Stored>, StoreError> {
        let size = self.shared.head().size;
        if let Some(index) = indices.iter().find(|index| **index >= size) {
            return Err(invalid(format!(
                "index {index} is not below the log's size {size}"
            )));
        }
        let indices = indices.to_vec();
        self.read("records cannot be read", move |shared| {
            // A page that goes backwards has neighbours, too.
            let mut sorted = indices.clone();
            sorted.sort_unstable();
            sorted.dedup();
            // Who verifies them needs these next.
            shared.tree.will_need(&sorted);
            let stored = shared.segments.read_each(&sorted)?;
            if sorted == indices {
                return Ok(stored);
            }
            let place = |index: &u64| sorted.binary_search(index).ok();
            let asked = indices.iter().filter_map(place);
            if sorted.len() < indices.len() {
                return Ok(asked.map(|at| stored[at].clone()).collect());
            }
            let mut stored: Vec<Option<Stored>> = stored.into_iter().map(Some).collect();
            Ok(asked.filter_map(|at| stored[at].take()).collect())
        })
        .await
    }

    async fn scan(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Stored>, StoreError> {
        let size = self.shared.head().size;
        if range.end > size {
            return Err(invalid(format!(
                "index {} is not below the log's size {size}",
                range.end
            )));
        }
        self.read("the log cannot be read", move |shared| {
            shared.segments.scan(range, max_bytes)
        })
        .await
    }

    async fn search(&self, query: &Query) -> Result<Page, StoreError> {
        let query = query.clone();
        let what = "the log cannot be searched";
        let page = self
            .read(what, move |shared| Ok(shared.search(&query)))
            .await?;
        page.map_err(|error| index_error(what, error))
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        let query = query.clone();
        let what = "statistics cannot be made";
        let (asked, waited_for) = Waiting::new();
        let stats = self
            .read(what, move |shared| Ok(shared.stats(&query, &waited_for)))
            .await?;
        drop(asked);
        stats.map_err(|error| index_error(what, error))
    }

    async fn hashes(&self, level: u8, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        let size = self.shared.head().size;
        if !Tree::has(size, level, &range) {
            return Err(not_there(size, level, &range));
        }
        self.read("the tree cannot be read", move |shared| {
            shared.tree.hashes(level, range)
        })
        .await
    }

    async fn hash_runs(
        &self,
        level: u8,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Vec<Hash>>, StoreError> {
        let size = self.shared.head().size;
        if let Some(range) = ranges.iter().find(|range| !Tree::has(size, level, range)) {
            return Err(not_there(size, level, range));
        }
        let ranges = ranges.to_vec();
        self.read("the tree cannot be read", move |shared| {
            let runs = ranges.into_iter();
            runs.map(|range| shared.tree.hashes(level, range)).collect()
        })
        .await
    }

    async fn open_part(&self, index: u64) -> Result<Option<Record>, StoreError> {
        if index >= self.shared.head().size {
            return Ok(None);
        }
        self.read("a record cannot be read", move |shared| {
            shared.segments.open_part(index)
        })
        .await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let what = "the data directory cannot be looked at";
        self.read(what, |shared| Ok(shared.ready())).await?
    }
}
