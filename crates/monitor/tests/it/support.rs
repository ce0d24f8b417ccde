//! Logs in memory.

use std::collections::BTreeMap;

use audittrail_merkle::{Edge, Hash, TileId, TreeHead, leaf_hash, tile_root};

/// Hashes of leaves that all differ; of another history from `fork` on.
pub(crate) fn leaves(size: u64, fork: u64) -> Vec<Hash> {
    let text = |at: u64| {
        let history = if at < fork { "one" } else { "other" };
        format!("leaf {at} of {history}")
    };
    (0..size).map(|at| leaf_hash(text(at).as_bytes())).collect()
}

/// The head of the first `size` leaves.
pub(crate) fn head(leaves: &[Hash], size: u64) -> TreeHead {
    let mut edge = Edge::new();
    let size = usize::try_from(size).unwrap();
    leaves[..size].iter().for_each(|leaf| edge.push(*leaf));
    edge.head()
}

/// All tiles of a tree, cut level by level as C2SP tlog-tiles says.
pub(crate) fn tiles(leaves: &[Hash]) -> BTreeMap<TileId, Vec<Hash>> {
    let mut tiles = BTreeMap::new();
    let mut row = leaves.to_vec();
    for level in 0.. {
        for (index, hashes) in (0..).zip(row.chunks(256)) {
            let width = u16::try_from(hashes.len()).unwrap();
            let id = TileId {
                level,
                index,
                width,
            };
            tiles.insert(id, hashes.to_vec());
        }
        row = row.chunks_exact(256).filter_map(tile_root).collect();
        if row.is_empty() {
            break;
        }
    }
    tiles
}

/// Only the tiles that were asked for, so that a need that was not told fails.
pub(crate) fn only(
    tiles: &BTreeMap<TileId, Vec<Hash>>,
    ids: &[TileId],
) -> BTreeMap<TileId, Vec<Hash>> {
    ids.iter().map(|id| (*id, tiles[id].clone())).collect()
}
