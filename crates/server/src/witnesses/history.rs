//! Proofs about the log's own past, each from proven tiles.

use std::collections::HashMap;
use std::sync::Arc;

use audittrail_merkle::{
    Hash, TileId, TreeHead, consistency_proof, consistency_tiles, edge_from_tiles, right_edge_tiles,
};
use audittrail_store::Reader;

/// What the log was at earlier sizes.
pub(crate) struct History {
    reader: Arc<Reader>,
}

impl History {
    pub(crate) fn new(reader: Arc<Reader>) -> Self {
        Self { reader }
    }

    /// The proof that the log of this head extends the one of size `from`, which is not above
    /// it; empty from size 0, as witnesses want it.
    ///
    /// # Errors
    /// If the store is away or its tree is damaged.
    pub(crate) async fn consistency(
        &self,
        from: u64,
        head: &TreeHead,
    ) -> Result<Vec<Hash>, String> {
        if from == 0 {
            return Ok(Vec::new());
        }
        let ids = consistency_tiles(from, head.size).map_err(|error| error.to_string())?;
        let tiles = self.tiles(ids, head).await?;
        consistency_proof(from, head.size, &tiles).map_err(|error| error.to_string())
    }

    /// The head that the log of this head had at a size that is not above its own.
    ///
    /// # Errors
    /// As [`History::consistency`].
    pub(crate) async fn head_at(&self, size: u64, head: &TreeHead) -> Result<TreeHead, String> {
        if size == 0 {
            return Ok(TreeHead::EMPTY);
        }
        if size == head.size {
            return Ok(*head);
        }
        let tiles = self.tiles(right_edge_tiles(size), head).await?;
        let edge = edge_from_tiles(size, &tiles).map_err(|error| error.to_string())?;
        Ok(edge.head())
    }

    async fn tiles(
        &self,
        ids: Vec<TileId>,
        head: &TreeHead,
    ) -> Result<HashMap<TileId, Vec<Hash>>, String> {
        let mut tiles = HashMap::with_capacity(ids.len());
        for id in ids {
            let tile = self.reader.tile(head, id.level, id.index).await;
            let tile = tile.map_err(|error| error.to_string())??;
            // A tile only grows: what an earlier tree had of it stands at its beginning.
            let part = tile.get(..usize::from(id.width));
            let part = part.ok_or_else(|| format!("{} is too short", id.path()))?;
            tiles.insert(id, part.to_vec());
        }
        Ok(tiles)
    }
}
