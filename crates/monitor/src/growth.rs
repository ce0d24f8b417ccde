//! Whether a later tree extends an earlier one, told from the later tree's tiles.
//!
//! A consistency proof of RFC 6962 that fails says only that it fails: a tile that was damaged on
//! its way fails just so. The path of the earlier tree's last leaf in the later tree tells the two
//! apart. It leads to the later root, or the tiles are not that tree's. If it does, its left
//! siblings are the earlier tree's right edge as the later tree has it: another root than the
//! earlier one is then proven to be another history, by hashes that the log signed.

use audittrail_merkle::{
    Hash, ProofError, TILE_WIDTH, TileId, Tiles, TreeHead, consistency_proof, consistency_tiles,
    inclusion_proof, inclusion_tiles, node_hash, verify_consistency, verify_inclusion,
};

/// What the hashes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The later tree begins with the earlier one.
    Extends,
    /// The later tree begins with another tree of that size. This is proven.
    Fork,
    /// The hashes are not those of the later tree: they prove nothing.
    OtherTree,
}

/// The hashes that tell whether the tree of `to` leaves begins with a tree of `from` leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// The size of the earlier tree, not 0.
    pub from: u64,
    /// The size of the later tree, larger.
    pub to: u64,
    /// The hash of leaf `from` − 1 in the later tree.
    pub leaf: Hash,
    /// Its inclusion proof in the later tree.
    pub path: Vec<Hash>,
    /// The consistency proof between the two sizes, RFC 6962 section 2.1.2.
    pub consistency: Vec<Hash>,
}

/// The tile of leaf hashes that has leaf `index` in a tree of `size` leaves.
fn leaf_tile(index: u64, size: u64) -> TileId {
    let tile = index / TILE_WIDTH;
    // At most 256.
    let width = (size - tile * TILE_WIDTH).min(TILE_WIDTH) as u16;
    TileId {
        level: 0,
        index: tile,
        width,
    }
}

/// The tiles that [`Growth::from_tiles`] needs: three for each level of tiles at the most.
///
/// # Errors
/// If not 0 < `from` < `to`.
pub fn growth_tiles(from: u64, to: u64) -> Result<Vec<TileId>, ProofError> {
    if from == 0 || from >= to {
        return Err(ProofError::OutOfRange);
    }
    let mut ids = inclusion_tiles(from - 1, to)?;
    ids.extend(consistency_tiles(from, to)?);
    ids.push(leaf_tile(from - 1, to));
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

impl Growth {
    /// Takes the hashes from the later tree's tiles.
    ///
    /// # Errors
    /// If not 0 < `from` < `to`, or a tile is missing or too short.
    pub fn from_tiles(from: u64, to: u64, tiles: &dyn Tiles) -> Result<Self, ProofError> {
        if from == 0 || from >= to {
            return Err(ProofError::OutOfRange);
        }
        let index = from - 1;
        let id = leaf_tile(index, to);
        let place = (index % TILE_WIDTH) as usize;
        let leaf = tiles.tile(id).and_then(|hashes| hashes.get(place));
        Ok(Self {
            from,
            to,
            leaf: *leaf.ok_or(ProofError::MissingTile(id))?,
            path: inclusion_proof(index, to, tiles)?,
            consistency: consistency_proof(from, to, tiles)?,
        })
    }

    /// The root over the first `from` leaves, as the later tree has them.
    pub fn earlier_root(&self) -> Hash {
        let (mut node, mut last) = (self.from - 1, self.to - 1);
        let mut hash = self.leaf;
        // RFC 9162, section 2.1.3.2, with the siblings on the left alone.
        for sibling in &self.path {
            if node & 1 == 1 || node == last {
                hash = node_hash(sibling, &hash);
                while node & 1 == 0 && node != 0 {
                    (node, last) = (node >> 1, last >> 1);
                }
            }
            (node, last) = (node >> 1, last >> 1);
        }
        hash
    }

    /// Judges the two heads by these hashes. Heads of other sizes are [`Verdict::OtherTree`].
    pub fn judge(&self, earlier: &TreeHead, later: &TreeHead) -> Verdict {
        let (from, to) = (self.from, self.to);
        if (earlier.size, later.size) != (from, to) || from == 0 {
            return Verdict::OtherTree;
        }
        if verify_inclusion(from - 1, to, &self.leaf, &self.path, &later.root).is_err() {
            return Verdict::OtherTree;
        }
        if self.earlier_root() != earlier.root {
            return Verdict::Fork;
        }
        match verify_consistency(from, to, &self.consistency, &earlier.root, &later.root) {
            Ok(()) => Verdict::Extends,
            Err(_) => Verdict::OtherTree,
        }
    }
}
