//! Whether one tree head is a later one of the other's log.

use std::collections::HashMap;

use audittrail_merkle::{
    TILE_WIDTH, TileId, TreeHead, consistency_proof, consistency_tiles, verify_consistency,
};
use audittrail_store::{Store, StoreError, StoreErrorKind};

/// Whether the tree of `to`, as the store keeps it, extends the one of `from`: by the
/// consistency proof of RFC 6962 section 2.1.2.
///
/// # Errors
/// If the store cannot give the hashes now.
pub(crate) async fn extends(
    store: &dyn Store,
    from: &TreeHead,
    to: &TreeHead,
) -> Result<bool, StoreError> {
    if from.size == 0 {
        // RFC 9162 section 2.1.4: every tree extends the empty one, which has one root.
        return Ok(*from == TreeHead::EMPTY);
    }
    let Ok(needed) = consistency_tiles(from.size, to.size) else {
        return Ok(false);
    };
    let mut tiles: HashMap<TileId, _> = HashMap::with_capacity(needed.len());
    for id in needed {
        let start = id.index * TILE_WIDTH;
        let range = start..start + u64::from(id.width);
        match store.hashes(8 * id.level, range).await {
            Ok(hashes) => tiles.insert(id, hashes),
            // The store's log does not reach that far.
            Err(error) if error.kind() == StoreErrorKind::Invalid => return Ok(false),
            Err(error) => return Err(error),
        };
    }
    let proof = consistency_proof(from.size, to.size, &tiles);
    Ok(proof.is_ok_and(|proof| {
        verify_consistency(from.size, to.size, &proof, &from.root, &to.root).is_ok()
    }))
}
