//! How many requests' entries are made ready at once. Without a bound each of thousands of requests
//! gets a little further, all hold what they have made so far, and none is answered for long: health
//! is asked in vain, too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

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
    pub(crate) async fn take(&self, body_bytes: usize) -> Result<Option<SemaphorePermit<'_>>, Problem> {
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

/// What is said where nothing more can wait.
pub(crate) fn too_much() -> Problem {
    let detail = "More is waiting than can be taken; nothing of this was stored. Send it again.";
    Problem::new(Slug::IntakeFull, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

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
