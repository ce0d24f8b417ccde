//! The store.

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use audittrail_entry::Random;
use audittrail_merkle::{Edge, Hash, TreeHead};
use audittrail_store::{
    Batch, CommitError, KeptCheckpoint, Page, Query, Stats, StatsQuery, Store, StoreError, Stored,
};
use uuid::Uuid;

use crate::lead::Leader;
use crate::network::Network;
use crate::tiles::Tails;

/// A log in a database of MongoDB.
///
/// It is as its trait says, with these additions. [`Store::lead`] answers `Led` while another
/// process has the lead and is heard of; commits and [`MongoStore::renew`] keep the lead. Every
/// read is of what a majority of the servers has. Searches and statistics end with `Unavailable`
/// when they take longer than [`crate::Options::search`].
pub struct MongoStore {
    pub(crate) network: Network,
    pub(crate) random: Arc<dyn Random>,
    /// Who this is among those that want to lead.
    pub(crate) owner: [u8; 16],
    /// The greatest head that was seen committed. Heads only grow.
    known: Mutex<TreeHead>,
    /// Held by what a leader does, one thing at a time.
    pub(crate) leader: tokio::sync::Mutex<Option<Leader>>,
    /// Hashes at the right side of the tree, of which some are not in `tiles` yet.
    tails: Mutex<Tails>,
    /// Whether there is an entry whose details have too many terms; once there is, there is.
    pub(crate) has_many: AtomicBool,
    /// Whether the lead of a closed log is taken, too.
    pub(crate) leads_closed: AtomicBool,
}

/// A log that nobody has led for so long is one that nobody will write to soon: another process
/// that stands by takes over sooner.
const UNLED: Duration = Duration::from_secs(5);

/// What the head document showed at one moment.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The committed head.
    pub head: TreeHead,
    /// The newest checkpoint kept; none before the first.
    pub checkpoint: Option<KeptCheckpoint>,
    /// Whether a process leads the log, or did a few seconds ago.
    pub led: bool,
}

impl MongoStore {
    /// Head, checkpoint and lead in one question, for a process that follows what others commit.
    ///
    /// # Errors
    /// `Unavailable` if the server cannot answer, or shows less than it has shown before.
    pub async fn seen(&self) -> Result<Seen, StoreError> {
        let (head, led) = self.network.read_head_and_lead(UNLED).await?;
        let seen = Seen {
            head: head.tree_head(),
            checkpoint: head.checkpoint,
            led,
        };
        let known = self.known().size;
        if seen.head.size < known {
            self.caught_up(known).await?;
        }
        self.saw(seen.head);
        Ok(seen)
    }

    /// Ends what the driver does in the background. To be called before the runtime ends; nothing
    /// can be read or written afterwards.
    pub async fn shutdown(&self) {
        self.network.database.client().clone().shutdown().await;
    }

    pub(crate) fn new(network: Network, head: TreeHead, random: Arc<dyn Random>) -> Self {
        let mut owner = [0; 16];
        random.fill(&mut owner);
        Self {
            network,
            random,
            owner,
            known: Mutex::new(head),
            leader: tokio::sync::Mutex::new(None),
            tails: Mutex::default(),
            has_many: AtomicBool::new(false),
            leads_closed: AtomicBool::new(false),
        }
    }

    /// The greatest head that was seen committed.
    pub(crate) fn known(&self) -> TreeHead {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a committed head; the greatest one seen.
    pub(crate) fn saw(&self, head: TreeHead) -> TreeHead {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if head.size > known.size {
            *known = head;
        }
        *known
    }

    pub(crate) fn tails(&self) -> MutexGuard<'_, Tails> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A committed size that is at least so large if the log is.
    pub(crate) async fn size_for(&self, wanted: u64) -> Result<u64, StoreError> {
        let known = self.known().size;
        if wanted <= known {
            return Ok(known);
        }
        Ok(self.head().await?.size)
    }
}

#[async_trait]
impl Store for MongoStore {
    async fn lead(&self) -> Result<Edge, StoreError> {
        self.take_lead().await
    }

    async fn commit(
        &self,
        expected: TreeHead,
        batch: Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError> {
        self.commit_batch(expected, &batch, new).await
    }

    async fn keep_checkpoint(&self, checkpoint: &KeptCheckpoint) -> Result<(), StoreError> {
        self.keep(checkpoint).await
    }

    async fn head(&self) -> Result<TreeHead, StoreError> {
        Ok(self.saw(self.network.read_head().await?.tree_head()))
    }

    async fn checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError> {
        Ok(self.network.read_head().await?.checkpoint)
    }

    async fn find(&self, ids: &[Uuid]) -> Result<Vec<Option<u64>>, StoreError> {
        self.find_ids(ids).await
    }

    async fn records(&self, indices: &[u64]) -> Result<Vec<Stored>, StoreError> {
        self.read_records(indices).await
    }

    async fn scan(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Stored>, StoreError> {
        self.read_range(range, max_bytes).await
    }

    async fn search(&self, query: &Query) -> Result<Page, StoreError> {
        self.find_page(query).await
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        self.count_by(query).await
    }

    async fn hashes(&self, level: u8, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        self.read_hashes(level, range).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.can_write().await
    }
}
