//! A log in memory: leaves, and the tiles of its present size.

use std::collections::BTreeMap;

use audittrail_merkle::{Edge, Hash, TileId, leaf_hash};

/// Inputs that all differ.
pub(crate) fn data(size: usize) -> Vec<Vec<u8>> {
    (0..size)
        .map(|at| format!("leaf {at}").into_bytes())
        .collect()
}

/// All tiles of a tree of these leaf hashes, cut as C2SP tlog-tiles says: level by level, the
/// hashes of full subtrees of 256^level leaves in rows of 256.
pub(crate) fn tiles(leaves: &[Hash]) -> BTreeMap<TileId, Vec<Hash>> {
    let mut tiles = BTreeMap::new();
    let mut row = leaves.to_vec();
    for level in 0.. {
        for (index, hashes) in (0..).zip(row.chunks(256)) {
            let id = TileId {
                level,
                index,
                width: u16::try_from(hashes.len()).unwrap(),
            };
            tiles.insert(id, hashes.to_vec());
        }
        row = row
            .chunks_exact(256)
            .map(|full| root(full.to_vec()))
            .collect();
        if row.is_empty() {
            break;
        }
    }
    tiles
}

/// The root over a row whose length is a power of two.
pub(crate) fn root(mut row: Vec<Hash>) -> Hash {
    while row.len() > 1 {
        row = row
            .chunks(2)
            .map(|pair| audittrail_merkle::node_hash(&pair[0], &pair[1]))
            .collect();
    }
    row[0]
}

pub(crate) fn leaf_hashes(data: &[Vec<u8>]) -> Vec<Hash> {
    data.iter().map(|leaf| leaf_hash(leaf)).collect()
}

pub(crate) fn edge(leaves: &[Hash]) -> Edge {
    let mut edge = Edge::new();
    leaves.iter().for_each(|leaf| edge.push(*leaf));
    edge
}

/// Reads only what it was asked about, so that a proof that needs an unannounced tile fails.
pub(crate) fn only(
    tiles: &BTreeMap<TileId, Vec<Hash>>,
    ids: &[TileId],
) -> BTreeMap<TileId, Vec<Hash>> {
    ids.iter().map(|id| (*id, tiles[id].clone())).collect()
}
