//! Hashes of subtrees from tiles, each computed once.

use std::collections::BTreeMap;

use crate::tile::subtrees;
use crate::{Hash, ProofError, TILE_WIDTH, TileId, node_hash};

const WIDTH: usize = TILE_WIDTH as usize;

/// The nodes of one tile as a heap: node `n` has the children `2n` and `2n + 1`; the tile's
/// hashes stand from 256 on.
struct Heap {
    nodes: Vec<Option<Hash>>,
}

impl Heap {
    fn node(&mut self, at: usize) -> Option<Hash> {
        let known = *self.nodes.get(at)?;
        if known.is_some() || at >= WIDTH {
            return known;
        }
        let hash = node_hash(&self.node(2 * at)?, &self.node(2 * at + 1)?);
        self.nodes[at] = Some(hash);
        Some(hash)
    }
}

/// Tiles of one tree from which the hashes of subtrees are taken, for many proofs in index
/// order: what one proof has computed the next one finds.
pub struct TileNodes {
    size: u64,
    tiles: BTreeMap<(u8, u64), Heap>,
}

impl TileNodes {
    /// For a tree of so many leaves; no tiles yet.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            tiles: BTreeMap::new(),
        }
    }

    /// The tiles that these ranges need and that are not here, each once.
    pub fn missing(&self, ranges: &[(u64, u64)]) -> Vec<TileId> {
        let mut ids = crate::tile::tiles_of(ranges, self.size);
        ids.retain(|id| !self.tiles.contains_key(&(id.level, id.index)));
        ids
    }

    /// Adds a tile.
    pub fn insert(&mut self, id: TileId, hashes: &[Hash]) {
        let mut nodes = vec![None; 2 * WIDTH];
        for (node, hash) in nodes[WIDTH..].iter_mut().zip(hashes) {
            *node = Some(*hash);
        }
        self.tiles.insert((id.level, id.index), Heap { nodes });
    }

    /// Drops the tiles that end before this leaf.
    pub fn forget_before(&mut self, index: u64) {
        self.tiles.retain(|(level, tile), _| {
            let first = index.checked_shr(8 * (u32::from(*level) + 1));
            *tile >= first.unwrap_or(0)
        });
    }

    /// The Merkle tree hash of a range of leaves that a proof names.
    ///
    /// # Errors
    /// If a tile is missing or too short.
    pub fn hash(&mut self, (start, end): (u64, u64)) -> Result<Hash, ProofError> {
        let mut root: Option<Hash> = None;
        for part in subtrees(start, end).into_iter().rev() {
            let (id, range) = part.place(self.size).ok_or(ProofError::OutOfRange)?;
            // The node above 2^k hashes that begin at a multiple of 2^k.
            let at = (WIDTH + range.start) / range.len();
            let tile = self.tiles.get_mut(&(id.level, id.index));
            let left = tile.and_then(|tile| tile.node(at));
            let left = left.ok_or(ProofError::MissingTile(id))?;
            root = Some(match root {
                Some(right) => node_hash(&left, &right),
                None => left,
            });
        }
        root.ok_or(ProofError::OutOfRange)
    }
}
