//! The RFC 6962 Merkle tree: hashing, the right edge, proofs and tiles.
//!
//! Nothing here reads, writes or waits: who wants a proof asks which tiles it needs, fetches
//! them, and builds it.

mod chain;
mod edge;
mod hash;
mod nodes;
mod proof;
mod tile;

pub use chain::{ChainError, ProofChain};
pub use edge::{Edge, EdgeError};
pub use hash::{EMPTY_ROOT, Hash, TreeHead, leaf_hash, node_hash};
pub use nodes::TileNodes;
pub use proof::{
    ProofError, consistency_proof, consistency_tiles, inclusion_proof, inclusion_tiles,
    verify_consistency, verify_inclusion,
};
pub use tile::{BundleId, TILE_WIDTH, TileId, Tiles, edge_from_tiles, right_edge_tiles, tile_root};
