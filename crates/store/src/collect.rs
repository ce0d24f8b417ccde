//! Selecting a page while going once over all entries, in memory bounded by the page.

use std::collections::BinaryHeap;

use audittrail_entry::Entry;

use crate::{Count, CountMode, Direction, Key, Page, Query, Start, Stored};

/// Keeps the keys of one page out of any number of entries offered in any order.
#[derive(Debug)]
pub struct Collector<'q> {
    query: &'q Query,
    /// Ranks of the best candidates, the worst on top.
    heap: BinaryHeap<((i64, u64), KeyOrd)>,
    capacity: usize,
    matched: u64,
    /// Matches on the near side of the starting key.
    passed: u64,
    candidates: u64,
    damaged: Vec<(u64, String)>,
}

/// A key that takes no part in comparisons beyond its rank.
#[derive(Debug, Clone, Copy)]
struct KeyOrd(Key);

impl PartialEq for KeyOrd {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for KeyOrd {}
impl PartialOrd for KeyOrd {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for KeyOrd {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// The most damaged entries that one page reports; the rest is found by the scrub.
const DAMAGED_REPORTED: usize = 1_000;

impl<'q> Collector<'q> {
    /// A collector for one query.
    pub fn new(query: &'q Query) -> Self {
        let skip = match query.start {
            Start::Skip(skip) => skip,
            Start::At(..) => 0,
        };
        Self {
            query,
            heap: BinaryHeap::new(),
            capacity: skip.saturating_add(query.limit),
            matched: 0,
            passed: 0,
            candidates: 0,
            damaged: Vec::new(),
        }
    }

    /// Looks at one entry.
    pub fn offer(&mut self, stored: &Stored) {
        match &stored.record {
            Ok(record) => {
                let sealed = record.sealed.as_ref().map(|sealed| sealed.bytes.as_slice());
                self.offer_parts(stored.index, &record.leaf, sealed);
            }
            Err(damage) => self.offer_damaged(stored.index, &damage.0),
        }
    }

    /// Looks at one entry whose bytes were read.
    pub fn offer_parts(&mut self, index: u64, leaf: &[u8], sealed: Option<&[u8]>) {
        match Entry::parse(leaf, sealed) {
            Ok(entry) => self.consider(index, Some(&entry)),
            Err(error) => self.offer_damaged(index, &error.to_string()),
        }
    }

    /// Takes note of one entry that cannot be read.
    pub fn offer_damaged(&mut self, index: u64, reason: &str) {
        if index >= self.query.size {
            return;
        }
        if self.damaged.len() < DAMAGED_REPORTED {
            self.damaged.push((index, reason.to_owned()));
        }
        self.consider(index, None);
    }

    fn consider(&mut self, index: u64, entry: Option<&Entry<'_>>) {
        if !self.query.selects(index, entry, false) {
            return;
        }
        self.matched += 1;
        let key = match entry {
            Some(entry) => self.query.order.key(entry.open.timestamp, index),
            None => self
                .query
                .order
                .key(audittrail_entry::Timestamp::from_nanos(i64::MIN), index),
        };
        let mut rank = self.query.order.rank(key);
        if let Start::At(from, direction) = self.query.start {
            let from = self.query.order.rank(from);
            let beyond = match direction {
                Direction::After => rank > from,
                Direction::Before => rank < from,
            };
            if !beyond {
                self.passed += 1;
                return;
            }
            if direction == Direction::Before {
                rank = (!rank.0, !rank.1);
            }
        }
        self.candidates += 1;
        if self.heap.len() < self.capacity {
            self.heap.push((rank, KeyOrd(key)));
        } else if self.heap.peek().is_some_and(|worst| rank < worst.0) {
            self.heap.pop();
            self.heap.push((rank, KeyOrd(key)));
        }
    }

    /// The page.
    pub fn finish(self) -> Page {
        let query = self.query;
        let mut keys: Vec<Key> = self
            .heap
            .into_sorted_vec()
            .into_iter()
            .map(|(_, key)| key.0)
            .collect();
        let beyond = self.candidates > keys.len() as u64;
        let (before, after) = match query.start {
            Start::Skip(skip) => {
                keys.drain(..skip.min(keys.len()));
                (skip > 0 && self.matched > 0, beyond)
            }
            Start::At(_, Direction::After) => (self.passed > 0, beyond),
            Start::At(_, Direction::Before) => {
                keys.reverse();
                (beyond, self.passed > 0)
            }
        };
        let count = match query.count {
            CountMode::None => None,
            CountMode::Exact => Some(Count {
                value: self.matched,
                exact: true,
            }),
            CountMode::Limited => Some(Count {
                value: self.matched.min(Count::LIMIT),
                exact: self.matched <= Count::LIMIT,
            }),
        };
        Page {
            keys,
            count,
            before,
            after,
            damaged: self.damaged,
        }
    }
}
