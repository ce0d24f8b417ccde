//! The most frequent values, out of any number of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Facet, Top};

/// Keeps the most frequent ones of values that are offered in the order of their bytes, each
/// once.
#[derive(Debug)]
pub struct Ranking {
    top: usize,
    /// The worst on top: the least count, and of those the value that comes last.
    kept: BinaryHeap<(Reverse<u64>, Vec<u8>)>,
    distinct: u64,
}

impl Ranking {
    /// One that keeps so many.
    pub fn new(top: usize) -> Self {
        Self {
            top,
            kept: BinaryHeap::new(),
            distinct: 0,
        }
    }

    /// Takes note of the next value; of one that no entry has, nothing.
    pub fn offer(&mut self, value: &[u8], count: u64) {
        if count == 0 {
            return;
        }
        self.distinct += 1;
        if self.kept.len() < self.top {
            self.kept.push((Reverse(count), value.to_vec()));
        } else if let Some(mut worst) = self.kept.peek_mut()
            && worst.0.0 < count
        {
            // Of equals the first stays.
            worst.0 = Reverse(count);
            worst.1.clear();
            worst.1.extend_from_slice(value);
        }
    }

    /// The answer.
    pub fn finish(self, facet: Facet, missing: u64) -> Top {
        let sorted = self.kept.into_sorted_vec().into_iter();
        let text = |value: Vec<u8>| match String::from_utf8(value) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        Top {
            facet,
            values: sorted
                .map(|(Reverse(count), value)| (text(value), count))
                .collect(),
            distinct: self.distinct,
            missing,
        }
    }
}
