//! Whether somebody still waits for the answer of a job that runs elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Held by who waits. Dropped with the future of a request that is given up.
pub(crate) struct Waiting(Arc<AtomicBool>);

/// Asked by the job.
pub(crate) struct WaitedFor(Arc<AtomicBool>);

impl Waiting {
    /// The two ends.
    pub(crate) fn new() -> (Self, WaitedFor) {
        let waits = Arc::new(AtomicBool::new(true));
        (Self(Arc::clone(&waits)), WaitedFor(waits))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl WaitedFor {
    /// Whether somebody waits.
    pub(crate) fn still(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
