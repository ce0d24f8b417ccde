//! The time that the server sees: the simulation's, and what somebody set it to.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use audittrail_entry::{Clock, Timestamp};
use tokio::time::Instant;

/// 2026-01-01T00:00:00Z.
pub(crate) const EPOCH_NANOS: i64 = 1_767_225_600_000_000_000;

/// A clock that can be set; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct SetClock {
    begun: Instant,
    shift: Arc<AtomicI64>,
}

impl SetClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the Clock, of paused time"
    )]
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            shift: Arc::new(AtomicI64::new(EPOCH_NANOS)),
        }
    }

    /// Sets it forward, or back.
    pub(crate) fn step(&self, nanos: i64) {
        self.shift.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
        Timestamp::from_nanos(self.shift.load(Ordering::SeqCst).saturating_add(passed))
    }
}
