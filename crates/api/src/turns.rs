//! How many requests' entries are made ready at once. Without a bound each of thousands of requests
//! gets a little further, all hold what they have made so far, and none is answered for long: health
//! is asked in vain, too.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audittrail_queue::Depth;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use crate::problem::{Problem, Slug};

/// Bodies up to this size take no turn: they are ready before others could have one.
const SMALL: usize = 16 << 10;
/// So long a turn is waited for. Who is refused later has waited in vain.
const PATIENCE: Duration = Duration::from_secs(2);
/// Requests that have a turn: some read and some are read for, on any number of cores.
const AT_ONCE: usize = 8;

/// The turns.
pub(crate) struct Turns {
    places: Semaphore,
    /// Whether the last who waited for a turn got none.
    late: AtomicBool,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self {
            places: Semaphore::new(AT_ONCE),
            late: AtomicBool::new(false),
        }
    }

    /// Waits for a turn, which lasts until the answer is dropped; none is needed for a small body.
    pub(crate) async fn take(
        &self,
        body_bytes: usize,
    ) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        if body_bytes <= SMALL {
            return Ok(None);
        }
        let turn = tokio::time::timeout(PATIENCE, self.places.acquire()).await;
        let got = matches!(turn, Ok(Ok(_)));
        self.late.store(!got, Ordering::Relaxed);
        match turn {
            Ok(Ok(turn)) => Ok(Some(turn)),
            _ => Err(too_much()),
        }
    }

    /// Whether a request that needs a turn would be refused now.
    pub(crate) fn are_late(&self) -> bool {
        self.late.load(Ordering::Relaxed) && self.places.available_permits() == 0
    }
}

/// A commit that takes longer is late. What it waits for may be a disk or a search index that is
/// slower than others, so that no number of entries says how long it will be.
const LATE: Duration = Duration::from_secs(5);
/// With fewer entries before it a commit is not late for long: about one write of the sequencer.
const FEW: usize = 16_384;

/// What waits for its commit, and since when.
#[derive(Default)]
pub(crate) struct Commits(Mutex<Waiting>);

/// The sequencer takes what waits in order: with the outcome of one request all before it are done.
/// A client that gives up takes nothing out of the queue, so that nothing is taken out here either.
#[derive(Default)]
struct Waiting {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

impl Waiting {
    fn add(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.since.insert(number, now());
        number
    }

    fn done(&mut self, number: u64) {
        self.since = self.since.split_off(&(number + 1));
    }

    /// Since when the oldest of so many requests, all that there are, has waited.
    fn oldest(&mut self, requests: usize) -> Option<Instant> {
        while self.since.len() > requests {
            self.since.pop_first();
        }
        self.since.first_key_value().map(|(_, since)| *since)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long something has waited; a simulation pauses this time"
)]
fn now() -> Instant {
    Instant::now()
}

impl Commits {
    /// The outcome of a request that was just submitted, if it comes in a time.
    pub(crate) async fn watch<T>(
        &self,
        outcome: Pin<&mut impl Future<Output = T>>,
        longest: Duration,
    ) -> Result<T, Elapsed> {
        let number = self.waiting().add();
        let outcome = tokio::time::timeout(longest, outcome).await;
        if outcome.is_ok() {
            self.waiting().done(number);
        }
        outcome
    }

    /// Whether what is submitted now would be late: what was submitted before is.
    pub(crate) fn are_late(&self, depth: &Depth) -> bool {
        let oldest = self.waiting().oldest(depth.requests);
        depth.entries >= FEW && oldest.is_some_and(|since| since.elapsed() > LATE)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said where nothing more can wait.
pub(crate) fn too_much() -> Problem {
    let detail = "More is waiting than can be taken; nothing of this was stored. Send it again.";
    Problem::new(Slug::IntakeFull, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(requests: usize, entries: usize) -> Depth {
        Depth {
            requests,
            entries,
            bytes: 0,
            open: true,
        }
    }

    const LONGEST: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn late_commits_let_nothing_more_in_until_few_wait() {
        let commits = Commits::default();
        let watch = async |time| {
            let outcome = std::pin::pin!(tokio::time::sleep(time));
            commits.watch(outcome, LONGEST).await.is_ok()
        };
        let look = async |time| {
            tokio::time::sleep(time).await;
            let late = commits.are_late(&depth(2, FEW));
            assert!(!commits.are_late(&depth(2, FEW - 1)));
            late
        };
        let (committed, early, late) = tokio::join!(watch(LATE * 3), look(LATE), look(LATE * 2));
        assert!(committed && !early && late);
        // What waited is committed.
        assert!(!commits.are_late(&depth(2, FEW)));
        // Without an outcome it waits still, though who sent it was told that nobody knows.
        assert!(!watch(LONGEST * 2).await);
        assert!(commits.are_late(&depth(1, FEW)));
        assert!(watch(LATE / 2).await);
        assert!(!commits.are_late(&depth(1, FEW)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_whose_client_gave_up_waits_on() {
        let commits = Commits::default();
        for _ in 0..3 {
            let outcome = std::pin::pin!(std::future::pending::<()>());
            let watched = commits.watch(outcome, LONGEST);
            assert!(tokio::time::timeout(LATE / 2, watched).await.is_err());
        }
        assert!(commits.are_late(&depth(3, FEW)));
        // The first was committed since, and then all of them.
        assert!(!commits.are_late(&depth(1, FEW)));
        assert!(!commits.are_late(&depth(0, 0)));
        assert!(!commits.are_late(&depth(3, FEW)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_refused_and_health_knows() {
        let turns = Turns::new();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(turns.take(SMALL + 1).await.unwrap());
        }
        assert!(!turns.are_late());
        assert!(turns.take(SMALL).await.unwrap().is_none());
        let refused = turns.take(SMALL + 1).await.unwrap_err();
        assert_eq!(refused.slug(), Slug::IntakeFull);
        assert!(turns.are_late());
        // Nobody has a turn any more, though nobody took one since.
        held.clear();
        assert!(!turns.are_late());
        assert!(turns.take(SMALL + 1).await.unwrap().is_some());
    }
}
