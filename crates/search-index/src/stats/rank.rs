//! The most frequent values of a facet among selected documents.

use std::cmp::Ordering;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap, btree_map};

use audittrail_store::{Facet, Ranking, Top};
use tantivy::columnar::Streamer;

use super::{Column, GoOn, Selected, beyond, check};
use crate::error::IndexError;
use crate::segment::BLOCK;

/// The values of so few documents, and no more than there are counters, are gathered instead of
/// reading whole dictionaries.
const FEW: u64 = 20_000;
/// After so many values somebody is asked whether to go on.
const BETWEEN: u64 = 1 << 14;

/// Ranks the values of one facet after the other.
pub(crate) struct Ranker<'a> {
    selected: &'a [Selected<'a>],
    top: usize,
    counters: usize,
    go_on: GoOn<'a>,
}

/// A segment's documents with the column, and how far its values have been ranked.
struct Part<'a> {
    selected: &'a Selected<'a>,
    column: Column,
    /// The ordinals that are counted now.
    low: u64,
    high: u64,
}

impl<'a> Ranker<'a> {
    pub(crate) fn new(
        selected: &'a [Selected<'a>],
        top: usize,
        counters: usize,
        go_on: GoOn<'a>,
    ) -> Self {
        Self {
            selected,
            top,
            counters,
            go_on,
        }
    }

    /// The ranking, `counts` and `missing` being those of entries that are not in the segments.
    pub(crate) fn rank(
        &self,
        facet: Facet,
        mut counts: BTreeMap<String, u64>,
        mut missing: u64,
    ) -> Result<Top, IndexError> {
        let mut parts = Vec::new();
        for selected in self.selected {
            match Column::open(selected.segment, facet)? {
                None => missing += selected.count,
                Some(column) => parts.push(Part {
                    selected,
                    column,
                    low: 0,
                    high: 0,
                }),
            }
        }
        let mut ranking = Ranking::new(self.top);
        if self.selected.iter().map(|one| one.count).sum::<u64>() <= FEW.min(self.counters as u64) {
            for part in &parts {
                missing += gather(part, &mut counts)?;
            }
            for (value, count) in &counts {
                ranking.offer(value.as_bytes(), *count);
            }
            return Ok(ranking.finish(facet, missing));
        }
        let mut first = true;
        let mut from: Option<Vec<u8>> = None;
        loop {
            let upper = self.next_range(&mut parts)?;
            let rest = match &upper {
                Some(upper) => counts.split_off(text(upper)?),
                None => BTreeMap::new(),
            };
            let mut feeds = Vec::with_capacity(parts.len() + 1);
            let mut expected = counts.values().sum::<u64>();
            for part in &parts {
                let (counted, without) = self.count(part)?;
                expected += counted.iter().map(|count| u64::from(*count)).sum::<u64>();
                missing += if first { without } else { 0 };
                let stream = match &from {
                    Some(from) => part.column.stream_from(from)?,
                    None => part.column.stream()?,
                };
                feeds.push(Feed::Column {
                    stream: Box::new(stream),
                    low: part.low,
                    counts: counted,
                });
            }
            feeds.push(Feed::Tail(std::mem::replace(&mut counts, rest).into_iter()));
            if self.merge(feeds, &mut ranking)? != expected {
                return Err(IndexError::Damaged("a dictionary is not whole".to_owned()));
            }
            for part in &mut parts {
                part.low = part.high;
            }
            (first, from) = (false, upper);
            if from.is_none() {
                break;
            }
        }
        Ok(ranking.finish(facet, missing))
    }

    /// Sets the ordinals that are counted next, together no more than there are counters, and
    /// gives the value before which they end; none for all that are left. That value is the first
    /// that is a segment's share of counters ahead, so that no segment needs more than its share.
    fn next_range(&self, parts: &mut [Part<'_>]) -> Result<Option<Vec<u8>>, IndexError> {
        let share = (self.counters / parts.len().max(1)).max(1) as u64;
        let mut upper: Option<Vec<u8>> = None;
        for part in &*parts {
            if part.low + share < part.column.values() as u64 {
                let value = part.column.value(part.low + share)?;
                upper = Some(upper.map_or(value.clone(), |least| least.min(value)));
            }
        }
        for part in &mut *parts {
            part.high = match &upper {
                Some(upper) => part.column.first_from(upper)?.max(part.low),
                None => part.column.values() as u64,
            };
            if part.high - part.low > share {
                return Err(IndexError::Damaged("a dictionary is not sorted".to_owned()));
            }
        }
        Ok(upper)
    }

    /// How often each ordinal of the range occurs, and how many documents have no value.
    fn count(&self, part: &Part<'_>) -> Result<(Vec<u32>, u64), IndexError> {
        let mut counts = vec![0_u32; (part.high - part.low) as usize];
        let values = part.column.values() as u64;
        let mut without = 0;
        let (mut docs, mut ordinals) = (Vec::new(), vec![None; BLOCK as usize]);
        for block in 0..part.selected.blocks() {
            check(self.go_on)?;
            part.selected.docs_of(block, &mut docs);
            let ordinals = &mut ordinals[..docs.len()];
            ordinals.fill(None);
            part.column.of(&docs, ordinals);
            for ordinal in ordinals {
                match ordinal {
                    None => without += 1,
                    Some(ordinal) if *ordinal >= values => return Err(beyond()),
                    Some(ordinal) => {
                        let at = ordinal.wrapping_sub(part.low) as usize;
                        if let Some(count) = counts.get_mut(at) {
                            *count += 1;
                        }
                    }
                }
            }
        }
        Ok((counts, without))
    }

    /// Offers the values of all feeds in order, each once; the sum of their counts.
    fn merge(&self, feeds: Vec<Feed<'_>>, ranking: &mut Ranking) -> Result<u64, IndexError> {
        let mut heap = BinaryHeap::with_capacity(feeds.len());
        for feed in feeds {
            let mut head = Head {
                value: Vec::new(),
                count: 0,
                feed,
            };
            if head.advance()? {
                heap.push(head);
            }
        }
        let (mut value, mut count, mut sum, mut seen) = (Vec::new(), 0, 0, 0);
        while let Some(mut head) = heap.peek_mut() {
            if head.value != value {
                ranking.offer(&value, count);
                count = 0;
                value.clone_from(&head.value);
                seen += 1;
                if seen % BETWEEN == 0 {
                    check(self.go_on)?;
                }
            }
            count += head.count;
            sum += head.count;
            if !head.advance()? {
                PeekMut::pop(head);
            }
        }
        ranking.offer(&value, count);
        Ok(sum)
    }
}

/// Adds the values of a segment's documents, which are few; how many have none.
fn gather(part: &Part<'_>, counts: &mut BTreeMap<String, u64>) -> Result<u64, IndexError> {
    let mut all = Vec::with_capacity(part.selected.count as usize);
    let (mut docs, mut ordinals) = (Vec::new(), vec![None; BLOCK as usize]);
    for block in 0..part.selected.blocks() {
        part.selected.docs_of(block, &mut docs);
        let ordinals = &mut ordinals[..docs.len()];
        ordinals.fill(None);
        part.column.of(&docs, ordinals);
        all.extend(ordinals.iter().flatten());
    }
    all.sort_unstable();
    let mut outcome = Ok(());
    part.column.each_value(&all, |value| match text(value) {
        Ok(value) => match counts.get_mut(value) {
            Some(count) => *count += 1,
            None => {
                counts.insert(value.to_owned(), 1);
            }
        },
        Err(error) => outcome = Err(error),
    })?;
    outcome?;
    Ok(part.selected.count - all.len() as u64)
}

fn text(value: &[u8]) -> Result<&str, IndexError> {
    std::str::from_utf8(value).map_err(|_| IndexError::Damaged("a value is not UTF-8".to_owned()))
}

/// Values in order, with their counts.
enum Feed<'a> {
    Column {
        stream: Box<Streamer<'a>>,
        low: u64,
        counts: Vec<u32>,
    },
    Tail(btree_map::IntoIter<String, u64>),
}

/// The next value of a feed.
struct Head<'a> {
    value: Vec<u8>,
    count: u64,
    feed: Feed<'a>,
}

impl Head<'_> {
    /// Goes to the next value that an entry has; whether there is one.
    fn advance(&mut self) -> Result<bool, IndexError> {
        match &mut self.feed {
            Feed::Tail(counts) => match counts.next() {
                None => Ok(false),
                Some((value, count)) => {
                    (self.value, self.count) = (value.into_bytes(), count);
                    Ok(true)
                }
            },
            Feed::Column {
                stream,
                low,
                counts,
            } => {
                while stream.advance() {
                    let at = stream.term_ord().checked_sub(*low).ok_or_else(beyond)?;
                    let Some(count) = counts.get(at as usize) else {
                        return Ok(false);
                    };
                    if *count > 0 {
                        self.value.clear();
                        self.value.extend_from_slice(stream.key());
                        self.count = u64::from(*count);
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

/// The least value is the greatest head, which a heap has on top.
impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.value.cmp(&self.value)
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Head<'_> {}
