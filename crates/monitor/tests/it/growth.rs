//! Growth, forks, and tiles that say neither.

use audittrail_merkle::{Hash, TreeHead, verify_consistency};
use audittrail_monitor::{Growth, Verdict, growth_tiles};
use proptest::prelude::*;

use crate::support::{head, leaves, only, tiles};

fn growth(log: &[Hash], from: u64) -> Growth {
    let to = log.len() as u64;
    let needed = growth_tiles(from, to).unwrap();
    Growth::from_tiles(from, to, &only(&tiles(log), &needed)).unwrap()
}

/// Pairs of sizes on both sides of each corner of the tree and of its tiles.
fn sizes() -> Vec<(u64, u64)> {
    let corners = [
        1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 257, 300, 511, 512, 513, 600,
    ];
    let pairs = corners
        .iter()
        .flat_map(|from| corners.map(|to| (*from, to)));
    pairs.filter(|(from, to)| from < to).collect()
}

#[test]
fn a_log_that_grew_extends_and_its_proof_is_that_of_the_rfc() {
    for (from, to) in sizes() {
        let log = leaves(to, to);
        let (earlier, later) = (head(&log, from), head(&log, to));
        let growth = growth(&log, from);
        assert_eq!(
            growth.judge(&earlier, &later),
            Verdict::Extends,
            "{from} {to}"
        );
        assert_eq!(growth.earlier_root(), earlier.root);
        verify_consistency(from, to, &growth.consistency, &earlier.root, &later.root).unwrap();
    }
}

/// Wherever the two histories part, be it at the first entry or at the last.
#[test]
fn another_history_is_proven_to_be_one() {
    for (from, to) in sizes() {
        let one = leaves(from, from);
        let earlier = head(&one, from);
        for fork in [0, from / 2, from - 1] {
            let other = leaves(to, fork);
            let growth = growth(&other, from);
            let later = head(&other, to);
            assert_eq!(
                growth.judge(&earlier, &later),
                Verdict::Fork,
                "{from} {to} {fork}"
            );
            assert_eq!(growth.earlier_root(), head(&other, from).root);
        }
        // What comes after the earlier log is no fork.
        let other = leaves(to, from);
        assert_eq!(
            growth(&other, from).judge(&earlier, &head(&other, to)),
            Verdict::Extends
        );
    }
}

#[test]
fn large_sizes_need_few_tiles() {
    let (from, to) = ((1 << 62) - 12_345, i64::MAX as u64);
    assert!(growth_tiles(from, to).unwrap().len() <= 24);
    for (from, to) in [(0, 5), (5, 5), (6, 5), (0, 0)] {
        assert!(growth_tiles(from, to).is_err());
        assert!(Growth::from_tiles(from, to, &tiles(&leaves(5, 5))).is_err());
    }
}

#[test]
fn heads_of_other_sizes_are_not_judged() {
    let log = leaves(20, 20);
    let growth = growth(&log, 7);
    let (earlier, later) = (head(&log, 7), head(&log, 20));
    let of = |size, head: TreeHead| TreeHead { size, ..head };
    for (earlier, later) in [
        (of(6, earlier), later),
        (earlier, of(21, later)),
        (of(0, earlier), later),
    ] {
        assert_eq!(growth.judge(&earlier, &later), Verdict::OtherTree);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A hash that was changed on its way is no proof of anything, whichever it is.
    #[test]
    fn a_changed_hash_never_proves_a_fork(from in 1_u64..400, more in 1_u64..400, place: prop::sample::Index, byte in 0_usize..32) {
        let to = from + more;
        let log = leaves(to, to);
        let (earlier, later) = (head(&log, from), head(&log, to));
        let mut growth = growth(&log, from);
        let mut hashes: Vec<&mut Hash> = growth.path.iter_mut().collect();
        hashes.push(&mut growth.leaf);
        let at = place.index(hashes.len());
        hashes[at].0[byte] ^= 1;
        prop_assert_eq!(growth.judge(&earlier, &later), Verdict::OtherTree);
    }

    /// Nor is one in the tiles themselves: it proves nothing, or it was not needed.
    #[test]
    fn a_changed_tile_never_proves_a_fork(from in 1_u64..600, more in 1_u64..600, tile: prop::sample::Index, place: prop::sample::Index) {
        let to = from + more;
        let log = leaves(to, to);
        let needed = growth_tiles(from, to).unwrap();
        let mut tiles = only(&tiles(&log), &needed);
        let changed = tiles.get_mut(tile.get(&needed)).unwrap();
        let at = place.index(changed.len());
        changed[at].0[0] ^= 1;
        let growth = Growth::from_tiles(from, to, &tiles).unwrap();
        let verdict = growth.judge(&head(&log, from), &head(&log, to));
        prop_assert_ne!(verdict, Verdict::Fork);
    }

    /// A path that is too long or too short.
    #[test]
    fn another_length_is_no_proof(from in 1_u64..300, more in 1_u64..300, longer: bool) {
        let to = from + more;
        let log = leaves(to, to);
        let mut growth = growth(&log, from);
        if longer {
            growth.path.push(growth.leaf);
        } else {
            growth.path.pop();
        }
        prop_assert_eq!(growth.judge(&head(&log, from), &head(&log, to)), Verdict::OtherTree);
    }
}
