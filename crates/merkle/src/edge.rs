//! The right edge of a tree: all that appending needs.

use crate::{EMPTY_ROOT, Hash, TreeHead, node_hash};

/// The roots of the full subtrees that make up a tree, the largest first: one for each bit
/// that is set in its size, so at most 64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    size: u64,
    hashes: Vec<Hash>,
}

/// Hashes that are not the right edge of a tree of that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the right edge of a tree of size {size} has {} hashes, not {given}", size.count_ones())]
pub struct EdgeError {
    size: u64,
    given: usize,
}

impl Edge {
    /// The edge of the tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// An edge that was kept.
    ///
    /// # Errors
    /// If the number of hashes is not that of the bits set in `size`.
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Result<Self, EdgeError> {
        if hashes.len() == size.count_ones() as usize {
            Ok(Self { size, hashes })
        } else {
            Err(EdgeError {
                size,
                given: hashes.len(),
            })
        }
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the full subtrees, the largest first.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        self.push_with(leaf, |_, _, _| {});
    }

    /// Appends a leaf and reports every node that it completes, upwards from the leaf itself:
    /// height above the leaves, position at that height, hash.
    pub fn push_with(&mut self, leaf: Hash, mut complete: impl FnMut(u8, u64, Hash)) {
        let index = self.size;
        let mut hash = leaf;
        complete(0, index, hash);
        // Each bit set at the end of the index is a full subtree waiting for its sibling.
        for level in 1..=index.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
                complete(level as u8, index >> level, hash);
            }
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The Merkle tree hash.
    pub fn root(&self) -> Hash {
        let smaller_first = self.hashes.iter().rev().copied();
        smaller_first
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or(EMPTY_ROOT)
    }

    /// Size and root.
    pub fn head(&self) -> TreeHead {
        TreeHead {
            size: self.size,
            root: self.root(),
        }
    }
}
