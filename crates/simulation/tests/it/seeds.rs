//! The engine as it is.

use std::sync::Mutex;

use audittrail_simulation::{Counts, Planted, simulate};

use crate::support::first;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number, and not {text}")),
    )
}

/// `AUDITTRAIL_SEEDS` says how many, `make soak` asks for more; `AUDITTRAIL_SEED` runs one and
/// prints what happens.
#[test]
fn what_was_promised_holds_whatever_happens() {
    if let Some(seed) = setting("AUDITTRAIL_SEED") {
        let run = simulate(seed, Planted::Nothing, true).unwrap();
        println!("{:?}", run.counts);
        assert_eq!(run.violation, None, "seed {seed}");
        return;
    }
    let seeds = setting("AUDITTRAIL_SEEDS").unwrap_or(2_000);
    let total = Mutex::new(Counts::default());
    let failed = first(0..seeds, Planted::Nothing, |_, run| {
        total.lock().unwrap().add(&run.counts);
        run.violation.is_some()
    });
    if let Some((seed, run)) = failed {
        panic!(
            "seed {seed}: {}\nThis prints what led to it:\n  AUDITTRAIL_SEED={seed} cargo test \
             --locked -p audittrail-simulation --test it -- --nocapture what_was_promised",
            run.violation.unwrap_or_default()
        );
    }
    let total = total.into_inner().unwrap();
    println!("{seeds} seeds: {total:?}");
    if seeds < 200 {
        return;
    }
    // The seeds have to reach what they are there for.
    let of_each = |number: u64, expected: u64| number * 1_000 >= expected * seeds;
    assert!(of_each(total.acknowledged, 15_000), "{total:?}");
    assert!(
        of_each(total.retried, 5_000) && of_each(total.conflicts, 1_000),
        "{total:?}"
    );
    assert!(
        of_each(total.refused, 1_000) && of_each(total.unknown, 1_000),
        "{total:?}"
    );
    assert!(
        of_each(total.reads, 7_000) && of_each(total.proofs, 2_000),
        "{total:?}"
    );
    assert!(
        of_each(total.streams, 1_000) && of_each(total.heard, 1_000),
        "{total:?}"
    );
    assert!(
        of_each(total.crashes, 500) && of_each(total.power_cuts, 500),
        "{total:?}"
    );
    assert!(
        of_each(total.failed_starts, 100) && of_each(total.fatal_ends, 20),
        "{total:?}"
    );
    assert!(of_each(total.steps_of_index, 1_000), "{total:?}");
    assert!(of_each(total.packed, 300), "{total:?}");
}
