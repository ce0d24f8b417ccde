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
    /// Whether there are matches on the near side of the starting key.
    passed: bool,
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
            passed: false,
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
        let timestamp = match entry {
            Some(entry) => entry.open.timestamp,
            None => audittrail_entry::Timestamp::from_nanos(i64::MIN),
        };
        self.offer_selected(self.query.order.key(timestamp, index));
    }

    /// Takes note of matches without looking at their keys.
    pub fn count(&mut self, matches: u64) {
        self.matched += matches;
    }

    /// How many matches there are so far.
    pub fn matched(&self) -> u64 {
        self.matched
    }

    /// Looks at the key of an entry that the query selects, and that was or will be counted
    /// by [`Collector::count`].
    pub fn offer_selected(&mut self, key: Key) {
        let mut rank = self.query.order.rank(key);
        if let Start::At(from, direction) = self.query.start {
            let from = self.query.order.rank(from);
            let beyond = match direction {
                Direction::After => rank > from,
                Direction::Before => rank < from,
            };
            if !beyond {
                self.passed = true;
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

    /// Whether the page is full, with more to follow, by keys that come before any key not
    /// before `next`, as seen from where the page starts.
    pub fn is_settled(&self, next: Key) -> bool {
        let mut rank = self.query.order.rank(next);
        if let Start::At(_, Direction::Before) = self.query.start {
            rank = (!rank.0, !rank.1);
        }
        self.candidates > self.capacity as u64
            && self.heap.peek().is_none_or(|worst| worst.0 < rank)
    }

    /// Whether nothing was found yet from where the page starts.
    pub fn is_empty(&self) -> bool {
        self.candidates == 0
    }

    /// Whether a match was seen on the near side of where the page starts.
    pub fn has_passed(&self) -> bool {
        self.passed
    }

    /// Says that there is a match on the near side of where the page starts.
    pub fn set_passed(&mut self) {
        self.passed = true;
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
            Start::At(_, Direction::After) => (self.passed, beyond),
            Start::At(_, Direction::Before) => {
                keys.reverse();
                (beyond, self.passed)
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
