//! Planning a batch: pure, so that everything that decides about indices and conflicts can
//! be tested without a store or a queue.

use std::collections::HashMap;

use audittrail_entry::{OpenPart, Record, is_retry_of};
use audittrail_merkle::{Edge, TreeHead};
use audittrail_queue::{Delivery, DeliveryId, IdOrigin, Outcome, Placed, Submission};
use audittrail_store::{Batch, BatchEntry, Node};
use uuid::Uuid;

use crate::Instead;

/// An entry that is in the log already under an id that a delivery brings.
#[derive(Debug, Clone)]
pub struct Existing {
    /// Its index.
    pub index: u64,
    /// Its record; `None` where it cannot be read, so that nothing equals it.
    pub record: Option<Record>,
}

impl Existing {
    /// Whether it is what a submission would store.
    pub(crate) fn is_same(&self, entry: &Submission) -> bool {
        self.record
            .as_ref()
            .is_some_and(|stored| is_same(stored, entry))
    }
}

/// What one commit will do, and what to tell whom once it has.
#[derive(Debug)]
pub struct Plan<'d> {
    /// What to commit; without entries if every delivery was a retry or a conflict.
    pub batch: Batch<'d>,
    /// The right edge after it.
    pub edge: Edge,
    /// The head after it.
    pub head: TreeHead,
    /// What becomes of each delivery if the commit succeeds.
    pub outcomes: Vec<(DeliveryId, Outcome)>,
}

/// Whether a submission's id has to be looked up before it is planned.
pub(crate) fn needs_lookup(delivery: &Delivery, submission: &Submission) -> bool {
    delivery.redelivered || submission.origin != IdOrigin::Server
}

/// Gives out indices to all entries of `deliveries`, on top of `edge`. `known` holds what
/// the log has under the ids that had to be looked up.
pub fn plan<'d>(
    edge: &Edge,
    deliveries: &'d [Delivery],
    known: &HashMap<Uuid, Existing>,
) -> Plan<'d> {
    place_all(edge, deliveries, known, None)
}

/// The same, where entries of acknowledged requests whose ids are taken are not refused: those of
/// `instead` are placed for them. A request with a conflict that `instead` has nothing for is refused
/// as a whole, as any other. `known` also holds what the log has under the ids of `instead`.
pub fn plan_instead<'d>(
    edge: &Edge,
    deliveries: &'d [Delivery],
    known: &HashMap<Uuid, Existing>,
    instead: &'d Instead,
) -> Plan<'d> {
    place_all(edge, deliveries, known, Some(instead))
}

fn place_all<'d>(
    edge: &Edge,
    deliveries: &'d [Delivery],
    known: &HashMap<Uuid, Existing>,
    instead: Option<&'d Instead>,
) -> Plan<'d> {
    let first_index = edge.size();
    // An id that the server made comes back from a client that was told it and not the outcome,
    // and then may stand in one batch with the request that made it.
    let some_may_repeat = deliveries.iter().any(|delivery| {
        let mut entries = delivery.request.entries.iter();
        entries.any(|entry| needs_lookup(delivery, entry))
    });
    let mut planner = Planner {
        known,
        instead,
        some_may_repeat,
        edge: edge.clone(),
        batch: Batch {
            first_index,
            entries: Vec::new(),
            nodes: Vec::new(),
        },
        planned: HashMap::new(),
    };
    let outcomes = deliveries
        .iter()
        .map(|delivery| (delivery.id, planner.place(delivery)))
        .collect();
    let head = planner.edge.head();
    Plan {
        batch: planner.batch,
        edge: planner.edge,
        head,
        outcomes,
    }
}

struct Planner<'d, 'k> {
    known: &'k HashMap<Uuid, Existing>,
    instead: Option<&'d Instead>,
    /// Whether any entry may be one that this batch has already.
    some_may_repeat: bool,
    edge: Edge,
    batch: Batch<'d>,
    /// The entries of this batch by id, if any may come again: positions in it.
    planned: HashMap<Uuid, usize>,
}

/// What becomes of an entry whose id was looked up.
enum Decision<'d> {
    New,
    /// This is committed for it.
    Instead(&'d Submission),
    /// It is in the log, or will be, at this index.
    Retry(u64),
    /// It repeats the entry at this position of its own request.
    Repeats(usize),
    Conflict,
}

impl<'d> Planner<'d, '_> {
    fn place(&mut self, delivery: &'d Delivery) -> Outcome {
        let entries = &delivery.request.entries;
        let mut earlier: HashMap<Uuid, usize> = HashMap::new();
        let mut decisions = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            if !needs_lookup(delivery, entry) {
                decisions.push(Decision::New);
                continue;
            }
            decisions.push(match earlier.get(&entry.id) {
                Some(&before) if is_same(&entries[before].record, entry) => {
                    Decision::Repeats(before)
                }
                Some(_) => Decision::Conflict,
                None => self.decide(entry),
            });
            earlier.entry(entry.id).or_insert(at);
        }
        let conflicts: Vec<usize> = decisions
            .iter()
            .enumerate()
            .filter_map(|(at, decision)| matches!(decision, Decision::Conflict).then_some(at))
            .collect();
        for at in &conflicts {
            match self.instead(delivery, *at) {
                Some(decision) => decisions[*at] = decision,
                None => return Outcome::Conflict(conflicts),
            }
        }
        let mut placed: Vec<Placed> = Vec::with_capacity(entries.len());
        for (entry, decision) in entries.iter().zip(decisions) {
            let (index, retried) = match decision {
                Decision::Retry(index) => (index, true),
                Decision::Repeats(before) => (placed[before].index, true),
                Decision::New | Decision::Conflict => (self.append(entry), false),
                Decision::Instead(own) => match self.planned.get(&own.id) {
                    Some(at) => (self.batch.first_index + *at as u64, true),
                    None => (self.append(own), false),
                },
            };
            placed.push(Placed { index, retried });
        }
        Outcome::Committed(placed)
    }

    /// Whether an id is in the log, or was placed in this batch by an earlier request.
    fn decide(&self, entry: &Submission) -> Decision<'d> {
        let Some((index, record)) = self.find(&entry.id) else {
            return Decision::New;
        };
        if record.is_some_and(|stored| is_same(stored, entry)) {
            Decision::Retry(index)
        } else {
            Decision::Conflict
        }
    }

    /// What is under an id, in the log or in this batch: its index, and its record if it can be read.
    fn find(&self, id: &Uuid) -> Option<(u64, Option<&Record>)> {
        if let Some(existing) = self.known.get(id) {
            return Some((existing.index, existing.record.as_ref()));
        }
        let at = *self.planned.get(id)?;
        let index = self.batch.first_index + at as u64;
        Some((index, Some(self.batch.entries[at].record)))
    }

    /// What is committed for an entry in conflict, unless the whole request is refused. Its leaf
    /// follows from the entry: where that is under its id, the same request was placed before.
    fn instead(&self, delivery: &Delivery, at: usize) -> Option<Decision<'d>> {
        let own = self.instead?.get(delivery, at)?;
        match self.find(&own.id) {
            None => Some(Decision::Instead(own)),
            Some((index, record)) => record
                .is_some_and(|stored| stored.leaf == own.record.leaf)
                .then_some(Decision::Retry(index)),
        }
    }

    fn append(&mut self, entry: &'d Submission) -> u64 {
        let index = self.edge.size();
        Node::push_leaf(&mut self.edge, entry.leaf_hash, &mut self.batch.nodes);
        if self.some_may_repeat {
            self.planned.insert(entry.id, self.batch.entries.len());
        }
        self.batch.entries.push(BatchEntry {
            id: entry.id,
            record: &entry.record,
            leaf_hash: entry.leaf_hash,
        });
        index
    }
}

fn is_same(stored: &Record, entry: &Submission) -> bool {
    let Ok(open) = OpenPart::parse(&entry.record.leaf) else {
        return false;
    };
    let Some(sealed) = &entry.record.sealed else {
        return false;
    };
    let timestamp = match entry.origin {
        IdOrigin::Client {
            timestamp_given: false,
        } => None,
        IdOrigin::Client {
            timestamp_given: true,
        }
        | IdOrigin::Server => Some(open.timestamp),
    };
    is_retry_of(
        stored,
        &open.action,
        open.outcome,
        open.tenant.as_deref(),
        timestamp,
        &sealed.bytes,
    )
}
