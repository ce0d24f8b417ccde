//! The limits that budgets are ratios to.

use std::time::Duration;

use super::Budgets;
use super::writing::{CONNECTIONS, REAL_BATCH, SMALL_BATCH};
use crate::{BenchError, Figures, Limits, empty_handler, synced_appends};

/// What this machine allows.
pub(super) struct Measured {
    /// Single entries to a handler that does nothing.
    pub(super) empty: Figures,
    /// A batch of small entries.
    pub(super) small: Limits,
    /// A batch of real events.
    pub(super) real: Limits,
}

impl Measured {
    /// One small entry, appended and synced: measured right beside what is compared with it, as
    /// a disk is not always as fast.
    pub(super) fn one(budgets: &Budgets) -> Result<Limits, BenchError> {
        let duration = Duration::from_secs(budgets.sizes.burst_seconds).div_f64(2.0);
        synced_appends(budgets.within(), &budgets.small().batch(0, 1), duration)
    }

    pub(super) async fn of(budgets: &Budgets) -> Result<Self, BenchError> {
        let empty = empty_handler(budgets.burst(CONNECTIONS), &budgets.small()).await?;
        let duration = Duration::from_secs(budgets.sizes.burst_seconds).div_f64(2.0);
        let appends = |bytes: Vec<u8>| synced_appends(budgets.within(), &bytes, duration);
        Ok(Self {
            empty,
            small: appends(budgets.small().batch(0, SMALL_BATCH))?,
            real: appends(budgets.real().batch(0, REAL_BATCH))?,
        })
    }
}
