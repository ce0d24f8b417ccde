//! The documents of a segment that are selected, and when they happened.

use std::collections::BTreeSet;
use std::ops::Range;

use audittrail_store::Histogram;

use super::{GoOn, check};
use crate::error::IndexError;
use crate::plan::Plan;
use crate::schema::Fields;
use crate::segment::{BLOCK, Segment};

/// Words of bits of a block.
const WORDS: usize = BLOCK as usize / 64;
/// After so many matches somebody is asked whether to go on.
const BETWEEN: u64 = 1 << 16;
/// Where so few documents of a block are selected, their times are read one by one.
const SPARSE: u32 = BLOCK / 16;

/// Selected documents of a segment, at least one.
pub(crate) struct Selected<'s> {
    pub(crate) segment: &'s Segment,
    /// A bit for each document.
    bits: Vec<u64>,
    pub(crate) count: u64,
}

impl<'s> Selected<'s> {
    /// Those that a plan takes among the entries at `indices`, but for those of `apart`; none if
    /// there is none.
    pub(crate) fn new(
        segment: &'s Segment,
        (plan, fields): (&Plan, &Fields),
        indices: &Range<u64>,
        apart: &BTreeSet<u64>,
        go_on: GoOn<'_>,
    ) -> Result<Option<Self>, IndexError> {
        check(go_on)?;
        let docs = segment.docs(indices);
        if docs.is_empty() {
            return Ok(None);
        }
        let mut bits = vec![0; (segment.len as usize).div_ceil(64)];
        let Some(plan) = plan.for_segment(segment, fields)? else {
            return Ok(None);
        };
        if plan.extent(&docs).least == docs.len() as u64 {
            set_all(&mut bits, &docs);
        } else {
            let mut until = BETWEEN;
            let whole = plan.for_each(docs, &mut |doc| {
                bits[doc as usize / 64] |= 1 << (doc % 64);
                until -= 1;
                if until == 0 {
                    until = BETWEEN;
                    return go_on();
                }
                true
            })?;
            if !whole {
                return Err(IndexError::GivenUp);
            }
        }
        for index in apart.range(segment.first_index..segment.end()) {
            let doc = index - segment.first_index;
            bits[doc as usize / 64] &= !(1 << (doc % 64));
        }
        let count = bits.iter().map(|word| u64::from(word.count_ones())).sum();
        Ok((count > 0).then_some(Self {
            segment,
            bits,
            count,
        }))
    }

    /// The selected documents of a block.
    pub(crate) fn docs_of(&self, block: u32, docs: &mut Vec<u32>) {
        docs.clear();
        for (word, mut rest) in (block * BLOCK..).step_by(64).zip(self.words(block)) {
            while rest != 0 {
                docs.push(word + rest.trailing_zeros());
                rest &= rest - 1;
            }
        }
    }

    fn words(&self, block: u32) -> impl Iterator<Item = u64> {
        let words = self.bits.chunks(WORDS).nth(block as usize);
        words.unwrap_or_default().iter().copied()
    }

    /// How many blocks the segment has.
    pub(crate) fn blocks(&self) -> u32 {
        self.segment.len.div_ceil(BLOCK)
    }

    /// Counts the timestamps; stops early if they lie in too many intervals.
    pub(crate) fn add_times(
        &self,
        histogram: &mut Histogram,
        go_on: GoOn<'_>,
    ) -> Result<(), IndexError> {
        let times = &self.segment.timestamp;
        let mut docs = Vec::new();
        let mut values = vec![0; BLOCK as usize];
        for (block, bounds) in (0_u32..).zip(times.bounds()) {
            if histogram.is_too_fine() {
                return Ok(());
            }
            check(go_on)?;
            let count: u32 = self.words(block).map(u64::count_ones).sum();
            if count == 0 {
                continue;
            }
            if histogram.is_one(bounds.least, bounds.greatest) {
                histogram.add(bounds.least, u64::from(count));
                continue;
            }
            self.docs_of(block, &mut docs);
            if count <= SPARSE {
                docs.iter()
                    .for_each(|doc| histogram.add(times.get(*doc), 1));
                continue;
            }
            let start = block * BLOCK;
            let len = (self.segment.len - start).min(BLOCK) as usize;
            times.read(start, &mut values[..len]);
            for doc in &docs {
                histogram.add(values[(doc - start) as usize], 1);
            }
        }
        Ok(())
    }
}

fn set_all(bits: &mut [u64], docs: &Range<u32>) {
    for doc in docs.clone() {
        if doc % 64 == 0 && doc + 64 <= docs.end {
            break;
        }
        bits[doc as usize / 64] |= 1 << (doc % 64);
    }
    let (first, last) = (docs.start.div_ceil(64) as usize, docs.end as usize / 64);
    if first < last {
        bits[first..last].fill(u64::MAX);
    }
    for doc in (docs.end / 64 * 64).max(docs.start)..docs.end {
        bits[doc as usize / 64] |= 1 << (doc % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_range_and_nothing_else() {
        for start in 0..200 {
            for end in start..200 {
                let mut bits = vec![0; 4];
                set_all(&mut bits, &(start..end));
                for doc in 0..256_u32 {
                    let set = bits[doc as usize / 64] >> (doc % 64) & 1 == 1;
                    assert_eq!(set, (start..end).contains(&doc), "{doc} of {start}..{end}");
                }
            }
        }
    }
}
