//! A store that counts how often it is read.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use audittrail_merkle::{Edge, Hash, TreeHead};
use audittrail_store::{
    Batch, CommitError, KeptCheckpoint, Page, Query, Stats, StatsQuery, Store, StoreError,
    StoreErrorKind, Stored,
};
use uuid::Uuid;

/// How often hashes, runs of records and single records were read.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    hashes: AtomicUsize,
    scans: AtomicUsize,
    records: AtomicUsize,
    /// After so many more reads of records one fails; 0 for none.
    records_until_failure: AtomicUsize,
}

impl Reads {
    /// Hashes, scans, records, since the last time.
    pub(crate) fn take(&self) -> (usize, usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::SeqCst);
        (take(&self.hashes), take(&self.scans), take(&self.records))
    }
}

impl Reads {
    /// Of the next reads of records this one fails, counted from 1.
    pub(crate) fn fail_records(&self, number: usize) {
        self.records_until_failure.store(number, Ordering::SeqCst);
    }

    fn records_fail(&self) -> bool {
        let left = &self.records_until_failure;
        let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
        before == Ok(1)
    }
}

pub(crate) struct Counted {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) reads: Arc<Reads>,
}

#[async_trait]
impl Store for Counted {
    async fn lead(&self) -> Result<Edge, StoreError> {
        self.store.lead().await
    }

    async fn commit(
        &self,
        expected: TreeHead,
        batch: Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError> {
        self.store.commit(expected, batch, new).await
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
        self.reads.records.fetch_add(1, Ordering::SeqCst);
        if self.reads.records_fail() {
            return Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "it was made to fail",
            ));
        }
        self.store.records(indices).await
    }

    async fn scan(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Stored>, StoreError> {
        self.reads.scans.fetch_add(1, Ordering::SeqCst);
        self.store.scan(range, max_bytes).await
    }

    async fn search(&self, query: &Query) -> Result<Page, StoreError> {
        self.store.search(query).await
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        self.store.stats(query).await
    }

    async fn hashes(&self, level: u8, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        self.reads.hashes.fetch_add(1, Ordering::SeqCst);
        self.store.hashes(level, range).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.store.ready().await
    }
}
