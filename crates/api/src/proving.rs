//! What proofs and tiles are made of: proven tiles under the newest published checkpoint.

use std::collections::HashMap;
use std::time::Duration;

use audittrail_checkpoint::tlog_proof;
use audittrail_merkle::{
    Hash, ProofError, TileId, TreeHead, consistency_proof, consistency_tiles, inclusion_proof,
    inclusion_tiles,
};
use audittrail_store::KeptCheckpoint;

use crate::Shared;
use crate::problem::{Problem, Slug};

impl Shared {
    /// The newest checkpoint that is shown to anybody, with the cosignatures that it has.
    pub(crate) fn published(&self) -> KeptCheckpoint {
        let published = self.api.published.borrow().clone();
        self.with_cosignatures(published)
    }

    fn with_cosignatures(&self, checkpoint: KeptCheckpoint) -> KeptCheckpoint {
        let witnessed = self.api.witnessed.borrow();
        let cosigned = witnessed.newest.iter().chain(&witnessed.met);
        let mut same = cosigned.filter(|cosigned| cosigned.head == checkpoint.head);
        same.next().cloned().unwrap_or(checkpoint)
    }

    /// The checkpoint that an entry is proven under. Where witnesses are asked for it is the
    /// newest with a quorum that covers the entry, which is waited for a moment; failing that,
    /// and where none is asked for, as [`Shared::covering`].
    pub(crate) async fn proving(&self, index: u64, wait: Duration) -> Option<KeptCheckpoint> {
        let covers = |met: &Option<KeptCheckpoint>| {
            let met = met.as_ref();
            met.is_some_and(|met| met.head.size > index)
        };
        let mut witnessed = self.api.witnessed.clone();
        let first = self.covering(index, wait).await?;
        let Some(for_quorum) = self.api.settings.quorum_wait else {
            return Some(first);
        };
        let met = witnessed.wait_for(|witnessed| covers(&witnessed.met));
        match tokio::time::timeout(for_quorum, met).await {
            Ok(Ok(witnessed)) => witnessed.met.clone(),
            _ => Some(self.published()),
        }
    }

    /// The first checkpoint that covers an index, waiting for it; `None` if it did not come.
    pub(crate) async fn covering(&self, index: u64, wait: Duration) -> Option<KeptCheckpoint> {
        let mut published = self.api.published.clone();
        let covering = published.wait_for(|kept| kept.head.size > index);
        let covering = tokio::time::timeout(wait, covering).await;
        let covering = covering.ok()?.ok()?.clone();
        Some(self.with_cosignatures(covering))
    }

    /// The hashes of a tile that the tree of a published head has, each proven to be below its
    /// root.
    pub(crate) async fn proven(&self, head: &TreeHead, id: TileId) -> Result<Vec<Hash>, Problem> {
        let tile = self.api.reader.tile(head, id.level, id.index).await?;
        let tile = tile.map_err(|reason| {
            tracing::error!(tile = id.path(), reason, "a tile is damaged");
            let detail = format!("{} cannot be given: {reason}.", id.path());
            Problem::new(Slug::Damaged, detail)
        })?;
        // A tile only grows: what an earlier tree had of it stands at its beginning.
        let hashes = tile.get(..usize::from(id.width)).map(<[Hash]>::to_vec);
        hashes.ok_or_else(|| unbuilt(ProofError::MissingTile(id)))
    }

    /// The proof that an entry is in the log of a checkpoint, from the leaf towards the root.
    pub(crate) async fn inclusion(
        &self,
        index: u64,
        head: &TreeHead,
    ) -> Result<Vec<Hash>, Problem> {
        let tiles = inclusion_tiles(index, head.size).map_err(unbuilt)?;
        let tiles = self.all_proven(head, tiles).await?;
        inclusion_proof(index, head.size, &tiles).map_err(unbuilt)
    }

    /// The proof that the tree of size `to`, which is not above that of `head`, extends the one
    /// of size `from`. Everything extends the tree without leaves, for which nothing is proven.
    pub(crate) async fn consistency(
        &self,
        from: u64,
        to: u64,
        head: &TreeHead,
    ) -> Result<Vec<Hash>, Problem> {
        if from == 0 {
            return Ok(Vec::new());
        }
        let tiles = consistency_tiles(from, to).map_err(unbuilt)?;
        let tiles = self.all_proven(head, tiles).await?;
        consistency_proof(from, to, &tiles).map_err(unbuilt)
    }

    /// As many tiles as the tree has levels of them, twice at the most.
    async fn all_proven(
        &self,
        head: &TreeHead,
        ids: Vec<TileId>,
    ) -> Result<HashMap<TileId, Vec<Hash>>, Problem> {
        let mut tiles = HashMap::with_capacity(ids.len());
        for id in ids {
            tiles.insert(id, self.proven(head, id).await?);
        }
        Ok(tiles)
    }

    /// The same proof in one text.
    pub(crate) async fn prove(
        &self,
        index: u64,
        checkpoint: &KeptCheckpoint,
    ) -> Result<String, Problem> {
        let hashes = self.inclusion(index, &checkpoint.head).await?;
        Ok(tlog_proof(index, &hashes, &checkpoint.note))
    }
}

fn unbuilt(error: ProofError) -> Problem {
    tracing::error!(%error, "a proof cannot be built");
    let detail = "The proof cannot be built; the server's log says why.";
    Problem::new(Slug::Damaged, detail)
}
