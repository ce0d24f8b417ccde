//! Roots and proofs against the oracle, for every size up to 130.

use audittrail_merkle::{
    EMPTY_ROOT, Edge, ProofError, TreeHead, consistency_proof, consistency_tiles, inclusion_proof,
    inclusion_tiles, verify_consistency, verify_inclusion,
};

use crate::oracle;
use crate::support::{data, edge, leaf_hashes, only, tiles};

/// Beyond 128, so that trees with a lone last leaf, full trees and all between them occur.
const SIZE_MAX: usize = 130;

#[test]
fn roots_are_those_of_the_oracle() {
    let data = data(SIZE_MAX);
    let mut edge = Edge::new();
    assert_eq!(edge.head(), TreeHead::EMPTY);
    assert_eq!(edge.root(), oracle::mth(&[]));
    assert_eq!(EMPTY_ROOT, oracle::mth(&[]));
    for (at, leaf) in leaf_hashes(&data).into_iter().enumerate() {
        edge.push(leaf);
        let expected = TreeHead {
            size: at as u64 + 1,
            root: oracle::mth(&data[..=at]),
        };
        assert_eq!(edge.head(), expected);
    }
}

#[test]
fn inclusion_proofs_are_those_of_the_oracle() {
    let data = data(SIZE_MAX);
    let leaves = leaf_hashes(&data);
    for size in 1..=SIZE_MAX {
        let tiles = tiles(&leaves[..size]);
        let root = oracle::mth(&data[..size]);
        for index in 0..size {
            let expected = oracle::path(index, &data[..size]);
            let (index, size) = (index as u64, size as u64);
            let needed = only(&tiles, &inclusion_tiles(index, size).unwrap());
            let proof = inclusion_proof(index, size, &needed).unwrap();
            assert_eq!(proof, expected, "index {index} of {size}");
            let leaf = &leaves[index as usize];
            assert_eq!(verify_inclusion(index, size, leaf, &proof, &root), Ok(()));
        }
    }
}

#[test]
fn consistency_proofs_are_those_of_the_oracle() {
    let data = data(SIZE_MAX);
    let leaves = leaf_hashes(&data);
    let roots: Vec<_> = (0..=SIZE_MAX)
        .map(|size| oracle::mth(&data[..size]))
        .collect();
    for to in 1..=SIZE_MAX {
        let tiles = tiles(&leaves[..to]);
        for from in 1..=to {
            let expected = oracle::proof(from, &data[..to]);
            let (old, new) = (&roots[from], &roots[to]);
            let (from, to) = (from as u64, to as u64);
            let needed = only(&tiles, &consistency_tiles(from, to).unwrap());
            let proof = consistency_proof(from, to, &needed).unwrap();
            assert_eq!(proof, expected, "from {from} to {to}");
            assert_eq!(verify_consistency(from, to, &proof, old, new), Ok(()));
        }
    }
}

#[test]
fn what_no_tree_has_is_out_of_range() {
    let leaves = leaf_hashes(&data(8));
    let (tiles, root) = (tiles(&leaves), edge(&leaves).root());
    for (index, size) in [(0, 0), (8, 8), (9, 8), (u64::MAX, 8), (u64::MAX, u64::MAX)] {
        assert_eq!(inclusion_tiles(index, size), Err(ProofError::OutOfRange));
        assert_eq!(
            inclusion_proof(index, size, &tiles),
            Err(ProofError::OutOfRange)
        );
        let verdict = verify_inclusion(index, size, &leaves[0], &[], &root);
        assert_eq!(verdict, Err(ProofError::OutOfRange));
    }
    for (from, to) in [(0, 0), (0, 8), (9, 8), (u64::MAX, 8), (u64::MAX, 0)] {
        assert_eq!(consistency_tiles(from, to), Err(ProofError::OutOfRange));
        assert_eq!(
            consistency_proof(from, to, &tiles),
            Err(ProofError::OutOfRange)
        );
        let verdict = verify_consistency(from, to, &[], &root, &root);
        assert_eq!(verdict, Err(ProofError::OutOfRange));
    }
}

#[test]
fn every_tile_announced_is_needed() {
    let size = 70_000;
    let leaves = leaf_hashes(&data(size));
    let tiles = tiles(&leaves);
    let size = size as u64;
    let mut missed = 0;
    for at in [1, 255, 256, 257, 65_535, 65_536, 65_537, size - 1] {
        let ids = inclusion_tiles(at, size).unwrap();
        for id in &ids {
            let mut without = only(&tiles, &ids);
            without.remove(id);
            assert_eq!(
                inclusion_proof(at, size, &without),
                Err(ProofError::MissingTile(*id))
            );
            missed += 1;
        }
        let ids = consistency_tiles(at, size).unwrap();
        for id in &ids {
            let mut without = only(&tiles, &ids);
            without.remove(id);
            assert_eq!(
                consistency_proof(at, size, &without),
                Err(ProofError::MissingTile(*id))
            );
            missed += 1;
        }
    }
    assert!(missed > 16, "only {missed}");
}

#[test]
fn tile_that_is_too_short_is_refused() {
    let leaves = leaf_hashes(&data(300));
    let mut tiles = tiles(&leaves);
    let id = inclusion_tiles(299, 300).unwrap()[0];
    tiles.get_mut(&id).unwrap().truncate(10);
    assert_eq!(
        inclusion_proof(299, 300, &tiles),
        Err(ProofError::MissingTile(id))
    );
    assert_eq!(
        consistency_proof(299, 300, &tiles),
        Err(ProofError::MissingTile(id))
    );
}
