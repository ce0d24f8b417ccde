//! Keeping a checkpoint.

use std::collections::HashMap;

use audittrail_merkle::{Hash, TILE_WIDTH, TileId, edge_from_tiles, right_edge_tiles};
use audittrail_store::{KeptCheckpoint, StoreError, StoreErrorKind};
use mongodb::bson::{Bson, doc};

use crate::MongoStore;
use crate::failure::invalid;
use crate::head::{self, binary, number};
use crate::lead::led;

impl MongoStore {
    pub(crate) async fn keep(&self, new: &KeptCheckpoint) -> Result<(), StoreError> {
        let mut held = self.leader.lock().await;
        let Some(leader) = held.as_ref() else {
            let what = "this process does not lead the log; it has to take the lead first";
            return Err(StoreError::new(StoreErrorKind::Led, what));
        };
        let (size, current) = (new.head.size, leader.edge.head());
        let fits = match size.cmp(&current.size) {
            std::cmp::Ordering::Less => self.root_at(size).await? == Some(new.head.root),
            std::cmp::Ordering::Equal => new.head.root == current.root,
            std::cmp::Ordering::Greater => false,
        };
        if !fits {
            return Err(invalid(format!(
                "a checkpoint of size {size} with this root is not one of the log, which has {} \
                 entries",
                current.size
            )));
        }
        self.flush_tiles().await?;
        let kept = doc! {
            "size": number(size),
            "root": binary(new.head.root.0),
            "note": &new.note,
        };
        let no_smaller = [
            doc! { "checkpoint": Bson::Null },
            doc! { "checkpoint.size": { "$lte": number(size) } },
        ];
        let update = self.network.head.update_one(
            doc! { "_id": head::ID, "epoch": leader.epoch, "$or": no_smaller },
            vec![doc! { "$set": {
                "checkpoint": { "$literal": kept },
                "tiles": number(self.tails().written()),
                "lease": self.lease(),
            } }],
        );
        let what = "the checkpoint cannot be kept";
        if self.network.bounded(what, update).await?.matched_count == 1 {
            return Ok(());
        }
        let head = self.network.read_head().await?;
        if head.epoch == leader.epoch {
            return Err(invalid(format!(
                "a checkpoint of size {size} is smaller than the one that is kept"
            )));
        }
        *held = None;
        Err(led(&head))
    }

    /// The root that the log had at a size below its own.
    async fn root_at(&self, size: u64) -> Result<Option<Hash>, StoreError> {
        let mut tiles: HashMap<TileId, Vec<Hash>> = HashMap::new();
        for id in right_edge_tiles(size) {
            let start = id.index * TILE_WIDTH;
            let range = start..start + u64::from(id.width);
            tiles.insert(id, self.read_hashes(8 * id.level, range).await?);
        }
        Ok(edge_from_tiles(size, &tiles).ok().map(|edge| edge.root()))
    }
}
