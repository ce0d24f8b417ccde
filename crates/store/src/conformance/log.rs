//! The model: the log as it has to be.

use std::sync::Arc;

use audittrail_checkpoint::{Checkpoint, Signer};
use audittrail_entry::Record;
use audittrail_merkle::{Edge, Hash, TreeHead, leaf_hash};
use uuid::Uuid;

use super::{Generator, ORIGIN};
use crate::{Batch, BatchEntry, CommitError, KeptCheckpoint, Node, Store, StoreErrorKind};

/// The key that signs the suite's checkpoints.
pub fn signer() -> Signer {
    Signer::from_seed(ORIGIN, [7; 32]).unwrap()
}

/// A log as it has to be, beside the store that keeps it.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// The records in log order, with their ids.
    pub entries: Vec<(Uuid, Record)>,
    /// The right edge after them.
    pub edge: Edge,
    /// The nodes of levels 0, 8, 16, ….
    pub levels: Vec<Vec<Hash>>,
    /// The newest checkpoint that was kept.
    pub checkpoint: Option<KeptCheckpoint>,
}

/// A batch that was planned and not committed.
#[derive(Debug, Clone)]
pub struct Planned {
    pub(super) first_index: u64,
    pub(super) entries: Vec<(Uuid, Record)>,
    pub(super) nodes: Vec<Node>,
    pub(super) edge: Edge,
}

impl Planned {
    /// As a commit takes it.
    pub fn batch(&self) -> Batch<'_> {
        let entries = self.entries.iter().map(|(id, record)| BatchEntry {
            id: *id,
            record,
            leaf_hash: leaf_hash(&record.leaf),
        });
        Batch {
            first_index: self.first_index,
            entries: entries.collect(),
            nodes: self.nodes.clone(),
        }
    }
}

impl Log {
    /// A log of as many entries as `batches` add up to, in a store that was empty.
    pub async fn fill(store: &Arc<dyn Store>, seed: u64, batches: &[usize]) -> Self {
        let mut log = Self::default();
        let mut generator = Generator::new(seed);
        for size in batches {
            let entries = (0..*size).map(|_| generator.entry()).collect();
            log.commit(store, entries).await;
        }
        log
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Plans a batch on top of this log.
    pub fn plan(&self, entries: Vec<(Uuid, Record)>) -> Planned {
        let mut edge = self.edge.clone();
        let mut nodes = Vec::new();
        for (_, record) in &entries {
            edge.push_with(leaf_hash(&record.leaf), |level, index, hash| {
                if level > 0 && level % 8 == 0 {
                    nodes.push(Node { level, index, hash });
                }
            });
        }
        Planned {
            first_index: self.size(),
            entries,
            nodes,
            edge,
        }
    }

    /// Takes a batch that was committed into the model.
    pub fn accept(&mut self, planned: Planned) {
        let leaves = planned.entries.iter();
        let leaves: Vec<Hash> = leaves.map(|(_, r)| leaf_hash(&r.leaf)).collect();
        self.level(0).extend(leaves);
        for node in &planned.nodes {
            self.level(node.level).push(node.hash);
        }
        self.entries.extend(planned.entries);
        self.edge = planned.edge;
    }

    fn level(&mut self, level: u8) -> &mut Vec<Hash> {
        let at = usize::from(level / 8);
        if self.levels.len() <= at {
            self.levels.resize_with(at + 1, Vec::new);
        }
        &mut self.levels[at]
    }

    /// Tries to commit a batch that was planned on the head `expected`.
    pub(super) async fn attempt(
        store: &Arc<dyn Store>,
        expected: TreeHead,
        planned: &Planned,
    ) -> Result<(), CommitError> {
        let new = planned.edge.head();
        store.commit(expected, planned.batch(), new).await
    }

    /// Commits a batch, which has to succeed.
    pub async fn commit(&mut self, store: &Arc<dyn Store>, entries: Vec<(Uuid, Record)>) {
        let planned = self.plan(entries);
        if let Err(error) = Self::attempt(store, self.edge.head(), &planned).await {
            panic!("a good commit at {} failed: {error}", self.size());
        }
        self.accept(planned);
    }

    /// A signed checkpoint of the head.
    pub fn sign(&self) -> KeptCheckpoint {
        sign(self.edge.head())
    }

    /// Keeps a checkpoint of the head, which has to succeed.
    pub async fn keep_checkpoint(&mut self, store: &Arc<dyn Store>) {
        let checkpoint = self.sign();
        store.keep_checkpoint(&checkpoint).await.unwrap();
        self.checkpoint = Some(checkpoint);
    }

    /// The store gives this log and nothing else, whichever way it is asked.
    pub async fn check(&self, store: &Arc<dyn Store>) {
        let head = self.edge.head();
        assert_eq!(store.head().await.unwrap(), head, "the head");
        assert_eq!(store.lead().await.unwrap(), self.edge, "the right edge");
        assert_eq!(
            store.checkpoint().await.unwrap(),
            self.checkpoint,
            "the newest checkpoint"
        );
        let mut next = 0;
        while next < head.size {
            let scanned = store.scan(next..head.size, 1 << 16).await.unwrap();
            assert!(!scanned.is_empty(), "a scan at {next} gave nothing");
            for stored in scanned {
                assert_eq!(stored.index, next, "a scan skips or repeats");
                let expected = &self.entries[next as usize].1;
                assert_eq!(stored.record.as_ref(), Ok(expected), "entry {next}");
                next += 1;
            }
        }
        let indices: Vec<u64> = (0..head.size).rev().collect();
        for part in indices.chunks(1_000) {
            for (stored, index) in store.records(part).await.unwrap().iter().zip(part) {
                assert_eq!(stored.index, *index, "records in another order");
                let expected = &self.entries[*index as usize].1;
                assert_eq!(stored.record.as_ref(), Ok(expected), "entry {index}");
            }
        }
        let ids: Vec<Uuid> = self.entries.iter().map(|(id, _)| *id).collect();
        let found = store.find(&ids).await.unwrap();
        assert!(found.into_iter().eq((0..head.size).map(Some)), "ids");
        self.check_tree(store).await;
    }

    async fn check_tree(&self, store: &Arc<dyn Store>) {
        for (at, expected) in (0..8_u8).map(|at| (at, self.levels.get(usize::from(at)))) {
            let expected = expected.map_or(&[][..], Vec::as_slice);
            let len = expected.len() as u64;
            assert_eq!(len, self.size() >> (8 * u32::from(at)), "the model's tree");
            let given = store.hashes(8 * at, 0..len).await.unwrap();
            assert_eq!(given, expected, "the hashes of level {}", 8 * at);
        }
    }
}

/// A signed checkpoint of any head.
pub(super) fn sign(head: TreeHead) -> KeptCheckpoint {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        head,
        extensions: Vec::new(),
    };
    let note = checkpoint.sign(&[&signer()]).unwrap();
    KeptCheckpoint { head, note }
}

/// The answer is an error of kind `Invalid`.
pub(super) fn assert_invalid<T: std::fmt::Debug>(answer: Result<T, crate::StoreError>, what: &str) {
    match answer {
        Ok(answer) => panic!("{what}: the answer is {answer:?}, not Invalid"),
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::Invalid, "{what}: {error}"),
    }
}
