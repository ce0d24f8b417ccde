//! What clients sent, what they were told, and what has to be true of the log because of it.

use std::collections::BTreeMap;

use audittrail_merkle::{Hash, TreeHead};
use audittrail_store::Order;
use serde_json::{Map, Value};

/// An entry that a client sends, perhaps several times; its number stands in its `details`.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// The members as they have to be stored, the id and the server's own excepted.
    pub(crate) expected: Map<String, Value>,
    /// What is sent.
    pub(crate) body: Map<String, Value>,
    /// Its index, from when a client was told it.
    pub(crate) acknowledged: Option<u64>,
    /// Attempts that have no answer, or none that says what became of them.
    pub(crate) open: u32,
    /// It brings the id of this other one, which was acknowledged before.
    pub(crate) conflicts_with: Option<usize>,
}

impl Sent {
    /// The id, if the client knows one.
    pub(crate) fn id(&self) -> Option<&str> {
        self.body.get("id").and_then(Value::as_str)
    }
}

/// How the entries of a request are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    One,
    Array,
    Lines,
}

/// A request, perhaps sent several times.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// Numbers of its entries, in order.
    pub(crate) entries: Vec<usize>,
    pub(crate) form: Form,
    pub(crate) key: Option<String>,
    pub(crate) token: usize,
}

/// Something that a client read, of the log at one size of a range.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The second is `u64::MAX` where nobody knows.
    pub(crate) sizes: (u64, u64),
    pub(crate) parameters: Vec<(&'static str, String)>,
    pub(crate) token: usize,
    pub(crate) what: Sight,
}

/// What was read.
#[derive(Debug, Clone)]
pub(crate) enum Sight {
    /// The beginning of a list; whether it was all of it.
    List {
        order: Order,
        indices: Vec<u64>,
        ids: Vec<String>,
        whole: bool,
        count: Option<u64>,
    },
    /// A number of statistics.
    Count(u64),
    /// How often each action is there.
    Actions(BTreeMap<String, u64>),
    /// The proof of an entry, in the text of C2SP tlog-proof.
    Proof { index: u64, text: String },
}

/// What a client heard, over all its connections.
#[derive(Debug, Clone)]
pub(crate) struct Listened {
    pub(crate) parameters: Vec<(&'static str, String)>,
    /// From where on it has heard everything, once it knows.
    pub(crate) start: Option<i64>,
    /// Up to where, inclusive.
    pub(crate) passed: i64,
    /// Indices, in order.
    pub(crate) got: Vec<u64>,
}

/// What clients know.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) sent: Vec<Sent>,
    pub(crate) batches: Vec<Batch>,
    /// Checkpoints that clients have seen since the last check, and the newest before.
    pub(crate) shown: Vec<TreeHead>,
    pub(crate) newest_shown: u64,
    pub(crate) seen: Vec<Seen>,
    pub(crate) listened: Vec<Listened>,
    /// Exports that were asked for, and those that were begun.
    pub(crate) exports: (u64, u64),
    /// The leaves of the log that a start found or an end left: they stay.
    pub(crate) settled: Vec<Hash>,
    pub(crate) counts: Counts,
}

/// What a simulation came through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a number of what its name says")]
pub struct Counts {
    pub requests: u64,
    pub acknowledged: u64,
    pub retried: u64,
    pub refused: u64,
    pub conflicts: u64,
    pub unknown: u64,
    pub reads: u64,
    pub proofs: u64,
    pub streams: u64,
    pub heard: u64,
    pub crashes: u64,
    pub power_cuts: u64,
    pub failed_starts: u64,
    pub fatal_ends: u64,
    pub stops: u64,
    pub steps_of_index: u64,
    pub packed: u64,
    pub entries: u64,
}

impl Counts {
    /// Adds another simulation's.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.acknowledged += other.acknowledged;
        self.retried += other.retried;
        self.refused += other.refused;
        self.conflicts += other.conflicts;
        self.unknown += other.unknown;
        self.reads += other.reads;
        self.proofs += other.proofs;
        self.streams += other.streams;
        self.heard += other.heard;
        self.crashes += other.crashes;
        self.power_cuts += other.power_cuts;
        self.failed_starts += other.failed_starts;
        self.fatal_ends += other.fatal_ends;
        self.stops += other.stops;
        self.steps_of_index += other.steps_of_index;
        self.packed += other.packed;
        self.entries += other.entries;
    }
}

impl Ledger {
    /// Clients sent these entries and have no answer yet.
    pub(crate) fn begin(&mut self, entries: &[usize]) {
        for entry in entries {
            self.sent[*entry].open += 1;
        }
    }

    /// That attempt is over, and it is known what became of it.
    pub(crate) fn end(&mut self, entries: &[usize]) {
        for entry in entries {
            self.sent[*entry].open -= 1;
        }
    }

    /// A client was told that an entry is at an index.
    pub(crate) fn acknowledge(&mut self, entry: usize, index: u64) -> Result<(), String> {
        let sent = &mut self.sent[entry];
        match sent.acknowledged.replace(index) {
            Some(before) if before != index => Err(format!(
                "entry {entry} was said to be at index {before}, and then at {index}"
            )),
            Some(_) => {
                self.counts.retried += 1;
                Ok(())
            }
            None => {
                self.counts.acknowledged += 1;
                Ok(())
            }
        }
    }

    /// A client saw a checkpoint.
    pub(crate) fn show(&mut self, head: TreeHead) {
        self.newest_shown = self.newest_shown.max(head.size);
        self.shown.push(head);
    }
}
