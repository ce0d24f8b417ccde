//! One commit: entries beyond the head, then the head.

use audittrail_merkle::{Edge, TreeHead};
use audittrail_store::{Batch, CommitError, CommitErrorKind, Node};
use futures_util::future::try_join_all;
use mongodb::bson::RawDocumentBuf;
use mongodb::error::Error;

use crate::failure::{described, refuses_document};
use crate::lead::Leader;
use crate::{MongoStore, encode};

/// A batch goes to the server in so many parts at once at most, none smaller than this: one
/// task of mongod inserts less than half of what four do.
const PARTS: usize = 4;
const LEAST_PART: usize = 125;

/// How an insert ended that was no clean success.
enum Inserting {
    /// The server refused a document for what it is, or a bound of time or the network ended it.
    Failed(Error),
    Silent,
}

impl MongoStore {
    pub(crate) async fn commit_batch(
        &self,
        expected: TreeHead,
        batch: &Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError> {
        let mut held = self.leader.lock().await;
        // Should this be dropped half way, nobody here leads, and the outcome is unknown.
        let Some(leader) = held.take() else {
            let why = "this process does not lead the log; it has to take the lead first";
            return Err(CommitError::new(CommitErrorKind::Lost, why));
        };
        let head = leader.edge.head();
        if head != expected {
            let why = format!("the head is at {}, not at {}", head.size, expected.size);
            *held = Some(leader);
            return Err(CommitError::new(CommitErrorKind::Lost, why));
        }
        let Some(edge) = leads_to(&leader.edge, batch, new) else {
            *held = Some(leader);
            let why = "the batch does not lead from the old head to the new one";
            return Err(CommitError::new(CommitErrorKind::Refused, why));
        };
        let leader = self.tidied(leader, expected).await?;
        let documents = encode_all(batch, leader.epoch);
        // What earlier commits added to the tree is written beside this one's entries: it lies
        // below the head, and nobody waits for it.
        let (inserted, tiles) = tokio::join!(self.insert(&documents), self.flush_full_tails());
        if let Err(error) = tiles {
            tracing::warn!(%error, "tiles could not be written; they are made from the entries");
        }
        match inserted {
            Ok(()) => {}
            Err(Inserting::Failed(error)) if refuses_document(&error) => {
                // The head was not touched: nothing of it is or will be in the log.
                *held = Some(Leader {
                    untidy: true,
                    ..leader
                });
                let why = "MongoDB refused the batch";
                return Err(CommitError::caused(
                    CommitErrorKind::Refused,
                    why,
                    described(&error),
                ));
            }
            Err(failed) => return Err(unknown("the batch could not be written", failed)),
        }
        self.move_head(&leader, expected, &edge).await?;
        self.tails()
            .extend(batch.entries.iter().map(|entry| entry.leaf_hash));
        self.saw(new);
        *held = Some(Leader { edge, ..leader });
        Ok(())
    }

    /// Takes the lead anew where documents of a refused batch may lie beyond the head.
    async fn tidied(&self, leader: Leader, expected: TreeHead) -> Result<Leader, CommitError> {
        if !leader.untidy {
            return Ok(leader);
        }
        let taken = self.take_over().await.map_err(|error| {
            let why = "the lead could not be taken anew";
            CommitError::caused(CommitErrorKind::Unknown, why, error)
        })?;
        if taken.edge.head() == expected {
            Ok(taken)
        } else {
            let why = "another leader has moved the head";
            Err(CommitError::new(CommitErrorKind::Lost, why))
        }
    }

    /// Writes all documents, or says that it is not known which. Each part ends at its first
    /// failure, so that little is left behind.
    async fn insert(&self, documents: &[RawDocumentBuf]) -> Result<(), Inserting> {
        let size = documents.len().div_ceil(PARTS).max(LEAST_PART);
        let parts = documents.chunks(size).map(|part| async move {
            let insert = self.network.entries.insert_many(part).ordered(true);
            let time = self.network.options.operation;
            match tokio::time::timeout(time, insert.into_future()).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(Inserting::Failed(error)),
                Err(_) => Err(Inserting::Silent),
            }
        });
        try_join_all(parts).await.map(|_| ())
    }

    async fn move_head(
        &self,
        leader: &Leader,
        expected: TreeHead,
        edge: &Edge,
    ) -> Result<(), CommitError> {
        let mut batch_id = [0; 16];
        self.random.fill(&mut batch_id);
        let tiles = self.tails().written();
        let (condition, change) = self.advance(leader, expected, edge, tiles, batch_id);
        let update = self.network.head.update_one(condition, change);
        let time = self.network.options.operation;
        let failed = match tokio::time::timeout(time, update.into_future()).await {
            Ok(Ok(updated)) if updated.matched_count == 1 => return Ok(()),
            Ok(Ok(_)) => {
                let why = "another leader has taken over the log";
                return Err(CommitError::new(CommitErrorKind::Lost, why));
            }
            Ok(Err(error)) => Inserting::Failed(error),
            Err(_) => Inserting::Silent,
        };
        // The answer was lost, perhaps not the update. A head with our batch says so; another
        // head says nothing, since the update can still arrive, until the next epoch.
        if let Ok(head) = self.network.read_head().await
            && head.batch_id.as_deref() == Some(&batch_id[..])
        {
            return Ok(());
        }
        Err(unknown("the head could not be moved", failed))
    }
}

fn unknown(what: &str, why: Inserting) -> CommitError {
    match why {
        Inserting::Failed(error) => {
            CommitError::caused(CommitErrorKind::Unknown, what, described(&error))
        }
        Inserting::Silent => {
            let what = format!("{what}: no answer in time");
            CommitError::new(CommitErrorKind::Unknown, what)
        }
    }
}

fn encode_all(batch: &Batch<'_>, epoch: i64) -> Vec<RawDocumentBuf> {
    let entries = (batch.first_index..).zip(&batch.entries);
    entries
        .map(|(index, entry)| encode(index, epoch, entry.id, entry.record))
        .collect()
}

/// The edge after the batch, if it leads to that head with all nodes that it completes and no
/// others.
fn leads_to(before: &Edge, batch: &Batch<'_>, new: TreeHead) -> Option<Edge> {
    let mut edge = before.clone();
    let mut nodes = Vec::new();
    for entry in &batch.entries {
        Node::push_leaf(&mut edge, entry.leaf_hash, &mut nodes);
    }
    let by_level = |nodes: &[Node]| {
        let mut nodes = nodes.to_vec();
        nodes.sort_by_key(|node| node.level);
        nodes
    };
    let fits = batch.first_index == before.size()
        && !batch.entries.is_empty()
        && edge.head() == new
        && by_level(&nodes) == by_level(&batch.nodes);
    fits.then_some(edge)
}
