//! The budgets of the embedded store, measured one after the other.

mod limits;
mod reading;
mod writing;

pub(crate) use reading::{go_through, percentile, write_once};
pub(crate) use writing::followed;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::load::{Pace, Plan};
use crate::{BenchError, Entries, Kind, Row, Verdict};

/// How much is measured. The budgets name the sizes of [`Sizes::full`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Small entries in the log that is read, written by sustained ingest.
    pub entries: u64,
    /// Real events of sustained ingest.
    pub real_entries: u64,
    /// How long a burst is, and each of the limits.
    pub burst_seconds: u64,
    /// How long single entries are sent without a pause.
    pub sustained_seconds: u64,
    /// How many pages are gone through by cursor.
    pub pages: u64,
}

impl Sizes {
    /// What the budgets name.
    pub const fn full() -> Self {
        Self {
            entries: 10_000_000,
            real_entries: 1_000_000,
            burst_seconds: 5,
            sustained_seconds: 60,
            pages: 10_000,
        }
    }
}

/// A run of all budgets.
#[derive(Debug, Clone)]
pub struct Budgets {
    /// The server's binary.
    pub binary: PathBuf,
    /// Where directories for the servers' data are made.
    pub within: PathBuf,
    /// How much is measured.
    pub sizes: Sizes,
    /// What entries are made from.
    pub seed: u64,
    /// Real events, instead of made-up ones.
    pub real: Option<Entries>,
}

/// The budgets that the embedded store has no part in, or that need what is not measured here.
fn left_out() -> Vec<Row> {
    vec![
        Row::not_measured(
            "offline verification of evidence",
            "≥ 300 k entries/s a core",
            "the load is sent by HTTP alone",
        ),
        Row::not_measured(
            "Redis and MongoDB, end to end",
            "≥ 80 % of one task's insertMany",
            "the embedded store alone",
        ),
    ]
}

impl Budgets {
    /// Measures each budget that the embedded store can meet.
    ///
    /// # Errors
    /// If a server cannot be started, or answers with an error while it is measured.
    pub async fn run(&self, progress: &dyn Fn(&str)) -> Result<Vec<Row>, BenchError> {
        progress("the limits of this machine");
        let limits = limits::Measured::of(self).await?;
        let mut rows = writing::single(self, &limits, progress).await?;
        rows.extend(writing::real(self, &limits, progress).await?);
        rows.extend(reading::rows(self, progress).await?);
        rows.extend(left_out());
        Ok(rows)
    }

    /// Whether any budget was missed.
    pub fn missed(rows: &[Row]) -> bool {
        rows.iter().any(|row| row.verdict == Verdict::Missed)
    }

    fn small(&self) -> Entries {
        Entries::Made {
            kind: Kind::Small,
            seed: self.seed,
        }
    }

    fn real(&self) -> Entries {
        self.real.clone().unwrap_or(Entries::Made {
            kind: Kind::Real,
            seed: self.seed,
        })
    }

    fn within(&self) -> &Path {
        &self.within
    }

    /// A burst over so many connections.
    fn burst(&self, connections: usize) -> Plan {
        Plan {
            connections,
            pace: Pace::Answered,
            warm_up: Duration::from_secs(1),
            duration: Duration::from_secs(self.sizes.burst_seconds),
        }
    }
}
