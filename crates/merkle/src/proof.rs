//! Inclusion and consistency proofs, RFC 6962 sections 2.1.1 and 2.1.2, and their checks,
//! RFC 9162 sections 2.1.3.2 and 2.1.4.2.

use crate::tile::{range_hash, tiles_of};
use crate::{Hash, TileId, Tiles, node_hash};

/// Why there is no proof, or why one does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index or the sizes are not those of a tree.
    #[error("the index or size is out of range")]
    OutOfRange,
    /// A tile that is needed is not there, or has too few hashes.
    #[error("{} is missing or too short", .0.path())]
    MissingTile(TileId),
    /// The number of hashes does not fit the index and sizes.
    #[error("the proof has the wrong length")]
    Length,
    /// The hashes do not give the root.
    #[error("the proof does not give the root")]
    Root,
}

/// The largest power of two strictly below `n`, for `n` above 1.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The ranges of leaves whose hashes make PATH(index, D[0:size]), from the leaf upwards.
fn inclusion_ranges(index: u64, size: u64) -> Result<Vec<(u64, u64)>, ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    let (mut start, mut end) = (0, size);
    let mut ranges = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            ranges.push((middle, end));
            end = middle;
        } else {
            ranges.push((start, middle));
            start = middle;
        }
    }
    ranges.reverse();
    Ok(ranges)
}

/// The ranges of leaves whose hashes make PROOF(from, D[0:to]).
fn consistency_ranges(from: u64, to: u64) -> Result<Vec<(u64, u64)>, ProofError> {
    if from == 0 || from > to {
        return Err(ProofError::OutOfRange);
    }
    let (mut start, mut end) = (0, to);
    let mut ranges = Vec::new();
    while from != end {
        let middle = start + split(end - start);
        if from <= middle {
            ranges.push((middle, end));
            end = middle;
        } else {
            ranges.push((start, middle));
            start = middle;
        }
    }
    // The verifier has the old root: it is left out where it is a subtree as a whole.
    if start > 0 {
        ranges.push((start, end));
    }
    ranges.reverse();
    Ok(ranges)
}

fn build(ranges: Vec<(u64, u64)>, size: u64, tiles: &dyn Tiles) -> Result<Vec<Hash>, ProofError> {
    ranges
        .into_iter()
        .map(|(start, end)| range_hash(start, end, size, tiles))
        .collect()
}

/// The tiles that [`inclusion_proof`] needs.
///
/// # Errors
/// If `index` is not below `size`.
pub fn inclusion_tiles(index: u64, size: u64) -> Result<Vec<TileId>, ProofError> {
    Ok(tiles_of(&inclusion_ranges(index, size)?, size))
}

/// The hashes that prove a leaf's place, from the leaf towards the root.
///
/// # Errors
/// If `index` is not below `size`, or a tile is missing or too short.
pub fn inclusion_proof(index: u64, size: u64, tiles: &dyn Tiles) -> Result<Vec<Hash>, ProofError> {
    build(inclusion_ranges(index, size)?, size, tiles)
}

/// The tiles that [`consistency_proof`] needs.
///
/// # Errors
/// If not 0 < `from` ≤ `to`.
pub fn consistency_tiles(from: u64, to: u64) -> Result<Vec<TileId>, ProofError> {
    Ok(tiles_of(&consistency_ranges(from, to)?, to))
}

/// The hashes that prove that the tree of size `to` extends the one of size `from`.
///
/// # Errors
/// If not 0 < `from` ≤ `to`, or a tile is missing or too short.
pub fn consistency_proof(from: u64, to: u64, tiles: &dyn Tiles) -> Result<Vec<Hash>, ProofError> {
    build(consistency_ranges(from, to)?, to, tiles)
}

/// Checks an inclusion proof.
///
/// # Errors
/// If it does not prove that the leaf with that hash has that index under that root.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == *root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Checks a consistency proof. Size 0 is refused: every tree extends the empty one, and a
/// protocol that allows it says so itself.
///
/// # Errors
/// If it does not prove that the tree with the second root extends the one with the first.
pub fn verify_consistency(
    from: u64,
    to: u64,
    proof: &[Hash],
    from_root: &Hash,
    to_root: &Hash,
) -> Result<(), ProofError> {
    if from == 0 || from > to {
        return Err(ProofError::OutOfRange);
    }
    if from == to {
        return match (proof.is_empty(), from_root == to_root) {
            (false, _) => Err(ProofError::Length),
            (true, false) => Err(ProofError::Root),
            (true, true) => Ok(()),
        };
    }
    let (first, rest) = match proof.split_first() {
        None => return Err(ProofError::Length),
        Some(_) if from.is_power_of_two() => (from_root, proof),
        Some((first, rest)) => (first, rest),
    };
    let (mut node, mut last) = (from - 1, to - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let (mut old, mut new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new = node_hash(&new, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if old == *from_root && new == *to_root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}
