//! What there is to copy, and that it is one history with what was signed and what is there.

use std::collections::HashMap;

use audittrail_checkpoint::Checkpoint;
use audittrail_merkle::{
    Edge, Hash, TILE_WIDTH, TileId, TreeHead, edge_from_tiles, right_edge_tiles,
};
use audittrail_store::{KeptCheckpoint, Store, StoreError};
use audittrail_store_embedded::Identity;

use crate::Failure;

/// Hashes that are read at once.
const HASHES: u64 = 64 * TILE_WIDTH;

/// A log as far as it is copied.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    pub(super) head: TreeHead,
    /// The newest checkpoint, of the head or of less. Its signature was verified.
    pub(super) checkpoint: KeptCheckpoint,
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(super) fn unreadable(error: StoreError) -> Failure {
    Failure::Failed(format!("--from: {error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(super) fn unwritable(error: StoreError) -> Failure {
    Failure::Failed(format!("--to: {error}"))
}

impl Extent {
    /// How far the source has come.
    pub(super) async fn of(source: &dyn Store, identity: &Identity) -> Result<Self, Failure> {
        // In this order: then the head is not below the checkpoint.
        let checkpoint = source.checkpoint().await.map_err(unreadable)?;
        let head = source.head().await.map_err(unreadable)?;
        let Some(checkpoint) = checkpoint else {
            return Err(Failure::Failed(
                "--from: the log has no checkpoint yet: start it there once, and stop it"
                    .to_owned(),
            ));
        };
        let opened = Checkpoint::open(checkpoint.note.as_bytes(), &identity.keys);
        let opened = opened.map_err(|error| {
            Failure::Unverified(format!(
                "--from: the log's checkpoint does not verify: {error}. Nothing was copied"
            ))
        })?;
        if opened.origin != identity.origin || opened.head != checkpoint.head {
            return Err(Failure::Unverified(format!(
                "--from: the log's checkpoint is of {} with {} entries, and not of {} with {}. \
                 Nothing was copied",
                opened.origin, opened.head.size, identity.origin, checkpoint.head.size
            )));
        }
        if head.size < checkpoint.head.size {
            return Err(Failure::Unverified(format!(
                "--from: the log has {} entries, and its checkpoint signs {}. Nothing was copied",
                head.size, checkpoint.head.size
            )));
        }
        Ok(Self { head, checkpoint })
    }

    /// What is at the target is the beginning of the log.
    pub(super) async fn check_prefix(
        &self,
        source: &dyn Store,
        there: &TreeHead,
        to: &str,
    ) -> Result<(), Failure> {
        if there.size > self.head.size {
            return Err(Failure::Failed(format!(
                "the log in {to} is ahead: it has {} entries, and that of --from {}. It went on \
                 there; nothing was changed",
                there.size, self.head.size
            )));
        }
        let then = head_at(source, there.size).await.map_err(unreadable)?;
        if then == Some(*there) {
            return Ok(());
        }
        Err(Failure::Failed(format!(
            "the log in {to} has the same name and key and differs from that of --from below size {}: \
             one of them is another history, or the tree of --from is damaged, which `audittrail fsck` \
             shows. Nothing was changed",
            there.size
        )))
    }

    /// Whether the target has the checkpoint. It may have an earlier one, or none.
    pub(super) async fn check_checkpoint(
        &self,
        target: &dyn Store,
        to: &str,
    ) -> Result<bool, Failure> {
        let kept = target.checkpoint().await.map_err(unwritable)?;
        let signed = &self.checkpoint;
        match kept {
            Some(kept) if kept.head.size > signed.head.size => Err(Failure::Failed(format!(
                "the log in {to} is ahead: it has a checkpoint of size {}, and that of --from one of \
                 size {}. It went on there; nothing was changed",
                kept.head.size, signed.head.size
            ))),
            kept => Ok(kept.as_ref() == Some(signed)),
        }
    }

    /// The hashes of the source's tree lead from `from` to what the checkpoint signs, and to the
    /// head: what is copied is compared with them.
    pub(super) async fn prove(&self, source: &dyn Store, from: &Edge) -> Result<(), Failure> {
        let signed = self.checkpoint.head;
        let does_not = |size: u64| {
            Failure::Unverified(format!(
                "--from: the tree's hashes do not give the root of the log at size {size}: `audittrail \
                 fsck` shows what is wrong with a data directory. Nothing was copied in this run"
            ))
        };
        if signed.size <= from.size()
            && head_at(source, signed.size).await.map_err(unreadable)? != Some(signed)
        {
            return Err(does_not(signed.size));
        }
        let mut edge = from.clone();
        while edge.size() < self.head.size {
            let end = self.head.size.min(edge.size() + HASHES);
            let range = edge.size()..end;
            for hash in source.hashes(0, range).await.map_err(unreadable)? {
                edge.push(hash);
                if edge.size() == signed.size && edge.head() != signed {
                    return Err(does_not(signed.size));
                }
            }
        }
        if edge.head() == self.head {
            Ok(())
        } else {
            Err(does_not(self.head.size))
        }
    }
}

/// The head that a log had at a size, as its tiles say.
async fn head_at(store: &dyn Store, size: u64) -> Result<Option<TreeHead>, StoreError> {
    let mut tiles: HashMap<TileId, Vec<Hash>> = HashMap::new();
    for id in right_edge_tiles(size) {
        let start = id.index * TILE_WIDTH;
        let range = start..start + u64::from(id.width);
        tiles.insert(id, store.hashes(8 * id.level, range).await?);
    }
    Ok(edge_from_tiles(size, &tiles).ok().map(|edge| edge.head()))
}
