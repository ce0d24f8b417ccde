//! The suite notices a store that breaks its contract, each in one way.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use audittrail_merkle::{Edge, Hash, TreeHead};
use audittrail_store::{
    Access, Batch, Calendar, CommitError, CommitErrorKind, KeptCheckpoint, MemoryStore, Page,
    Query, Start, Stats, StatsQuery, Store, StoreError, StoreErrorKind, Stored, conformance,
};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    CommitsOnAnyHead,
    RefusesInsteadOfLosing,
    RefusesButStores,
    KeepsSmallerCheckpoints,
    KeepsCheckpointsAhead,
    KeepsOtherRoots,
    ForgetsCheckpoints,
    FindsNothing,
    FindsInOrderOfIndex,
    SortsRecords,
    LeavesOutRepeatedRecords,
    SkipsRecordsAbove,
    ScansOneTooMany,
    ScansNothing,
    ScansWithoutBound,
    GivesHashesThatThereAre,
    GivesOtherHashesAbove,
    AsksToTryAgainForNoHashes,
    LosesTheLastKey,
    CountsWhatIsSkipped,
    NothingBefore,
    AlwaysMore,
    SeesBeyondTheSnapshot,
    SeesEverybody,
    ListsNoFailed,
    IncludesTheKey,
    ReversesBefore,
    CountsInUtc,
    CountsEverybody,
    BucketsWhatFailed,
    TakesOneBucketMore,
    LeavesOutATie,
    ForgetsTheMissing,
}

impl Wrong {
    const ALL: [Self; 33] = [
        Self::CommitsOnAnyHead,
        Self::RefusesInsteadOfLosing,
        Self::RefusesButStores,
        Self::KeepsSmallerCheckpoints,
        Self::KeepsCheckpointsAhead,
        Self::KeepsOtherRoots,
        Self::ForgetsCheckpoints,
        Self::FindsNothing,
        Self::FindsInOrderOfIndex,
        Self::SortsRecords,
        Self::LeavesOutRepeatedRecords,
        Self::SkipsRecordsAbove,
        Self::ScansOneTooMany,
        Self::ScansNothing,
        Self::ScansWithoutBound,
        Self::GivesHashesThatThereAre,
        Self::GivesOtherHashesAbove,
        Self::AsksToTryAgainForNoHashes,
        Self::LosesTheLastKey,
        Self::CountsWhatIsSkipped,
        Self::NothingBefore,
        Self::AlwaysMore,
        Self::SeesBeyondTheSnapshot,
        Self::SeesEverybody,
        Self::ListsNoFailed,
        Self::IncludesTheKey,
        Self::ReversesBefore,
        Self::CountsInUtc,
        Self::CountsEverybody,
        Self::BucketsWhatFailed,
        Self::TakesOneBucketMore,
        Self::LeavesOutATie,
        Self::ForgetsTheMissing,
    ];
}

struct Broken {
    inner: MemoryStore,
    wrong: Wrong,
}

#[async_trait]
impl Store for Broken {
    async fn lead(&self) -> Result<Edge, StoreError> {
        self.inner.lead().await
    }

    async fn commit(
        &self,
        expected: TreeHead,
        batch: Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError> {
        let head = self.inner.head().await.unwrap();
        match self.wrong {
            Wrong::CommitsOnAnyHead if expected.size == head.size => {
                self.inner.commit(head, batch, new).await
            }
            Wrong::RefusesInsteadOfLosing if expected != head => {
                Err(CommitError::new(CommitErrorKind::Refused, "no"))
            }
            Wrong::RefusesButStores => {
                let mut edge = self.inner.lead().await.unwrap();
                batch
                    .entries
                    .iter()
                    .for_each(|one| edge.push(one.leaf_hash));
                let wrong_head = edge.head() != new;
                let stored = self.inner.commit(expected, batch, edge.head()).await;
                match wrong_head {
                    true => Err(CommitError::new(CommitErrorKind::Refused, "no")),
                    false => stored,
                }
            }
            _ => self.inner.commit(expected, batch, new).await,
        }
    }

    async fn keep_checkpoint(&self, checkpoint: &KeptCheckpoint) -> Result<(), StoreError> {
        let kept = self.inner.keep_checkpoint(checkpoint).await;
        let ahead = checkpoint.head.size > self.inner.head().await?.size;
        match self.wrong {
            Wrong::KeepsSmallerCheckpoints if !ahead => Ok(()),
            Wrong::KeepsCheckpointsAhead if ahead => Ok(()),
            Wrong::KeepsOtherRoots if !ahead && checkpoint.head.root == Hash([3; 32]) => Ok(()),
            _ => kept,
        }
    }

    async fn head(&self) -> Result<TreeHead, StoreError> {
        self.inner.head().await
    }

    async fn checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError> {
        match self.wrong {
            Wrong::ForgetsCheckpoints => Ok(None),
            _ => self.inner.checkpoint().await,
        }
    }

    async fn find(&self, ids: &[Uuid]) -> Result<Vec<Option<u64>>, StoreError> {
        let mut found = self.inner.find(ids).await?;
        match self.wrong {
            Wrong::FindsNothing => found.fill(None),
            Wrong::FindsInOrderOfIndex => found.sort_unstable(),
            _ => {}
        }
        Ok(found)
    }

    async fn records(&self, indices: &[u64]) -> Result<Vec<Stored>, StoreError> {
        let mut indices = indices.to_vec();
        match self.wrong {
            Wrong::SortsRecords => indices.sort_unstable(),
            Wrong::LeavesOutRepeatedRecords => indices.dedup(),
            Wrong::SkipsRecordsAbove => {
                let size = self.inner.head().await?.size;
                indices.retain(|index| *index < size);
            }
            _ => {}
        }
        self.inner.records(&indices).await
    }

    async fn scan(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Stored>, StoreError> {
        let size = self.inner.head().await?.size;
        match self.wrong {
            Wrong::ScansOneTooMany if range.end < size => {
                self.inner.scan(range.start..range.end + 1, max_bytes).await
            }
            Wrong::ScansNothing if max_bytes == 0 => Ok(Vec::new()),
            Wrong::ScansWithoutBound => self.inner.scan(range, usize::MAX).await,
            _ => self.inner.scan(range, max_bytes).await,
        }
    }

    async fn search(&self, query: &Query) -> Result<Page, StoreError> {
        let mut query = query.clone();
        let size = self.inner.head().await?.size;
        match self.wrong {
            Wrong::SeesBeyondTheSnapshot => query.size = size,
            Wrong::SeesEverybody => query.access.user_id = None,
            Wrong::ListsNoFailed => query.failed = Arc::default(),
            Wrong::IncludesTheKey => {
                if let Start::At(key, _) = &mut query.start {
                    key.index = key.index.wrapping_sub(1);
                }
            }
            _ => {}
        }
        let mut page = self.inner.search(&query).await?;
        let is_full = page.keys.len() == query.limit;
        match self.wrong {
            Wrong::LosesTheLastKey if is_full && query.limit > 50 => drop(page.keys.pop()),
            Wrong::CountsWhatIsSkipped => {
                if let (Some(count), Start::At(..)) = (&mut page.count, query.start) {
                    count.value -= 1;
                }
            }
            Wrong::NothingBefore => page.before = false,
            Wrong::AlwaysMore => page.after |= is_full,
            Wrong::ReversesBefore => {
                use audittrail_store::Direction::Before;
                if matches!(query.start, Start::At(_, Before)) {
                    page.keys.reverse();
                }
            }
            _ => {}
        }
        Ok(page)
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        let mut query = query.clone();
        match (self.wrong, &query.calendar) {
            (Wrong::CountsInUtc, Some(calendar)) => {
                query.calendar = Some(Calendar::new(calendar.interval(), "UTC").unwrap());
            }
            (Wrong::CountsEverybody, _) => query.access = Access::default(),
            (Wrong::BucketsWhatFailed, _) => query.failed = Arc::default(),
            (Wrong::TakesOneBucketMore, _) => query.most_buckets += 1,
            _ => {}
        }
        let mut stats = self.inner.stats(&query).await?;
        for top in &mut stats.tops {
            match self.wrong {
                Wrong::LeavesOutATie => {
                    let last = top.values.len().saturating_sub(2);
                    if let [(_, one), (_, other)] = &top.values[last..]
                        && one == other
                    {
                        top.values.swap(last, last + 1);
                    }
                }
                Wrong::ForgetsTheMissing => top.missing = 0,
                _ => {}
            }
        }
        Ok(stats)
    }

    async fn hashes(&self, level: u8, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        if self.wrong == Wrong::GivesOtherHashesAbove && level == 16 && range.end > 0 {
            return self.inner.hashes(8, range).await;
        }
        let answer = self.inner.hashes(level, range).await;
        match (self.wrong, answer) {
            (Wrong::GivesHashesThatThereAre, Err(error))
                if error.kind() == StoreErrorKind::Invalid =>
            {
                Ok(Vec::new())
            }
            (Wrong::AsksToTryAgainForNoHashes, Err(error)) => Err(StoreError::new(
                StoreErrorKind::Unavailable,
                error.to_string(),
            )),
            (_, answer) => answer,
        }
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }
}

/// Whether a store that is wrong so passes the suite.
fn passes(wrong: Wrong) -> bool {
    let suite = conformance::run(async |_| {
        let inner = MemoryStore::new();
        Arc::new(Broken { inner, wrong }) as Arc<dyn Store>
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    std::thread::scope(|scope| scope.spawn(|| runtime.block_on(suite)).join().is_ok())
}

#[test]
fn the_suite_notices_each_way_to_be_wrong() {
    // The wrapper itself is not what is noticed.
    assert!(passes(Wrong::Nothing));
    let unnoticed: Vec<Wrong> = Wrong::ALL.into_iter().filter(|one| passes(*one)).collect();
    assert_eq!(unnoticed, []);
}
