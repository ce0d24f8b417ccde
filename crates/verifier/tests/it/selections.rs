//! Whatever is selected, of whatever tree, verifies, and nothing else does.

use audittrail_verifier::{Check, Header, Parts, Trust, Verifier};
use proptest::prelude::*;

use crate::support::{Log, check, check_with, found, trust, vkey};

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_selection_of_any_log(
        size in 1_usize..400,
        chosen in proptest::collection::vec(any::<prop::sample::Index>(), 0..60),
        withheld in any::<bool>(),
        failed in any::<prop::sample::Index>(),
    ) {
        let mut log = Log::new(size);
        let mut indices: Vec<u64> = chosen.iter().map(|one| one.index(size) as u64).collect();
        indices.sort_unstable();
        indices.dedup();
        let header = Header { withheld, ..log.header() };
        let count = indices.len() as u64;
        let report = check(log.evidence(&header, &indices).as_bytes());
        prop_assert_eq!(found(&report), vec![]);
        prop_assert!(report.whole && report.verified() && report.complete.is_none());
        prop_assert_eq!(report.entries, count);
        let shown = (report.proven, report.withheld, report.erased, report.failed);
        prop_assert_eq!(shown, if withheld { (0, count, 0, 0) } else { (count, 0, 0, 0) });
        prop_assert_eq!(report.indices, indices.first().copied().zip(indices.last().copied()));
        // One that the server could not verify takes nothing from the others.
        if let Some(at) = indices.get(failed.index(indices.len().max(1))) {
            log.entries[usize::try_from(*at).unwrap()].failed = Some("the signature does not hold");
            let report = check(log.evidence(&header, &indices).as_bytes());
            prop_assert_eq!(found(&report), vec![(Some(*at), Check::Server)]);
            prop_assert_eq!(report.failed, 1);
            prop_assert_eq!(report.proven + report.withheld, count - 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// However parts are checked, the report is the same.
    #[test]
    fn the_order_in_which_parts_are_checked_does_not_matter(
        changed in proptest::collection::vec(0_usize..2_600, 0..9),
        order in any::<u64>(),
    ) {
        let file = long();
        let mut lines: Vec<String> = file.split_inclusive('\n').map(str::to_owned).collect();
        for line in changed {
            lines[line] = lines[line].replacen('0', "1", 2);
        }
        let file = lines.concat();
        let whole = check(file.as_bytes());

        let mut parts = Parts::new(file.as_bytes());
        let Ok((verifier, mut tally)) = Verifier::begin(&parts.header().unwrap(), trust()) else {
            return Ok(());
        };
        let mut waiting = Vec::new();
        while let Some(part) = parts.next_part().unwrap() {
            waiting.push(part);
        }
        prop_assert_eq!(waiting.len(), 3);
        waiting.rotate_left(usize::try_from(order % 3).unwrap());
        let mut checked: Vec<_> = waiting.iter().map(|part| verifier.check(part)).collect();
        checked.rotate_right(usize::try_from(order % 3).unwrap());
        checked.into_iter().for_each(|part| tally.take(part));
        prop_assert_eq!(tally.finish(), whole);
    }
}

fn long() -> String {
    static FILE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    FILE.get_or_init(|| Log::new(2_700).range(50, 2_649))
        .clone()
}

/// Every thousandth proof is whole: what is before it is not needed.
#[test]
fn a_failure_ends_with_the_next_whole_proof() {
    let file = long();
    let mut lines: Vec<&str> = file.split_inclusive('\n').collect();
    // The first line of the second thousand, and with it the one that its proof rests on.
    let broken = lines[1_001].replacen("door.open", "door.shut", 1);
    lines[1_001] = &broken;
    let report = check(lines.concat().as_bytes());
    // Its proof is what the others of this thousand build on.
    assert_eq!(found(&report)[0], (Some(1_050), Check::Inclusion));
    assert!(
        report
            .findings
            .iter()
            .all(|one| one.index < Some(2_050) || one.index.is_none())
    );
    assert_eq!(report.proven, 1_600);
    assert_eq!(report.proven + report.failed, 2_600);
    assert_eq!(check(long().as_bytes()).complete, Some((50, 2_649)));
}

/// Lines so long that a part ends before a whole proof is due.
#[test]
fn long_lines_are_checked_in_smaller_parts() {
    let mut log = Log::new(3);
    let filler = "\\\"".repeat(300_000);
    for _ in 0..9 {
        log.push(
            "big",
            &format!(r#"{{"details":{{"t":"{filler}"}},"submitted_by":{{"sub":"t"}}}}"#),
        );
    }
    let file = log.range(0, 11);
    let mut parts = Parts::new(file.as_bytes());
    parts.header().unwrap();
    let mut count = 0;
    while parts.next_part().unwrap().is_some() {
        count += 1;
    }
    assert!(count > 2, "{count}");
    let report = check(file.as_bytes());
    assert_eq!((found(&report), report.proven), (vec![], 12));
}

#[test]
fn without_the_signing_key_signatures_do_not_count() {
    let mut log = Log::new(9);
    for entry in &mut log.entries {
        entry.signature[31] ^= 1;
    }
    let file = log.range(0, 8);
    let alone = Trust {
        keys: vec![vkey()],
        signing: None,
        policy: None,
    };
    let report = check_with(file.as_bytes(), alone);
    assert_eq!(found(&report), vec![]);
    assert!(!report.signatures_checked);
    let report = check(file.as_bytes());
    assert!(report.signatures_checked);
    assert_eq!(report.failed, 9);
    assert!(
        report
            .findings
            .iter()
            .all(|one| one.check == Check::Signature)
    );
}
