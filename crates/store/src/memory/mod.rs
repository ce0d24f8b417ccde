//! A store in memory: the reference that the suite is tried on, and what tests of the layers
//! above run over, since it can be told to fail.

mod fault;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use audittrail_entry::Record;
use audittrail_merkle::{Edge, Hash, TreeHead};
use uuid::Uuid;

pub use fault::Fault;

use crate::{
    Batch, Collector, CommitError, CommitErrorKind, Damage, KeptCheckpoint, Node, Page, Query,
    Stats, StatsQuery, Store, StoreError, StoreErrorKind, Stored, Tally,
};

/// Levels 0, 8, … 56 hold every tree of fewer than 2^64 leaves.
const LEVELS: usize = 8;

type Row = (Uuid, Record, Hash);

#[derive(Debug, Default)]
struct State {
    edge: Edge,
    records: Vec<Result<Record, Damage>>,
    ids: HashMap<Uuid, u64>,
    levels: [Vec<Hash>; LEVELS],
    checkpoint: Option<KeptCheckpoint>,
    faults: Vec<Fault>,
    /// Why nothing may be written any more.
    broken: Option<String>,
    /// What only a restart will find, since the process that wrote it was told to stop.
    batch_after_restart: Option<(Vec<Row>, Vec<Node>)>,
    checkpoint_after_restart: Option<KeptCheckpoint>,
    commits: u64,
}

/// A log in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next call that the fault fits fail so. Faults that fit the same call are
    /// used in the order in which they were injected, one a call.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// The faults that no call has met yet.
    pub fn faults(&self) -> Vec<Fault> {
        self.state().faults.clone()
    }

    /// What a new process would find: a store that was broken can be written again.
    pub fn restart(&self) {
        let mut state = self.state();
        state.broken = None;
        if let Some((rows, nodes)) = state.batch_after_restart.take() {
            state.append(rows, &nodes);
        }
        if let Some(checkpoint) = state.checkpoint_after_restart.take() {
            state.checkpoint = Some(checkpoint);
        }
    }

    /// Changes what is kept of an entry, behind the log's back.
    pub fn alter(&self, index: u64, change: impl FnOnce(&mut Record)) {
        if let Some(Ok(record)) = self.state().records.get_mut(index as usize) {
            change(record);
        }
    }

    /// Makes an entry unreadable.
    pub fn damage(&self, index: u64, why: &str) {
        if let Some(record) = self.state().records.get_mut(index as usize) {
            *record = Err(Damage(why.to_owned()));
        }
    }

    /// Changes a hash that is kept of the tree, at a level that tiles hold (0, 8, …).
    pub fn alter_hash(&self, level: u8, index: u64, hash: Hash) {
        let hashes = &mut self.state().levels[usize::from(level / 8)];
        if let Some(kept) = hashes.get_mut(index as usize) {
            *kept = hash;
        }
    }

    /// Puts a checkpoint beside the log, whatever it says.
    pub fn put_checkpoint(&self, checkpoint: KeptCheckpoint) {
        self.state().checkpoint = Some(checkpoint);
    }

    /// How many commits were stored.
    pub fn commits(&self) -> u64 {
        self.state().commits
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the first fault that `fits` gives an answer for.
    fn take<T>(&mut self, fits: impl Fn(Fault) -> Option<T>) -> Option<T> {
        let (at, fault) = self
            .faults
            .iter()
            .enumerate()
            .find_map(|(at, fault)| Some((at, fits(*fault)?)))?;
        self.faults.remove(at);
        Some(fault)
    }

    /// Fails if a fault of this call was injected.
    fn read(&mut self, call: fn(StoreErrorKind) -> Fault) -> Result<(), StoreError> {
        const KINDS: [StoreErrorKind; 5] = [
            StoreErrorKind::Unavailable,
            StoreErrorKind::Building,
            StoreErrorKind::Led,
            StoreErrorKind::Invalid,
            StoreErrorKind::Fatal,
        ];
        match self.take(|fault| KINDS.into_iter().find(|kind| call(*kind) == fault)) {
            Some(kind) => Err(StoreError::new(kind, "an injected fault")),
            None => Ok(()),
        }
    }

    fn append(&mut self, rows: Vec<Row>, nodes: &[Node]) {
        for (id, record, leaf_hash) in rows {
            self.ids.entry(id).or_insert(self.edge.size());
            self.edge.push(leaf_hash);
            self.levels[0].push(leaf_hash);
            self.records.push(Ok(record));
        }
        for node in nodes {
            self.levels[usize::from(node.level / 8)].push(node.hash);
        }
        self.commits += 1;
    }

    fn commit(
        &mut self,
        expected: TreeHead,
        batch: &Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError> {
        if let Some(why) = &self.broken {
            return Err(CommitError::new(CommitErrorKind::Fatal, why.clone()));
        }
        let head = self.edge.head();
        if head != expected {
            let message = format!("the head is at {}, not at {}", head.size, expected.size);
            return Err(CommitError::new(CommitErrorKind::Lost, message));
        }
        if !self.leads_to(batch, new) {
            let message = "the batch does not lead from the old head to the new one";
            return Err(CommitError::new(CommitErrorKind::Refused, message));
        }
        let rows = || -> Vec<Row> {
            let entries = batch.entries.iter();
            entries
                .map(|entry| (entry.id, entry.record.clone(), entry.leaf_hash))
                .collect()
        };
        let fault = self.take(|fault| match fault {
            Fault::CommitRefused => Some((CommitErrorKind::Refused, false)),
            Fault::CommitLost => Some((CommitErrorKind::Lost, false)),
            Fault::CommitUnknown { persisted } => Some((CommitErrorKind::Unknown, persisted)),
            Fault::CommitFatal { persisted } => Some((CommitErrorKind::Fatal, persisted)),
            _ => None,
        });
        let Some((kind, persisted)) = fault else {
            self.append(rows(), &batch.nodes);
            return Ok(());
        };
        let why = "an injected fault";
        if kind == CommitErrorKind::Fatal {
            self.broken = Some(why.to_owned());
            self.batch_after_restart = persisted.then(|| (rows(), batch.nodes.clone()));
        } else if persisted {
            self.append(rows(), &batch.nodes);
        }
        Err(CommitError::new(kind, why))
    }

    /// Whether the batch is what has to be added to this log to give that head, with all
    /// nodes that it completes and no others.
    fn leads_to(&self, batch: &Batch<'_>, new: TreeHead) -> bool {
        let mut edge = self.edge.clone();
        let mut nodes = Vec::new();
        for entry in &batch.entries {
            Node::push_leaf(&mut edge, entry.leaf_hash, &mut nodes);
        }
        let by_level = |nodes: &[Node]| {
            let mut nodes: Vec<Node> = nodes.to_vec();
            nodes.sort_by_key(|node| node.level);
            nodes
        };
        batch.first_index == self.edge.size()
            && !batch.entries.is_empty()
            && edge.head() == new
            && by_level(&nodes) == by_level(&batch.nodes)
    }

    fn keep_checkpoint(&mut self, new: &KeptCheckpoint) -> Result<(), StoreError> {
        if let Some(why) = &self.broken {
            return Err(StoreError::new(StoreErrorKind::Fatal, why.clone()));
        }
        let size = new.head.size;
        let kept = self.checkpoint.as_ref().map_or(0, |kept| kept.head.size);
        if size < kept || self.head_at(size) != Some(new.head) {
            return Err(invalid(format!(
                "a checkpoint of size {size} is not the log's next"
            )));
        }
        let fault = self.take(|fault| match fault {
            Fault::CheckpointUnavailable { persisted } => {
                Some((StoreErrorKind::Unavailable, persisted))
            }
            Fault::CheckpointFatal { persisted } => Some((StoreErrorKind::Fatal, persisted)),
            Fault::CheckpointLed => Some((StoreErrorKind::Led, false)),
            _ => None,
        });
        let Some((kind, persisted)) = fault else {
            self.checkpoint = Some(new.clone());
            return Ok(());
        };
        let why = "an injected fault";
        if kind == StoreErrorKind::Fatal {
            self.broken = Some(why.to_owned());
            self.checkpoint_after_restart = persisted.then(|| new.clone());
        } else if persisted {
            self.checkpoint = Some(new.clone());
        }
        Err(StoreError::new(kind, why))
    }

    /// The head that the log had at a size.
    fn head_at(&self, size: u64) -> Option<TreeHead> {
        if size == self.edge.size() {
            return Some(self.edge.head());
        }
        let leaves = self.levels[0].get(..usize::try_from(size).ok()?)?;
        let mut edge = Edge::new();
        leaves.iter().for_each(|leaf| edge.push(*leaf));
        Some(edge.head())
    }

    fn stored(&self, index: u64) -> Option<Stored> {
        let record = self.records.get(usize::try_from(index).ok()?)?.clone();
        Some(Stored { index, record })
    }
}

fn invalid(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, message)
}

fn above(index: u64, size: u64) -> StoreError {
    invalid(format!("index {index} is not below the log's size {size}"))
}

#[async_trait]
impl Store for MemoryStore {
    async fn lead(&self) -> Result<Edge, StoreError> {
        let mut state = self.state();
        state.read(Fault::Lead)?;
        let emptied = state.take(|fault| (fault == Fault::LeadOfEmpty).then_some(Edge::new()));
        Ok(emptied.unwrap_or_else(|| state.edge.clone()))
    }

    async fn commit(
        &self,
        expected: TreeHead,
        batch: Batch<'_>,
        new: TreeHead,
    ) -> Result<(), CommitError> {
        self.state().commit(expected, &batch, new)
    }

    async fn keep_checkpoint(&self, checkpoint: &KeptCheckpoint) -> Result<(), StoreError> {
        self.state().keep_checkpoint(checkpoint)
    }

    async fn head(&self) -> Result<TreeHead, StoreError> {
        Ok(self.state().edge.head())
    }

    async fn checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError> {
        let mut state = self.state();
        state.read(Fault::Checkpoint)?;
        Ok(state.checkpoint.clone())
    }

    async fn find(&self, ids: &[Uuid]) -> Result<Vec<Option<u64>>, StoreError> {
        let mut state = self.state();
        state.read(Fault::Find)?;
        Ok(ids.iter().map(|id| state.ids.get(id).copied()).collect())
    }

    async fn records(&self, indices: &[u64]) -> Result<Vec<Stored>, StoreError> {
        let mut state = self.state();
        state.read(Fault::Records)?;
        let size = state.edge.size();
        let one = |index: &u64| state.stored(*index).ok_or_else(|| above(*index, size));
        indices.iter().map(one).collect()
    }

    async fn scan(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Stored>, StoreError> {
        let mut state = self.state();
        state.read(Fault::Scan)?;
        if range.end > state.edge.size() {
            return Err(above(range.end, state.edge.size()));
        }
        let (mut bytes, mut scanned) = (0, Vec::new());
        for stored in range.filter_map(|index| state.stored(index)) {
            bytes += stored.record.as_ref().map_or(0, Record::size_bytes);
            scanned.push(stored);
            if bytes >= max_bytes {
                break;
            }
        }
        Ok(scanned)
    }

    async fn search(&self, query: &Query) -> Result<Page, StoreError> {
        let mut state = self.state();
        state.read(Fault::Search)?;
        let mut collector = Collector::new(query);
        for (index, record) in (0..).zip(&state.records) {
            match record {
                Ok(record) => {
                    let sealed = record.sealed.as_ref().map(|sealed| sealed.bytes.as_slice());
                    collector.offer_parts(index, &record.leaf, sealed);
                }
                Err(damage) => collector.offer_damaged(index, &damage.0),
            }
        }
        Ok(collector.finish())
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        let mut state = self.state();
        state.read(Fault::Stats)?;
        let mut tally = Tally::new(query);
        for stored in (0..state.edge.size()).filter_map(|index| state.stored(index)) {
            tally.offer(&stored);
        }
        tally.finish()
    }

    async fn hashes(&self, level: u8, range: Range<u64>) -> Result<Vec<Hash>, StoreError> {
        let mut state = self.state();
        state.read(Fault::Hashes)?;
        let hashes = state
            .levels
            .get(usize::from(level / 8))
            .filter(|_| level.is_multiple_of(8))
            .ok_or_else(|| invalid(format!("no tile holds level {level}")))?;
        let hashes = hashes.get(range.start as usize..range.end as usize);
        let outside = || invalid(format!("level {level} does not have all of {range:?}"));
        Ok(hashes.ok_or_else(outside)?.to_vec())
    }

    async fn ready(&self) -> Result<(), StoreError> {
        match &self.state().broken {
            None => Ok(()),
            Some(why) => Err(StoreError::new(StoreErrorKind::Fatal, why.clone())),
        }
    }
}
