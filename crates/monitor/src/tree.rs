//! The tiles of one tree, each proven below its root before it is believed.

use std::collections::BTreeMap;

use audittrail_merkle::{
    BundleId, Hash, TILE_WIDTH, TileId, TreeHead, edge_from_tiles, right_edge_tiles, tile_root,
};

/// Hashes that are not those of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The tiles at the right edge do not give the root.
    #[error("the tiles at the tree's right edge do not give the root in the checkpoint")]
    Root,
    /// A tile is not the one that the tile above it has the root of.
    #[error("{} is not the one in the tree", .0.path())]
    Tile(TileId),
    /// What proves a tile is not proven itself.
    #[error("{} cannot be checked yet", .0.path())]
    Unknown(TileId),
}

/// Tiles that are proven: those at the right edge, which the root proves together, and of each
/// level the one that was proven last. So much memory is enough to go through all tiles in order.
#[derive(Debug, Clone)]
pub struct ProvenTree {
    head: TreeHead,
    edge: BTreeMap<TileId, Vec<Hash>>,
    last: BTreeMap<u8, (TileId, Vec<Hash>)>,
}

/// The hashes in a tile as it is sent; `None` unless there are exactly so many.
pub fn tile_hashes(bytes: &[u8], width: u16) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    let exact = rest.is_empty() && hashes.len() == usize::from(width);
    exact.then(|| hashes.iter().copied().map(Hash).collect())
}

impl ProvenTree {
    /// The tiles that [`ProvenTree::new`] needs. All tiles of the tree that are not full are
    /// among them.
    pub fn edge_tiles(size: u64) -> Vec<TileId> {
        right_edge_tiles(size)
    }

    /// The tree of a head, of which the tiles at its right edge are known.
    ///
    /// # Errors
    /// If they do not give its root.
    pub fn new(head: TreeHead, edge: BTreeMap<TileId, Vec<Hash>>) -> Result<Self, TreeError> {
        let exact = |(id, hashes): (&TileId, &Vec<Hash>)| hashes.len() == usize::from(id.width);
        let root = edge_from_tiles(head.size, &edge).map(|edge| edge.root());
        if root != Ok(head.root) || !edge.iter().all(exact) {
            return Err(TreeError::Root);
        }
        let last = BTreeMap::new();
        Ok(Self { head, edge, last })
    }

    /// Size and root.
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// The tiles at the right edge.
    pub fn edge(&self) -> impl Iterator<Item = (TileId, &[Hash])> {
        self.edge
            .iter()
            .map(|(id, hashes)| (*id, hashes.as_slice()))
    }

    /// The hashes of a tile, if it is proven and still at hand.
    pub fn tile(&self, id: TileId) -> Option<&[Hash]> {
        let last = self.last.get(&id.level).filter(|(last, _)| *last == id);
        let found = self.edge.get(&id).or(last.map(|(_, hashes)| hashes));
        found.map(Vec::as_slice)
    }

    /// The tiles to be proven before this one is, the highest first and itself the last; none if
    /// it is proven.
    pub fn needs(&self, id: TileId) -> Vec<TileId> {
        let mut needed = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next.filter(|id| self.tile(*id).is_none()) {
            needed.push(id);
            next = self.above(id);
        }
        needed.reverse();
        needed
    }

    /// Takes a full tile in, if it is the one whose root stands in the tile above it.
    ///
    /// # Errors
    /// If it is not, or the tile above is not proven.
    pub fn prove(&mut self, id: TileId, hashes: Vec<Hash>) -> Result<(), TreeError> {
        let above = self.above(id).ok_or(TreeError::Tile(id))?;
        let parent = self.tile(above).ok_or(TreeError::Unknown(id))?;
        let root = tile_root(&hashes);
        if root.is_none() || parent.get((id.index % TILE_WIDTH) as usize) != root.as_ref() {
            return Err(TreeError::Tile(id));
        }
        self.last.insert(id.level, (id, hashes));
        Ok(())
    }

    /// The hashes of a bundle's leaves, if their tile is proven.
    pub fn leaves(&self, id: BundleId) -> Option<&[Hash]> {
        self.tile(TileId {
            level: 0,
            index: id.index,
            width: id.width,
        })
    }

    /// The tile with the root of a full one; `None` where the tree has no such tile.
    fn above(&self, id: TileId) -> Option<TileId> {
        let level = id.level + 1;
        let count = self.head.size.checked_shr(8 * u32::from(level))?;
        if id.width != TILE_WIDTH as u16 || id.index >= count {
            return None;
        }
        let index = id.index / TILE_WIDTH;
        // At most 256.
        let width = (count - index * TILE_WIDTH).min(TILE_WIDTH) as u16;
        Some(TileId {
            level,
            index,
            width,
        })
    }
}
