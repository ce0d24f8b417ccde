//! A store with one thing wrong.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use audittrail_entry::Record;
use audittrail_merkle::{Edge, Hash, TreeHead};
use audittrail_store::{
    Batch, CommitError, CommitErrorKind, KeptCheckpoint, Node, Page, Query, Stats, StatsQuery,
    Store, StoreError, Stored,
};
use audittrail_store_embedded::EmbeddedStore;
use uuid::Uuid;

use super::Planted;
use crate::scheduler::give_way;

pub(super) struct Wrong {
    store: Arc<EmbeddedStore>,
    what: Planted,
    /// What was said to be kept.
    early: Mutex<Option<KeptCheckpoint>>,
}

impl Wrong {
    pub(super) fn new(store: &Arc<EmbeddedStore>, what: Planted) -> Self {
        Self {
            store: Arc::clone(store),
            what,
            early: Mutex::default(),
        }
    }

    /// Where what waits in memory begins.
    fn in_files(&self) -> u64 {
        self.store.index_position().1
    }

    async fn commit_torn(
        &self,
        expected: TreeHead,
        batch: Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError> {
        let mut edge = match self.store.lead().await {
            Ok(edge) if edge.head() == expected => edge,
            _ => return self.store.commit(expected, batch, new).await,
        };
        let (first, rest) = batch.entries.split_at(batch.entries.len() / 2);
        let mut from = expected;
        for part in [first, rest] {
            if part.is_empty() {
                continue;
            }
            let (first_index, mut nodes) = (edge.size(), Vec::new());
            for entry in part {
                Node::push_leaf(&mut edge, entry.leaf_hash, &mut nodes);
            }
            let batch = Batch {
                first_index,
                entries: part.to_vec(),
                nodes,
            };
            let to = edge.head();
            self.store.commit(from, batch, to).await?;
            from = to;
            give_way().await;
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Wrong {
    async fn lead(&self) -> Result<Edge, StoreError> {
        self.store.lead().await
    }

    async fn commit(
        &self,
        expected: TreeHead,
        batch: Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError> {
        match self.what {
            Planted::TornBatch => self.commit_torn(expected, batch, new).await,
            Planted::SwallowedRefusal => match self.store.commit(expected, batch, new).await {
                Err(error) if error.kind() == CommitErrorKind::Refused => Ok(()),
                outcome => outcome,
            },
            _ => self.store.commit(expected, batch, new).await,
        }
    }

    async fn keep_checkpoint(&self, checkpoint: &KeptCheckpoint) -> Result<(), StoreError> {
        if self.what != Planted::EarlyCheckpoint {
            return self.store.keep_checkpoint(checkpoint).await;
        }
        let before = {
            let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
            early.replace(checkpoint.clone())
        };
        match before {
            Some(before) => self.store.keep_checkpoint(&before).await,
            // The first of a life is kept: a log without one does not start.
            None => self.store.keep_checkpoint(checkpoint).await,
        }
    }

    async fn head(&self) -> Result<TreeHead, StoreError> {
        self.store.head().await
    }

    async fn checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError> {
        self.store.checkpoint().await
    }

    async fn find(&self, ids: &[Uuid]) -> Result<Vec<Option<u64>>, StoreError> {
        let mut found = self.store.find(ids).await?;
        if self.what == Planted::ForgottenIds {
            let in_files = self.in_files();
            for one in &mut found {
                *one = one.filter(|index| *index < in_files);
            }
        }
        Ok(found)
    }

    async fn records(&self, indices: &[u64]) -> Result<Vec<Stored>, StoreError> {
        self.store.records(indices).await
    }

    async fn scan(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Stored>, StoreError> {
        self.store.scan(range, max_bytes).await
    }

    async fn search(&self, query: &Query) -> Result<Page, StoreError> {
        let mut page = self.store.search(query).await?;
        if self.what == Planted::ForgottenTail {
            let in_files = self.in_files();
            page.keys.retain(|key| key.index < in_files);
        }
        Ok(page)
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        let mut stats = self.store.stats(query).await?;
        if self.what == Planted::OverCount && query.size % 4 == 3 {
            stats.count += 1;
        }
        Ok(stats)
    }

    async fn hashes(&self, level: u8, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        self.store.hashes(level, range).await
    }

    async fn open_part(&self, index: u64) -> Result<Option<Record>, StoreError> {
        self.store.open_part(index).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.store.ready().await
    }
}
