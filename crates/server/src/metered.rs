//! A store that counts: everything else about it is the store's own.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use audittrail_merkle::{Edge, Hash, TreeHead};
use audittrail_store::{
    Batch, CommitError, KeptCheckpoint, Page, Query, Stats, StatsQuery, Store, StoreError, Stored,
};
use uuid::Uuid;

/// Names, units and meaning of what is counted here.
pub(crate) fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(
        "audittrail_entries_committed_total",
        "Entries committed to the log"
    );
    describe_histogram!("audittrail_commit_entries", "Entries in one commit");
    describe_histogram!(
        "audittrail_commit_duration_seconds",
        Unit::Seconds,
        "Time of one commit, its sync included"
    );
    describe_counter!(
        "audittrail_commit_failures_total",
        "Commits that did not succeed, by kind"
    );
    describe_gauge!("audittrail_log_entries", "Entries in the log");
    describe_gauge!(
        "audittrail_checkpoint_entries",
        "Entries that the newest checkpoint covers"
    );
    describe_histogram!(
        "audittrail_search_duration_seconds",
        Unit::Seconds,
        "Time of one search in the store"
    );
    describe_histogram!(
        "audittrail_stats_duration_seconds",
        Unit::Seconds,
        "Time in which the store made one answer of statistics"
    );
}

/// Wraps a store.
pub(crate) struct MeteredStore<S>(pub(crate) Arc<S>);

#[expect(clippy::disallowed_methods, reason = "durations are measured here")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating-point")]
fn count(number: u64) -> f64 {
    number as f64
}

#[async_trait]
impl<S: Store> Store for MeteredStore<S> {
    async fn lead(&self) -> Result<Edge, StoreError> {
        let edge = self.0.lead().await?;
        metrics::gauge!("audittrail_log_entries").set(count(edge.size()));
        Ok(edge)
    }

    async fn commit(
        &self,
        expected: TreeHead,
        batch: Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError> {
        let entries = batch.entries.len() as u64;
        let start = now();
        let outcome = self.0.commit(expected, batch, new).await;
        metrics::histogram!("audittrail_commit_duration_seconds").record(start.elapsed());
        match &outcome {
            Ok(()) => {
                metrics::counter!("audittrail_entries_committed_total").increment(entries);
                metrics::histogram!("audittrail_commit_entries").record(count(entries));
                metrics::gauge!("audittrail_log_entries").set(count(new.size));
            }
            Err(error) => {
                let kind = format!("{:?}", error.kind()).to_lowercase();
                metrics::counter!("audittrail_commit_failures_total", "kind" => kind).increment(1);
            }
        }
        outcome
    }

    async fn keep_checkpoint(&self, checkpoint: &KeptCheckpoint) -> Result<(), StoreError> {
        self.0.keep_checkpoint(checkpoint).await?;
        metrics::gauge!("audittrail_checkpoint_entries").set(count(checkpoint.head.size));
        Ok(())
    }

    async fn head(&self) -> Result<TreeHead, StoreError> {
        self.0.head().await
    }

    async fn checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError> {
        self.0.checkpoint().await
    }

    async fn find(&self, ids: &[Uuid]) -> Result<Vec<Option<u64>>, StoreError> {
        self.0.find(ids).await
    }

    async fn records(&self, indices: &[u64]) -> Result<Vec<Stored>, StoreError> {
        self.0.records(indices).await
    }

    async fn scan(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Stored>, StoreError> {
        self.0.scan(range, max_bytes).await
    }

    async fn search(&self, query: &Query) -> Result<Page, StoreError> {
        let start = now();
        let page = self.0.search(query).await;
        metrics::histogram!("audittrail_search_duration_seconds").record(start.elapsed());
        page
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        let start = now();
        let stats = self.0.stats(query).await;
        metrics::histogram!("audittrail_stats_duration_seconds").record(start.elapsed());
        stats
    }

    async fn hashes(&self, level: u8, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        self.0.hashes(level, range).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.0.ready().await
    }
}
