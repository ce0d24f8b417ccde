//! Entry after entry from one store into another, each verified before it is added.

use std::sync::atomic::{AtomicBool, Ordering};

use audittrail_entry::{KeyRing, OpenPart, Record};
use audittrail_merkle::{Edge, Hash, leaf_hash};
use audittrail_store::{Batch, BatchEntry, CommitErrorKind, Node, Store, Stored};
use uuid::Uuid;

use super::plan::{Extent, unreadable, unwritable};
use crate::Failure;

/// What one commit takes.
const BATCH: u64 = 2_000;
const BATCH_BYTES: usize = 4 << 20;
/// How often a commit whose outcome is unknown is looked at and made again.
const ATTEMPTS: usize = 3;

/// A copy under way.
pub(super) struct Copy<'c> {
    pub(super) source: &'c dyn Store,
    pub(super) target: &'c dyn Store,
    pub(super) extent: &'c Extent,
    pub(super) origin: &'c str,
    /// Without them signatures are not checked.
    pub(super) keys: Option<&'c KeyRing>,
    /// Set when it has to end soon.
    pub(super) stop: &'c AtomicBool,
}

/// What was copied.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Copied {
    pub(super) entries: u64,
    /// Of leaves and sealed parts.
    pub(super) bytes: u64,
}

/// An entry that holds.
struct Sound {
    id: Uuid,
    record: Record,
    leaf_hash: Hash,
}

/// The first entry that does not hold, and why.
type Broken = Option<(u64, String)>;

impl Copy<'_> {
    /// Copies what follows `edge`, the target's tree, and then has the target keep the checkpoint.
    /// The hashes of the source's tree were proven.
    pub(super) async fn all(
        &self,
        mut edge: Edge,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Copied, Failure> {
        let (signed, size) = (&self.extent.checkpoint, self.extent.head.size);
        let mut copied = Copied::default();
        while edge.size() < size {
            if self.stop.load(Ordering::Acquire) {
                return Err(Failure::Failed(format!(
                    "interrupted after {} entries: run this again, and it goes on there",
                    edge.size()
                )));
            }
            let first = edge.size();
            let (sound, broken) = self.read(first..size.min(first + BATCH)).await?;
            if !sound.is_empty() {
                edge = self.commit(&edge, &sound).await?;
                copied.entries += sound.len() as u64;
                let bytes = sound.iter().map(|one| one.record.size_bytes() as u64);
                copied.bytes += bytes.sum::<u64>();
                progress(edge.size());
            }
            if (first..edge.size()).contains(&(signed.head.size.saturating_sub(1))) {
                self.target
                    .keep_checkpoint(signed)
                    .await
                    .map_err(unwritable)?;
            }
            if let Some((index, why)) = broken {
                return Err(Failure::Unverified(format!(
                    "entry {index} of --from does not verify: {why}. The {index} entries before it were \
                     copied, and it was not, nor what follows it. Put it back at --from, from a backup, \
                     and run this again: it goes on there"
                )));
            }
        }
        if edge.head() != self.extent.head {
            return Err(Failure::Unverified(
                "the copy does not have the root of --from: what --from gave changed while it was read. \
                 Make a new copy in an empty place"
                    .to_owned(),
            ));
        }
        self.complete().await?;
        Ok(copied)
    }

    /// The target has the checkpoint, and says itself that it has the log.
    async fn complete(&self) -> Result<(), Failure> {
        let signed = &self.extent.checkpoint;
        let kept = self.target.checkpoint().await.map_err(unwritable)?;
        if kept.as_ref() != Some(signed) {
            self.target
                .keep_checkpoint(signed)
                .await
                .map_err(unwritable)?;
        }
        let head = self.target.head().await.map_err(unwritable)?;
        let kept = self.target.checkpoint().await.map_err(unwritable)?;
        if head == self.extent.head && kept.as_ref() == Some(signed) {
            return Ok(());
        }
        Err(Failure::Unverified(
            "the log at --to does not have the head and the checkpoint of --from: another process \
             writes there"
                .to_owned(),
        ))
    }

    /// The entries at the beginning of a range that hold, and what ends them.
    async fn read(&self, range: std::ops::Range<u64>) -> Result<(Vec<Sound>, Broken), Failure> {
        let first = range.start;
        let stored = self.source.scan(range, BATCH_BYTES).await;
        let stored = stored.map_err(unreadable)?;
        let end = first + stored.len() as u64;
        let hashes = self.source.hashes(0, first..end).await;
        let hashes = hashes.map_err(unreadable)?;
        if stored.is_empty() || hashes.len() != stored.len() {
            return Err(Failure::Failed(format!(
                "--from: nothing was read at entry {first}"
            )));
        }
        let mut sound = Vec::with_capacity(stored.len());
        for ((index, one), in_tree) in (first..).zip(stored).zip(hashes) {
            match self.check(index, one, in_tree) {
                Ok(one) => sound.push(one),
                Err(why) => return Ok((sound, Some((index, why)))),
            }
        }
        Ok((sound, None))
    }

    fn check(&self, index: u64, stored: Stored, in_tree: Hash) -> Result<Sound, String> {
        if stored.index != index {
            return Err(format!("entry {} was read in its place", stored.index));
        }
        let record = stored.record.map_err(|damage| damage.0)?;
        match self.keys {
            Some(keys) => record.check(keys, self.origin),
            None => record.check_unsigned(),
        }
        .map_err(|error| error.to_string())?;
        let leaf_hash = leaf_hash(&record.leaf);
        if leaf_hash != in_tree {
            return Err("the leaf is not the one in the tree".to_owned());
        }
        let id = OpenPart::parse(&record.leaf)
            .map_err(|error| error.to_string())?
            .id;
        Ok(Sound {
            id,
            record,
            leaf_hash,
        })
    }

    async fn commit(&self, edge: &Edge, entries: &[Sound]) -> Result<Edge, Failure> {
        let mut unknown = None;
        for _ in 0..ATTEMPTS {
            let mut after = edge.clone();
            let mut nodes = Vec::new();
            let entries = entries.iter().map(|one| {
                Node::push_leaf(&mut after, one.leaf_hash, &mut nodes);
                BatchEntry {
                    id: one.id,
                    record: &one.record,
                    leaf_hash: one.leaf_hash,
                }
            });
            let entries = entries.collect();
            let batch = Batch {
                first_index: edge.size(),
                entries,
                nodes,
            };
            let outcome = self.target.commit(edge.head(), batch, after.head()).await;
            match outcome {
                Ok(()) => return Ok(after),
                Err(error) if error.kind() == CommitErrorKind::Unknown => {
                    let stands = self.target.lead().await.map_err(unwritable)?;
                    if stands.head() == after.head() {
                        return Ok(after);
                    }
                    let unchanged = stands.head() == edge.head();
                    unknown = Some(error);
                    if !unchanged {
                        break;
                    }
                }
                Err(error) => return Err(failed_at(edge.size(), &error)),
            }
        }
        let why = unknown.map_or_else(|| "no answer".to_owned(), |error| error.to_string());
        Err(failed_at(edge.size(), &why))
    }
}

fn failed_at(index: u64, why: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(format!(
        "--to: entries from {index} on could not be added: {why}. Run this again, and it goes on there"
    ))
}
