//! Everything random in a simulation comes from its seed: one generator, asked in an order that
//! follows from what it answered before.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audittrail_entry::Random;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

/// The generator of a simulation; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A number of the range, which is not empty.
    pub(crate) fn below(&self, range: Range<u64>) -> u64 {
        self.rng().random_range(range)
    }

    /// A place in a list that is not empty.
    pub(crate) fn place(&self, len: usize) -> usize {
        self.rng().random_range(0..len)
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.place(of.len())]
    }

    /// True so many times of a hundred.
    pub(crate) fn percent(&self, times: u32) -> bool {
        self.rng().random_range(0..100) < times
    }

    fn rng(&self) -> MutexGuard<'_, StdRng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        self.rng().fill_bytes(bytes);
    }
}
