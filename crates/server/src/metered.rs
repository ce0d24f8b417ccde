//! A store that counts: everything else about it is the store's own.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use audittrail_merkle::{Edge, Hash, TreeHead};
use audittrail_store::{
    Batch, CommitError, KeptCheckpoint, Page, Query, Stats, StatsQuery, Store, StoreError,
    StoreErrorKind, Stored,
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

/// A write that takes longer is a disk that does not answer.
const STALLED: Duration = Duration::from_secs(5);

/// Wraps a store.
pub(crate) struct MeteredStore<S> {
    store: Arc<S>,
    /// Since when a write has been under way; there is one at a time.
    writing: Mutex<Option<Instant>>,
}

impl<S> MeteredStore<S> {
    pub(crate) fn new(store: Arc<S>) -> Self {
        let writing = Mutex::new(None);
        Self { store, writing }
    }

    fn set_writing(&self, since: Option<Instant>) {
        *self.writing.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn stalled(&self) -> Option<Duration> {
        let since = *self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        since
            .map(|since| since.elapsed())
            .filter(|time| *time > STALLED)
    }
}

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
        let edge = self.store.lead().await?;
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
        self.set_writing(Some(start));
        let outcome = self.store.commit(expected, batch, new).await;
        self.set_writing(None);
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
        self.set_writing(Some(now()));
        let outcome = self.store.keep_checkpoint(checkpoint).await;
        self.set_writing(None);
        outcome?;
        metrics::gauge!("audittrail_checkpoint_entries").set(count(checkpoint.head.size));
        Ok(())
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
        let start = now();
        let page = self.store.search(query).await;
        metrics::histogram!("audittrail_search_duration_seconds").record(start.elapsed());
        page
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        let start = now();
        let stats = self.store.stats(query).await;
        metrics::histogram!("audittrail_stats_duration_seconds").record(start.elapsed());
        stats
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

    async fn ready(&self) -> Result<(), StoreError> {
        if let Some(time) = self.stalled() {
            let why = format!(
                "a write has been under way for {} seconds: the disk does not answer",
                time.as_secs()
            );
            return Err(StoreError::new(StoreErrorKind::Unavailable, why));
        }
        self.store.ready().await
    }
}
