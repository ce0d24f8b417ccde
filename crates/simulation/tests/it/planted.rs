//! The simulator finds what is wrong: each planted bug within so many seeds, by a seed that
//! finds nothing without it.

use audittrail_simulation::Planted;

use crate::support::{first, run};

const WITHIN: u64 = 300;

#[test]
fn planted_bugs_are_found() {
    for planted in Planted::ALL {
        let found = first(0..WITHIN, planted, |_, run| run.violation.is_some());
        let Some((seed, with)) = found else {
            panic!("{planted:?} is not found within {WITHIN} seeds");
        };
        let without = run(seed, Planted::Nothing);
        assert_eq!(
            without.violation, None,
            "seed {seed} fails without {planted:?}"
        );
        println!(
            "{planted:?}: seed {seed}: {}",
            with.violation.unwrap_or_default()
        );
    }
}
