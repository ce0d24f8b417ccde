//! The contract of a store.

use std::ops::Range;

use async_trait::async_trait;
use audittrail_entry::Record;
use audittrail_merkle::{Edge, Hash, TreeHead};
use uuid::Uuid;

use crate::{CommitError, Page, Query, Stats, StatsQuery, StoreError};

/// One record with its place, as a batch carries it.
#[derive(Debug, Clone, Copy)]
pub struct BatchEntry<'a> {
    /// The entry's id, which is also in the leaf.
    pub id: Uuid,
    /// What is kept.
    pub record: &'a Record,
    /// SHA-256(0x00 ‖ leaf).
    pub leaf_hash: Hash,
}

/// A node of the tree that a batch completed, at a level that tiles hold (8, 16, …).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Height above the leaves: a multiple of eight.
    pub level: u8,
    /// Position within its level, from 0.
    pub index: u64,
    /// The node's hash.
    pub hash: Hash,
}

impl Node {
    /// Appends a leaf to a tree, and the nodes above it that it completes to `nodes`.
    pub fn push_leaf(edge: &mut Edge, leaf: Hash, nodes: &mut Vec<Self>) {
        edge.push_with(leaf, |level, index, hash| {
            if level > 0 && level % 8 == 0 {
                nodes.push(Self { level, index, hash });
            }
        });
    }
}

/// What one commit adds to the log: consecutive entries, never none.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The index of the first entry: the size of the log before.
    pub first_index: u64,
    /// The entries in log order.
    pub entries: Vec<BatchEntry<'a>>,
    /// The completed nodes above the leaves, each level in order.
    pub nodes: Vec<Node>,
}

/// An entry as the store could read it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its place in the log.
    pub index: u64,
    /// The record, or why there is none. Whatever is wrong with one entry never
    /// hides it and never fails the read of another.
    pub record: Result<Record, Damage>,
}

/// Why a record cannot be read, naming the place: a file and an offset, or a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damage(pub String);

/// The newest checkpoint that the store keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCheckpoint {
    /// The tree head that it signs.
    pub head: TreeHead,
    /// The signed note, as shown to clients.
    pub note: String,
}

/// A store keeps one log: its entries in order, its tree and its newest checkpoint.
///
/// **Durability.** When [`Store::commit`] returns `Ok`, the whole batch survives a power
/// cut; when it returns an error of kind `Refused`, none of it will ever appear. Nothing
/// of a batch is visible to any reader before it is durable.
///
/// **Ordering.** Indices are consecutive from 0. A reader that has seen a head sees every
/// entry below it, in every later call.
///
/// **Concurrency.** One leader at a time commits: `commit` is a compare-and-swap on the
/// head, so of two leaders one is told that it lost. Readers run beside it and beside each
/// other. Dropping a future of `commit` before it is ready leaves the outcome unknown.
///
/// **Retries.** Reads may be repeated. A commit is never repeated as it is: what to do is
/// the [`crate::CommitErrorKind`].
///
/// **Damage.** What a disk holds never makes a store panic. A record that cannot be read
/// is a [`Damage`] at its index.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Takes the lead and gives the right edge of the committed log, on which the next
    /// batch is planned. Called at start and after an unknown outcome. `Led` if another process
    /// has it.
    async fn lead(&self) -> Result<Edge, StoreError>;

    /// Adds `batch` to a log whose head is `expected`, after which its head is `new`.
    async fn commit(
        &self,
        expected: TreeHead,
        batch: Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError>;

    /// Keeps a signed checkpoint of a committed head. On `Ok` it is durable, and so is
    /// everything derived that a start needs to confirm it. It replaces an earlier one; one
    /// smaller than that, of more than is committed, or with a root that the log did not have at
    /// that size, is `Invalid`. `Led` if another process has taken the lead.
    async fn keep_checkpoint(&self, checkpoint: &KeptCheckpoint) -> Result<(), StoreError>;

    /// The committed head. What this process committed is in it at once.
    async fn head(&self) -> Result<TreeHead, StoreError>;

    /// The newest checkpoint kept; none before the first.
    async fn checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError>;

    /// The indices of the entries with these ids, in the order asked.
    async fn find(&self, ids: &[Uuid]) -> Result<Vec<Option<u64>>, StoreError>;

    /// The entries at these indices, in the order asked. An index at or above the head is
    /// `Invalid`.
    async fn records(&self, indices: &[u64]) -> Result<Vec<Stored>, StoreError>;

    /// Consecutive entries from `range.start`: at least one and at most the range, fewer
    /// where `max_bytes` of records are reached first; up to 256 may be read together before
    /// that is looked at. An empty range gives none; one that ends above the head is
    /// `Invalid`.
    async fn scan(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Stored>, StoreError>;

    /// One page of the entries that a query selects.
    async fn search(&self, query: &Query) -> Result<Page, StoreError>;

    /// Counts the entries that a query selects, exactly, as [`crate::Tally`] does when it is
    /// offered every entry of the log. `Invalid` if, and only if, they lie in more intervals than
    /// the query allows. Memory is bounded whatever the log holds. Dropping the future ends the
    /// work soon, also that on other threads.
    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError>;

    /// Hashes of the tree at a level that tiles hold (0, 8, 16, …), by their position in it.
    /// Every complete node below the committed head is there, or the answer is an error; any
    /// other position or level is `Invalid`.
    async fn hashes(&self, level: u8, range: Range<u64>) -> Result<Vec<Hash>, StoreError>;

    /// [`Store::hashes`] of several ranges of a level: where a store reads them together, that
    /// costs less than one after the other.
    async fn hash_runs(
        &self,
        level: u8,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Vec<Hash>>, StoreError> {
        let mut runs = Vec::with_capacity(ranges.len());
        for range in ranges {
            runs.push(self.hashes(level, range.clone()).await?);
        }
        Ok(runs)
    }

    /// The record of a damaged entry without its sealed part, where the rest of it is as it was
    /// written, as far as the store can tell; `None` where it is not, or the store keeps both as one.
    async fn open_part(&self, _index: u64) -> Result<Option<Record>, StoreError> {
        Ok(None)
    }

    /// Whether a write could be taken now; if not, why.
    async fn ready(&self) -> Result<(), StoreError>;
}
