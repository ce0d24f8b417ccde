//! A store that takes its time and sometimes is away, as the contract of [`Store`] allows.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use audittrail_entry::Record;
use audittrail_merkle::{Edge, Hash, TreeHead};
use audittrail_store::{
    Batch, CommitError, CommitErrorKind, KeptCheckpoint, Page, Query, Stats, StatsQuery, Store,
    StoreError, StoreErrorKind, Stored,
};
use audittrail_store_embedded::EmbeddedStore;
use uuid::Uuid;

use crate::dice::Dice;
use crate::scheduler::give_way;

/// Wraps what is between the engine and its disk.
pub(crate) struct Shaky {
    pub(crate) store: Arc<dyn Store>,
    /// What is below all of it.
    pub(crate) embedded: Arc<EmbeddedStore>,
    pub(crate) dice: Dice,
    /// So many of a thousand calls fail, done or not.
    pub(crate) failing: u64,
}

impl Shaky {
    async fn pause(&self) {
        match self.dice.below(0..1000) {
            0..600 => {}
            600..850 => give_way().await,
            850..998 => {
                let time = Duration::from_millis(self.dice.below(1..40));
                tokio::time::sleep(time).await;
            }
            // Long enough for whoever waits to give up.
            _ => {
                let time = Duration::from_secs(self.dice.below(1..45));
                tokio::time::sleep(time).await;
            }
        }
    }

    fn fails(&self) -> bool {
        self.failing > 0 && self.dice.below(0..1000) < self.failing
    }

    /// A read, or what may be repeated like one.
    async fn read<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.pause().await;
        let outcome = call.await;
        let fails = self.fails();
        self.pause().await;
        if fails {
            let why = "the store was made to be away";
            return Err(StoreError::new(StoreErrorKind::Unavailable, why));
        }
        outcome
    }
}

#[async_trait]
impl Store for Shaky {
    async fn lead(&self) -> Result<Edge, StoreError> {
        self.read(self.store.lead()).await
    }

    async fn commit(
        &self,
        expected: TreeHead,
        batch: Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError> {
        let unknown = || {
            let why = "the store was made to be away";
            Err(CommitError::new(CommitErrorKind::Unknown, why))
        };
        self.pause().await;
        let (before, after) = (self.fails(), self.fails());
        if before {
            return unknown();
        }
        let outcome = self.store.commit(expected, batch, new).await;
        // A merge that a commit began is waited for: its threads are not the simulation's.
        let settled = self.embedded.settle_index();
        self.pause().await;
        match outcome {
            Ok(()) if after || settled.is_err() => unknown(),
            outcome => outcome,
        }
    }

    async fn keep_checkpoint(&self, checkpoint: &KeptCheckpoint) -> Result<(), StoreError> {
        self.read(self.store.keep_checkpoint(checkpoint)).await
    }

    async fn head(&self) -> Result<TreeHead, StoreError> {
        self.read(self.store.head()).await
    }

    async fn checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError> {
        self.read(self.store.checkpoint()).await
    }

    async fn find(&self, ids: &[Uuid]) -> Result<Vec<Option<u64>>, StoreError> {
        self.read(self.store.find(ids)).await
    }

    async fn records(&self, indices: &[u64]) -> Result<Vec<Stored>, StoreError> {
        self.read(self.store.records(indices)).await
    }

    async fn scan(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Stored>, StoreError> {
        self.read(self.store.scan(range, max_bytes)).await
    }

    async fn search(&self, query: &Query) -> Result<Page, StoreError> {
        self.read(self.store.search(query)).await
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        self.read(self.store.stats(query)).await
    }

    async fn hashes(&self, level: u8, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        self.read(self.store.hashes(level, range)).await
    }

    async fn open_part(&self, index: u64) -> Result<Option<Record>, StoreError> {
        self.read(self.store.open_part(index)).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.read(self.store.ready()).await
    }
}
