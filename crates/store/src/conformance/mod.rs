//! The suite that every store passes.
//!
//! Each property is a function that takes an empty store and panics, saying what is broken,
//! if the store does not keep the contract of [`Store`]. [`run`] goes through all of them.
//! [`Log`] is the model that they compare with; a test of one store can also fill a log,
//! open the store anew, and check it again.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "it is test code: a property ends where the store is not as it should be"
)]

mod concurrent;
mod generate;
mod log;
mod queries;
mod reading;
mod searches;
mod searching;
mod stats;
mod vocabulary;
mod writing;

use std::sync::Arc;

pub use concurrent::readers_beside_a_committer;
pub use generate::{Generator, Numbers, ORIGIN, START, signing_key};
pub use log::{Log, signer};
pub use queries::{ORDERS, check_page, entries_of, query, whole, whole_of};
pub use reading::{
    every_level_of_a_large_tree, finding, hashes_out_of_bounds, records_as_asked, scanning,
};
pub use searches::{Topic, both, question};
pub use searching::{
    access_is_a_wall, arbitrary_starts, pages_forwards_and_backwards, pages_of_a_log_that_grows,
    what_entries_hold,
};
pub use stats::{ZONES, check_stats, statistics, stats_of, stats_query, strange_time};
pub use writing::{
    an_empty_log, batches_that_lead_nowhere, checkpoints_only_grow, commits_are_visible_at_once,
    one_of_two_leaders_loses,
};

use crate::Store;

/// So many entries have the largest log of the suite, or a few more.
pub const LARGE: usize = 100_000;

/// Every property, each on a new empty store of `make`, which is told about how many entries
/// the property commits: few thousand, or [`LARGE`].
///
/// Call it on a runtime of several threads: one property reads from many of them.
pub async fn run<F, Fut>(make: F)
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Arc<dyn Store>>,
{
    run_share(0, 1, make).await;
}

/// One of `of` shares of the properties, counted from 0: what several tests, side by side, run
/// of the suite where a store mostly waits. All shares together are [`run`].
pub async fn run_share<F, Fut>(share: usize, of: usize, make: F)
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Arc<dyn Store>>,
{
    assert!(share < of, "there is no share {share} of {of}");
    let mut turns = (0..of).cycle();
    macro_rules! each {
        ($entries:expr, $($property:ident),* $(,)?) => {
            $(
                if turns.next() == Some(share) {
                    tracing::info!(property = stringify!($property));
                    $property(make($entries).await).await;
                }
            )*
        };
    }
    each!(
        1_000,
        an_empty_log,
        commits_are_visible_at_once,
        one_of_two_leaders_loses,
        batches_that_lead_nowhere,
        checkpoints_only_grow,
        scanning,
        records_as_asked,
        finding,
        hashes_out_of_bounds,
        pages_forwards_and_backwards,
        arbitrary_starts,
        what_entries_hold,
        pages_of_a_log_that_grows,
        access_is_a_wall,
        statistics,
        readers_beside_a_committer,
    );
    each!(LARGE, every_level_of_a_large_tree);
}
