//! Where this process takes time, randomness and threads from: the only place that does.

use std::time::{SystemTime, UNIX_EPOCH};

use audittrail_entry::{Clock, Random, Timestamp};
use audittrail_store_embedded::Offload;
use rand::Rng as _;

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the Clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// The random numbers of this machine: a generator in each thread, seeded by the kernel.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "this is the Random")]
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// Runs jobs on the runtime's blocking threads.
#[derive(Debug, Clone)]
pub(crate) struct BlockingThreads(pub(crate) tokio::runtime::Handle);

impl Offload for BlockingThreads {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        drop(self.0.spawn_blocking(job));
    }
}
