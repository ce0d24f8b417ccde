//! A store that says when its log has grown: everything else about it is the store's own.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use audittrail_entry::Record;
use audittrail_merkle::{Edge, Hash, TreeHead};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    Batch, CommitError, KeptCheckpoint, Page, Query, Stats, StatsQuery, Store, StoreError, Stored,
};

/// Wraps a store through which this process commits.
pub struct Announcing {
    store: Arc<dyn Store>,
    size: watch::Sender<u64>,
}

impl Announcing {
    /// The store, and the size of its committed log: 0 until [`Store::lead`], then never more
    /// than what readers see, and told as soon as they see it.
    pub fn new(store: Arc<dyn Store>) -> (Self, watch::Receiver<u64>) {
        let (size, told) = watch::channel(0);
        (Self { store, size }, told)
    }

    /// Tells of a log of this size, which another process committed and readers here see.
    pub fn announce(&self, size: u64) {
        self.size.send_if_modified(|told| {
            let grown = *told < size;
            *told = size.max(*told);
            grown
        });
    }
}

#[async_trait]
impl Store for Announcing {
    async fn lead(&self) -> Result<Edge, StoreError> {
        let edge = self.store.lead().await?;
        // Also after an unknown outcome, which may have been a commit.
        self.announce(edge.size());
        Ok(edge)
    }

    async fn commit(
        &self,
        expected: TreeHead,
        batch: Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError> {
        self.store.commit(expected, batch, new).await?;
        self.announce(new.size);
        Ok(())
    }

    async fn keep_checkpoint(&self, checkpoint: &KeptCheckpoint) -> Result<(), StoreError> {
        self.store.keep_checkpoint(checkpoint).await
    }

    async fn head(&self) -> Result<TreeHead, StoreError> {
        self.store.head().await
    }

    async fn checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError> {
        self.store.checkpoint().await
    }

    async fn find(&self, ids: &[Uuid]) -> Result<Vec<Option<u64>>, StoreError> {
        self.store.find(ids).await
    }

    async fn records(&self, indices: &[u64]) -> Result<Vec<Stored>, StoreError> {
        self.store.records(indices).await
    }

    async fn scan(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Stored>, StoreError> {
        self.store.scan(range, max_bytes).await
    }

    async fn search(&self, query: &Query) -> Result<Page, StoreError> {
        self.store.search(query).await
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        self.store.stats(query).await
    }

    async fn hashes(&self, level: u8, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        self.store.hashes(level, range).await
    }

    async fn hash_runs(
        &self,
        level: u8,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Vec<Hash>>, StoreError> {
        self.store.hash_runs(level, ranges).await
    }

    async fn open_part(&self, index: u64) -> Result<Option<Record>, StoreError> {
        self.store.open_part(index).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.store.ready().await
    }
}
