//! How many requests' entries are made ready at once. Without a bound each of thousands of requests
//! gets a little further, all hold what they have made so far, and none is answered for long: health
//! is asked in vain, too.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audittrail_queue::Depth;
use tokio::sync::{Semaphore, SemaphorePermit};
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

/// How long commits take.
#[derive(Default)]
pub(crate) struct Commits {
    /// Whether the last one that was waited for was late.
    late: AtomicBool,
}

impl Commits {
    /// The outcome, if it comes in a time.
    pub(crate) async fn watch<T>(
        &self,
        mut outcome: Pin<&mut impl Future<Output = T>>,
        longest: Duration,
    ) -> Result<T, Elapsed> {
        let soon = tokio::time::timeout(LATE.min(longest), outcome.as_mut()).await;
        self.late.store(soon.is_err(), Ordering::Relaxed);
        match soon {
            Ok(outcome) => Ok(outcome),
            Err(_) => tokio::time::timeout(longest.saturating_sub(LATE), outcome).await,
        }
    }

    /// Whether what is submitted now would be late.
    pub(crate) fn are_late(&self, depth: &Depth) -> bool {
        self.late.load(Ordering::Relaxed) && depth.entries >= FEW
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

    #[tokio::test(start_paused = true)]
    async fn late_commits_let_nothing_more_in_until_few_wait() {
        let commits = Commits::default();
        let depth = |entries| Depth {
            requests: 1,
            entries,
            bytes: 0,
            open: true,
        };
        let after = |time| async move { tokio::time::sleep(time).await };
        let longest = Duration::from_secs(30);
        let watch = async |time| {
            let outcome = std::pin::pin!(after(time));
            commits.watch(outcome, longest).await.is_ok()
        };
        assert!(watch(LATE / 2).await);
        assert!(!commits.are_late(&depth(FEW)));
        assert!(watch(LATE * 2).await);
        assert!(commits.are_late(&depth(FEW)) && !commits.are_late(&depth(FEW - 1)));
        assert!(watch(LATE / 2).await);
        assert!(!commits.are_late(&depth(FEW)));
        assert!(!watch(longest * 2).await);
        assert!(commits.are_late(&depth(FEW)));
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
