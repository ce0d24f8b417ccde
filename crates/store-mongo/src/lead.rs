//! Taking the lead and keeping it.
//!
//! Whether two leaders can fork the log does not hang on the lease: only the epoch counts, which
//! each take-over raises, and under which alone the head moves. The lease, by the server's clock,
//! says how long others leave a leader alone.

use std::sync::atomic::Ordering;

use audittrail_entry::Timestamp;
use audittrail_merkle::{Edge, TreeHead};
use audittrail_store::{StoreError, StoreErrorKind};
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ReturnDocument;

use crate::MongoStore;
use crate::closed;
use crate::head::{self, Head, binary, number};

/// What a leader knows.
#[derive(Debug, Clone)]
pub(crate) struct Leader {
    pub(crate) epoch: i64,
    pub(crate) edge: Edge,
    /// Documents of this epoch may lie beyond the head: the lead is taken anew before the next
    /// commit, which removes them.
    pub(crate) untidy: bool,
}

impl MongoStore {
    /// The lease of whoever writes it, from the server's clock on; part of an update that is a
    /// pipeline.
    pub(crate) fn lease(&self) -> Document {
        let lease = i64::try_from(self.network.options.lease.as_millis()).unwrap_or(i64::MAX);
        doc! {
            "owner": binary(self.owner),
            "until": { "$add": ["$$NOW", lease] },
        }
    }

    pub(crate) async fn take_lead(&self) -> Result<Edge, StoreError> {
        let mut leader = self.leader.lock().await;
        // Should this be dropped half way, nobody here leads.
        *leader = None;
        let taken = self.take_over().await?;
        self.saw(taken.edge.head());
        let edge = taken.edge.clone();
        *leader = Some(taken);
        Ok(edge)
    }

    /// Raises the epoch, removes what earlier ones left beyond the head, and writes the tiles
    /// that are missing.
    pub(crate) async fn take_over(&self) -> Result<Leader, StoreError> {
        let network = &self.network;
        let free = doc! { "$expr": { "$lte": [
            { "$ifNull": ["$lease.until", "$$NOW"] },
            "$$NOW",
        ] } };
        let mut condition =
            doc! { "_id": head::ID, "$or": [{ "lease.owner": binary(self.owner) }, free] };
        if !self.leads_closed.load(Ordering::Acquire) {
            condition.insert("closed", Bson::Null);
        }
        let raise = network
            .head
            .find_one_and_update(
                condition,
                vec![doc! { "$set": {
                    "epoch": { "$add": ["$epoch", 1_i64] },
                    "lease": self.lease(),
                } }],
            )
            .return_document(ReturnDocument::After);
        let raised = network.bounded("the lead cannot be taken", raise).await?;
        let Some(raised) = raised else {
            let head = network.read_head().await?;
            let closed = head.closed.as_ref();
            let closed = closed.filter(|_| !self.leads_closed.load(Ordering::Acquire));
            return Err(closed.map_or_else(|| led(&head), closed::refused));
        };
        let head = Head::read(&raised)?;
        let size = head.edge.size();
        // No other delete of entries exists. What is committed lies below the size, or is of
        // this epoch or a later one: then this comes late, and finds nothing.
        let remove = network.entries.delete_many(doc! {
            "_id": { "$gte": number(size) },
            "e": { "$lt": head.epoch },
        });
        let what = "what an earlier leader left cannot be removed";
        let removed = network.bounded(what, remove).await?.deleted_count;
        tracing::info!(
            epoch = head.epoch,
            size,
            removed,
            "took the lead in MongoDB"
        );
        self.complete_tiles(head.tiles, &head.edge).await?;
        Ok(Leader {
            epoch: head.epoch,
            edge: head.edge,
            untidy: false,
        })
    }

    /// Keeps the lead while nothing is committed: to be called several times within
    /// [`crate::Options::lease`]. Does nothing for who does not lead.
    ///
    /// # Errors
    /// `Led` if another process has taken over; `Unavailable` if that cannot be known.
    pub async fn renew(&self) -> Result<(), StoreError> {
        // Who is in a commit renews the lease by it.
        let Ok(mut leader) = self.leader.try_lock() else {
            return Ok(());
        };
        let Some(epoch) = leader.as_ref().map(|leader| leader.epoch) else {
            return Ok(());
        };
        let renew = self.network.head.update_one(
            doc! { "_id": head::ID, "epoch": epoch },
            vec![doc! { "$set": { "lease": self.lease() } }],
        );
        let renewed = self
            .network
            .bounded("the lease cannot be renewed", renew)
            .await?;
        if renewed.matched_count == 1 {
            return Ok(());
        }
        *leader = None;
        Err(led(&self.network.read_head().await?))
    }

    /// Gives the lead up, so that another process need not wait for the lease to end.
    ///
    /// # Errors
    /// If the server cannot be told: then others wait.
    pub async fn resign(&self) -> Result<(), StoreError> {
        let mut leader = self.leader.lock().await;
        let Some(leader) = leader.take() else {
            return Ok(());
        };
        let give_up = self.network.head.update_one(
            doc! { "_id": head::ID, "epoch": leader.epoch },
            vec![doc! { "$set": { "lease.until": "$$NOW" } }],
        );
        self.network
            .bounded("the lead cannot be given up", give_up)
            .await?;
        Ok(())
    }

    /// The update that moves the head of an epoch, as a condition and a change.
    pub(crate) fn advance(
        &self,
        leader: &Leader,
        expected: TreeHead,
        new: &Edge,
        tiles: u64,
        batch_id: [u8; 16],
    ) -> (Document, Vec<Document>) {
        let condition = doc! {
            "_id": head::ID,
            "epoch": leader.epoch,
            "size": number(expected.size),
            "root": binary(expected.root.0),
        };
        let change = doc! {
            "size": number(new.size()),
            "root": binary(new.root().0),
            "edge": head::edge_bytes(new),
            "tiles": number(tiles),
            "batch_id": binary(batch_id),
            "lease": self.lease(),
        };
        (condition, vec![doc! { "$set": change }])
    }

    /// Whether the head can be read and somebody leads, and, for a leader, a majority confirm a
    /// write.
    pub(crate) async fn can_write(&self) -> Result<(), StoreError> {
        let seen = self.seen().await?;
        // Who is in a commit will hear.
        let Ok(leader) = self.leader.try_lock() else {
            return Ok(());
        };
        if leader.is_none() {
            return if seen.led {
                Ok(())
            } else {
                let why = "MongoDB: no process leads the log, so that nothing is committed: start \
                           one that sequences, such as `audittrail worker`";
                Err(StoreError::new(StoreErrorKind::Unavailable, why))
            };
        }
        // It changes nothing, and yet waits until a majority has all that was written before.
        let nothing = self.network.head.update_one(
            doc! { "_id": head::ID, "epoch": Bson::Null },
            doc! { "$set": { "v": head::VERSION } },
        );
        let what = "a majority of the servers does not confirm writes";
        self.network.bounded(what, nothing).await?;
        Ok(())
    }
}

/// The error for who has to wait for a leader that is another process.
pub(crate) fn led(head: &Head) -> StoreError {
    let until = head.until.map_or_else(
        || "soon".to_owned(),
        |until| {
            let until = Timestamp::from_nanos(until.timestamp_millis().saturating_mul(1_000_000));
            String::from_utf8_lossy(&until.to_text()).into_owned()
        },
    );
    let what = format!(
        "the log is led by another process until {until} at least, by the clock of MongoDB \
         (epoch {})",
        head.epoch
    );
    StoreError::new(StoreErrorKind::Led, what)
}
