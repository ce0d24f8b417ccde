//! A store that counts: everything else about it is the store's own.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use audittrail_entry::Record;
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
/// So long an answer that the store is not ready counts for all who ask: to look may be to write.
const LOOK: Duration = Duration::from_secs(1);

/// The last look whether the store is ready, when it said no.
#[derive(Clone)]
struct NotReady {
    looked: tokio::time::Instant,
    kind: StoreErrorKind,
    why: String,
}

/// Wraps a store.
pub(crate) struct MeteredStore<S> {
    store: Arc<S>,
    /// Since when a write has been under way; there is one at a time.
    writing: Mutex<Option<Instant>>,
    /// Held while somebody looks, so that the others get that answer.
    not_ready: tokio::sync::Mutex<Option<NotReady>>,
}

struct Writing<'m>(&'m Mutex<Option<Instant>>);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl<S> MeteredStore<S> {
    pub(crate) fn new(store: Arc<S>) -> Self {
        Self {
            store,
            writing: Mutex::new(None),
            not_ready: tokio::sync::Mutex::new(None),
        }
    }

    /// A write is under way until what this gives is dropped, as it is where the write is given up.
    fn write_begins(&self, since: Instant) -> Writing<'_> {
        *self.writing.lock().unwrap_or_else(PoisonError::into_inner) = Some(since);
        Writing(&self.writing)
    }

    /// What was found before may not be so any more.
    fn look_again(&self) {
        if let Ok(mut not_ready) = self.not_ready.try_lock() {
            *not_ready = None;
        }
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

/// Of the time that tests can set.
#[expect(clippy::disallowed_methods, reason = "the server reads clocks")]
fn looked_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
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
        let outcome = {
            let _writing = self.write_begins(start);
            self.store.commit(expected, batch, new).await
        };
        if outcome.is_ok() {
            self.look_again();
        }
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
        let outcome = {
            let _writing = self.write_begins(now());
            self.store.keep_checkpoint(checkpoint).await
        };
        outcome?;
        self.look_again();
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

    async fn open_part(&self, index: u64) -> Result<Option<Record>, StoreError> {
        self.store.open_part(index).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        if let Some(time) = self.stalled() {
            let why = format!(
                "a write has been under way for {} seconds: the disk does not answer",
                time.as_secs()
            );
            return Err(StoreError::new(StoreErrorKind::Unavailable, why));
        }
        let mut not_ready = self.not_ready.lock().await;
        let last = not_ready
            .as_ref()
            .filter(|last| last.looked.elapsed() < LOOK);
        if let Some(last) = last {
            return Err(StoreError::new(last.kind, last.why.clone()));
        }
        let outcome = self.store.ready().await;
        *not_ready = outcome.as_ref().err().map(|error| NotReady {
            looked: looked_now(),
            kind: error.kind(),
            why: error.to_string(),
        });
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use audittrail_entry::Timestamp;
    use audittrail_store::conformance::{self, Generator, Log, ORIGIN};
    use audittrail_store_embedded::disk::{FaultMode, Operation, SimulatedDisk};
    use audittrail_store_embedded::{DataDirectory, EmbeddedStore, Identity, Inline, Options};

    use super::*;

    /// Takes a checkpoint and never says what became of it.
    struct Silent;

    #[async_trait]
    impl Store for Silent {
        async fn lead(&self) -> Result<Edge, StoreError> {
            Ok(Edge::new())
        }
        async fn commit(&self, _: TreeHead, _: Batch<'_>, _: TreeHead) -> Result<(), CommitError> {
            std::future::pending().await
        }
        async fn keep_checkpoint(&self, _: &KeptCheckpoint) -> Result<(), StoreError> {
            std::future::pending().await
        }
        async fn head(&self) -> Result<TreeHead, StoreError> {
            Ok(TreeHead::EMPTY)
        }
        async fn checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError> {
            Ok(None)
        }
        async fn find(&self, ids: &[Uuid]) -> Result<Vec<Option<u64>>, StoreError> {
            Ok(vec![None; ids.len()])
        }
        async fn records(&self, _: &[u64]) -> Result<Vec<Stored>, StoreError> {
            Ok(Vec::new())
        }
        async fn scan(&self, _: Range<u64>, _: usize) -> Result<Vec<Stored>, StoreError> {
            Ok(Vec::new())
        }
        async fn search(&self, _: &Query) -> Result<Page, StoreError> {
            std::future::pending().await
        }
        async fn stats(&self, _: &StatsQuery) -> Result<Stats, StoreError> {
            std::future::pending().await
        }
        async fn hashes(&self, _: u8, _: Range<u64>) -> Result<Vec<Hash>, StoreError> {
            Ok(Vec::new())
        }
        async fn ready(&self) -> Result<(), StoreError> {
            Ok(())
        }
    }

    /// Who loses the lead in a write gives it up; the store is not to blame any more then.
    #[tokio::test]
    async fn a_write_that_was_given_up_is_not_under_way() {
        let metered = MeteredStore::new(Arc::new(Silent));
        let checkpoint = KeptCheckpoint {
            head: TreeHead::EMPTY,
            note: String::new(),
        };
        {
            let keeping = metered.keep_checkpoint(&checkpoint);
            let waker = std::task::Waker::noop();
            let mut context = std::task::Context::from_waker(waker);
            let mut keeping = std::pin::pin!(keeping);
            assert!(keeping.as_mut().poll(&mut context).is_pending());
            assert!(metered.writing.lock().unwrap().is_some());
        }
        assert!(metered.writing.lock().unwrap().is_none());
        metered.ready().await.unwrap();
    }

    /// To look is to write: who asks a thousand times a second does not have it written as often.
    #[tokio::test(start_paused = true)]
    async fn a_full_disk_is_tried_once_a_second() {
        let disk = SimulatedDisk::new(1);
        let directory = DataDirectory::open(Arc::new(disk.clone()), Path::new("/log")).unwrap();
        let identity = Identity {
            origin: ORIGIN.to_owned(),
            keys: vec![conformance::signer().verifier()],
        };
        let (now, inline) = (Timestamp::from_nanos(0), Arc::new(Inline));
        let options = Options::default();
        let opened = EmbeddedStore::open(directory, &identity, options, now, inline);
        let embedded = Arc::new(opened.unwrap().0);
        let metered: Arc<dyn Store> = Arc::new(MeteredStore::new(embedded));
        let (mut log, mut generator) = (Log::default(), Generator::new(1));
        log.commit(&metered, vec![generator.entry()]).await;
        metered.ready().await.unwrap();

        let refuse = async |log: &Log, entry| {
            let planned = log.plan(vec![entry]);
            disk.fail(Operation::Write, 0, FaultMode::NotDone);
            let mut after = log.clone();
            after.accept(planned.clone());
            let (before, after) = (log.edge.head(), after.edge.head());
            metered
                .commit(before, planned.batch(), after)
                .await
                .unwrap_err();
        };
        refuse(&log, generator.entry()).await;
        let full = || disk.fail(Operation::Write, 0, FaultMode::NotDone);
        full();
        let why = metered.ready().await.unwrap_err().to_string();
        assert!(why.contains("the batch could not be written"), "{why}");
        // It would succeed now, and is not tried.
        for _ in 0..1_000 {
            assert_eq!(metered.ready().await.unwrap_err().to_string(), why);
        }
        tokio::time::advance(LOOK).await;
        metered.ready().await.unwrap();

        // A batch that was written says more than the last look.
        refuse(&log, generator.entry()).await;
        full();
        metered.ready().await.unwrap_err();
        log.commit(&metered, vec![generator.entry()]).await;
        metered.ready().await.unwrap();
    }
}
