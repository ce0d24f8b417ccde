//! Inclusion proofs under the newest published checkpoint.

use std::collections::HashMap;
use std::time::Duration;

use audittrail_checkpoint::tlog_proof;
use audittrail_merkle::{TILE_WIDTH, inclusion_proof, inclusion_tiles};
use audittrail_store::{KeptCheckpoint, StoreError, StoreErrorKind};

use crate::Shared;

impl Shared {
    /// The first checkpoint that covers an index, waiting for it; `None` if it did not come.
    pub(crate) async fn covering(&self, index: u64, wait: Duration) -> Option<KeptCheckpoint> {
        let mut published = self.api.published.clone();
        let covering = published.wait_for(|kept| kept.head.size > index);
        let covering = tokio::time::timeout(wait, covering).await;
        covering.ok()?.ok().map(|kept| kept.clone())
    }

    /// The proof that an entry is in the log of a checkpoint.
    pub(crate) async fn prove(
        &self,
        index: u64,
        checkpoint: &KeptCheckpoint,
    ) -> Result<String, StoreError> {
        let size = checkpoint.head.size;
        let invalid = |error: audittrail_merkle::ProofError| {
            StoreError::caused(
                StoreErrorKind::Unavailable,
                "the proof cannot be built",
                error,
            )
        };
        let mut tiles = HashMap::new();
        for id in inclusion_tiles(index, size).map_err(invalid)? {
            let start = id.index * TILE_WIDTH;
            let hashes = start..start + u64::from(id.width);
            tiles.insert(id, self.api.store.hashes(8 * id.level, hashes).await?);
        }
        let hashes = inclusion_proof(index, size, &tiles).map_err(invalid)?;
        Ok(tlog_proof(index, &hashes, &checkpoint.note))
    }
}
