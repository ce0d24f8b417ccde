//! A million leaves, and sizes that no memory holds.

use std::collections::BTreeMap;

use audittrail_merkle::{
    Edge, Hash, TileId, Tiles, consistency_proof, edge_from_tiles, inclusion_proof, leaf_hash,
    verify_consistency, verify_inclusion,
};
use sha2::{Digest as _, Sha256};

use crate::verifier::{consistency_roots, inclusion_root};

const MILLION: u64 = 1_000_000;

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left.0);
    hasher.update(right.0);
    Hash(hasher.finalize().into())
}

/// All rows of the tree, built row by row: pairs are hashed, a last one without a sibling goes
/// up as it is. It gives the RFC's tree, by another way than the crate's.
fn rows(leaves: Vec<Hash>) -> Vec<Vec<Hash>> {
    let mut rows = vec![leaves];
    while let Some(row) = rows.last().filter(|row| row.len() > 1) {
        let next = row
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => node(left, right),
                _ => pair[0],
            })
            .collect();
        rows.push(next);
    }
    rows
}

/// The siblings on the way up.
fn path(rows: &[Vec<Hash>], index: u64) -> Vec<Hash> {
    let sibling =
        |(height, row): (usize, &Vec<Hash>)| row.get((index as usize >> height) ^ 1).copied();
    rows.iter().enumerate().filter_map(sibling).collect()
}

#[test]
fn a_million_leaves() {
    let mut edge = Edge::new();
    let mut tiles: BTreeMap<TileId, Vec<Hash>> = BTreeMap::new();
    let mut stored: Vec<Vec<Hash>> = vec![Vec::new(); 3];
    let mut heads = BTreeMap::new();
    for index in 0..MILLION {
        edge.push_with(leaf(index), |height, _, hash| {
            if height % 8 == 0 {
                stored[usize::from(height / 8)].push(hash);
            }
        });
        heads.insert(edge.size(), edge.root());
    }
    for (level, row) in (0..).zip(&stored) {
        for (index, hashes) in (0..).zip(row.chunks(256)) {
            let id = TileId {
                level,
                index,
                width: hashes.len() as u16,
            };
            tiles.insert(id, hashes.to_vec());
        }
    }

    let rows = rows((0..MILLION).map(leaf).collect());
    let root = rows.last().unwrap()[0];
    assert_eq!(edge.root(), root);
    assert_eq!(edge_from_tiles(MILLION, &tiles).as_ref(), Ok(&edge));

    for index in [
        0, 1, 255, 256, 65_535, 65_536, 524_287, 524_288, 777_777, 999_998, 999_999,
    ] {
        let proof = inclusion_proof(index, MILLION, &tiles).unwrap();
        assert_eq!(proof, path(&rows, index), "index {index}");
        assert_eq!(
            verify_inclusion(index, MILLION, &leaf(index), &proof, &root),
            Ok(())
        );
        let before = leaf(index.wrapping_sub(1));
        assert!(verify_inclusion(index, MILLION, &before, &proof, &root).is_err());
    }
    for from in [
        1, 2, 255, 256, 257, 65_536, 500_000, 524_288, 524_289, 999_999, MILLION,
    ] {
        let old = &heads[&from];
        let proof = consistency_proof(from, MILLION, &tiles).unwrap();
        assert_eq!(
            consistency_roots(from, MILLION, old, &proof),
            Some((*old, root))
        );
        assert_eq!(
            verify_consistency(from, MILLION, &proof, old, &root),
            Ok(())
        );
        let older = heads.get(&(from - 1)).unwrap_or(&root);
        let verdict = verify_consistency(from, MILLION, &proof, older, &root);
        assert!(verdict.is_err(), "from {from}");
    }
}

/// A log whose leaves are all the same: a full subtree's hash then follows from its height, so
/// a tree of any size fits in memory.
struct Uniform {
    size: u64,
    rows: Vec<Vec<Hash>>,
}

impl Uniform {
    fn new(size: u64) -> Self {
        let mut heights = vec![leaf(0)];
        for _ in 0..63 {
            let last = heights.last().unwrap();
            heights.push(node(last, last));
        }
        let rows = heights
            .iter()
            .step_by(8)
            .map(|hash| vec![*hash; 256])
            .collect();
        Self { size, rows }
    }

    /// MTH of `size` leaves.
    fn root(size: u64) -> Hash {
        if size == 1 {
            return leaf(0);
        }
        let split = split(size);
        node(&Self::root_of_full(split), &Self::root(size - split))
    }

    fn root_of_full(size: u64) -> Hash {
        (0..size.ilog2()).fold(leaf(0), |hash, _| node(&hash, &hash))
    }
}

/// The largest power of two below a number above 1; twice as much might not fit.
fn split(size: u64) -> u64 {
    if size.is_power_of_two() {
        size / 2
    } else {
        1 << size.ilog2()
    }
}

impl Tiles for Uniform {
    /// Only tiles that a log of that size has, in the width that it has them.
    fn tile(&self, id: TileId) -> Option<&[Hash]> {
        let count = self.size >> (8 * u32::from(id.level));
        let left = count.checked_sub(id.index.checked_mul(256)?)?;
        let legal = left > 0 && u64::from(id.width) == left.min(256);
        let row = &self.rows[usize::from(id.level)];
        legal.then(|| &row[..usize::from(id.width)])
    }
}

#[test]
fn sizes_up_to_the_largest() {
    let sizes = [
        1,
        257,
        MILLION,
        (1 << 32) - 1,
        1 << 32,
        (1 << 40) + 12_345,
        (1 << 56) + 1,
        (1 << 63) - 1,
        1 << 63,
        (1 << 63) + 1,
        u64::MAX - 1,
        u64::MAX,
    ];
    for size in sizes {
        let log = Uniform::new(size);
        let root = Uniform::root(size);
        let edge = edge_from_tiles(size, &log).unwrap();
        assert_eq!((edge.size(), edge.root()), (size, root));
        for index in [0, 1, size / 3, size / 2, size - 2.min(size), size - 1] {
            if index >= size {
                continue;
            }
            let proof = inclusion_proof(index, size, &log).unwrap();
            assert_eq!(
                inclusion_root_of_any(index, size, &proof),
                root,
                "{index} of {size}"
            );
            assert_eq!(
                verify_inclusion(index, size, &leaf(0), &proof, &root),
                Ok(())
            );
        }
        for from in sizes.into_iter().filter(|from| *from <= size) {
            let old = Uniform::root(from);
            let proof = consistency_proof(from, size, &log).unwrap();
            assert_eq!(verify_consistency(from, size, &proof, &old, &root), Ok(()));
            assert_eq!(proof.is_empty(), from == size);
        }
    }
}

/// The recursion of the other verifier, whose split point would not fit above 2^63.
fn inclusion_root_of_any(index: u64, size: u64, proof: &[Hash]) -> Hash {
    if size <= 1 << 62 {
        return inclusion_root(index, size, &leaf(0), proof).unwrap();
    }
    let split = split(size);
    let (top, below) = proof.split_last().unwrap();
    if index < split {
        node(&inclusion_root_of_any(index, split, below), top)
    } else {
        node(
            top,
            &inclusion_root_of_any(index - split, size - split, below),
        )
    }
}
