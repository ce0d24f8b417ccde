//! Bundles against the hashes of their leaves.

use audittrail_merkle::{BundleId, Hash, leaf_hash};
use audittrail_monitor::{BundleError, check_bundle, first_entries};

fn entries() -> Vec<Vec<u8>> {
    vec![b"one".to_vec(), vec![], vec![7; 65_535], b"four".to_vec()]
}

fn bundle(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(u16::try_from(entry.len()).unwrap().to_be_bytes());
        bytes.extend(entry);
    }
    bytes
}

const ID: BundleId = BundleId { index: 2, width: 4 };

fn hashes() -> Vec<Hash> {
    entries().iter().map(|entry| leaf_hash(entry)).collect()
}

#[test]
fn the_entries_of_the_tree_and_no_others() {
    let bytes = bundle(&entries());
    assert_eq!(check_bundle(ID, &bytes, &hashes()), Ok(()));
    // Every byte counts.
    for at in [0, 1, 2, 5, 6, 7, 9, 40_000, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(check_bundle(ID, &changed, &hashes()).is_err(), "{at}");
    }
    let cut = |length: usize| check_bundle(ID, &bytes[..length], &hashes());
    assert_eq!(cut(0), Err(BundleError::Cut(512)));
    assert_eq!(cut(1), Err(BundleError::Cut(512)));
    assert_eq!(cut(4), Err(BundleError::Cut(512)));
    assert_eq!(cut(bytes.len() - 1), Err(BundleError::Cut(515)));
    let mut long = bytes.clone();
    long.push(0);
    assert_eq!(
        check_bundle(ID, &long, &hashes()),
        Err(BundleError::Long(515))
    );
    let mut swapped = entries();
    swapped.swap(0, 3);
    assert_eq!(
        check_bundle(ID, &bundle(&swapped), &hashes()),
        Err(BundleError::Entry(512))
    );
    swapped = entries();
    swapped[2][9] = 0;
    assert_eq!(
        check_bundle(ID, &bundle(&swapped), &hashes()),
        Err(BundleError::Entry(514))
    );
}

#[test]
fn hashes_of_another_bundle() {
    let bytes = bundle(&entries());
    assert_eq!(
        check_bundle(ID, &bytes, &hashes()[..3]),
        Err(BundleError::Place)
    );
    let nowhere = BundleId {
        index: u64::MAX,
        width: 4,
    };
    assert_eq!(
        check_bundle(nowhere, &bytes, &hashes()),
        Err(BundleError::Place)
    );
}

#[test]
fn the_first_entries_of_a_bundle() {
    let bytes = bundle(&entries());
    for width in 0..=4 {
        let part = first_entries(&bytes, width).unwrap();
        assert_eq!(part, bundle(&entries()[..usize::from(width)]));
    }
    assert_eq!(first_entries(&bytes, 5), None);
    assert_eq!(first_entries(&bytes[..bytes.len() - 1], 4), None);
}
