//! A seed is one run.

use std::collections::BTreeSet;

use audittrail_simulation::Planted;

use crate::support::{first, run};

#[test]
fn a_seed_replays_exactly() {
    let differing = first(0..40, Planted::Nothing, |seed, first| {
        run(seed, Planted::Nothing) != *first
    });
    assert_eq!(differing, None);
}

#[test]
fn a_seed_that_fails_replays_exactly() {
    let failed = first(0..100, Planted::DroppedSync, |_, run| {
        run.violation.is_some()
    });
    let (seed, first) = failed.unwrap();
    assert_eq!(run(seed, Planted::DroppedSync), first);
}

#[test]
fn no_two_seeds_do_the_same() {
    let traces: BTreeSet<[u8; 32]> = (0..30)
        .map(|seed| run(seed, Planted::Nothing).trace)
        .collect();
    assert_eq!(traces.len(), 30);
}
