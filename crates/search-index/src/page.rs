//! One page out of the index.
//!
//! A page is found in one of two ways. Where few entries can match, all of them are looked at,
//! which also counts them. Where many can, the blocks of documents are visited from where the
//! page starts, by the bounds of their timestamps, until nothing better can come: that costs
//! the same on every page. Counting is another matter then: what the sizes of the terms'
//! postings tell is not walked through, and nothing is once the limit is passed.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use audittrail_store::{Collector, Count, CountMode, Direction, Key, Order, Query, Start};

use crate::error::IndexError;
use crate::plan::{Extent, Plan, SegmentPlan};
use crate::schema::Fields;
use crate::segment::{BLOCK, Segment};

/// Where no more than so many entries can match, they are looked at one by one.
const FEW: u64 = 10_000;
/// The most blocks that are visited before the page is looked at again.
const MOST_BLOCKS: usize = 256;

/// The segments of one state of the index, in order.
pub(crate) struct Segments {
    pub(crate) segments: Vec<Arc<Segment>>,
    /// All blocks in each order.
    blocks: [OnceLock<Vec<Block>>; 4],
}

/// A block of a segment's documents.
#[derive(Debug, Clone, Copy)]
struct Block {
    segment: u32,
    block: u32,
    /// Bounds of its keys in the order that the list has.
    first: Key,
    last: Key,
}

impl Segments {
    pub(crate) fn new(segments: Vec<Arc<Segment>>) -> Self {
        Self {
            segments,
            blocks: [const { OnceLock::new() }; 4],
        }
    }

    /// The index after the last entry's.
    pub(crate) fn end(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.end())
    }

    /// Entries that could not be read, in a range.
    pub(crate) fn damaged(&self, indices: &Range<u64>) -> impl Iterator<Item = u64> {
        self.segments
            .iter()
            .flat_map(|segment| &segment.damaged)
            .copied()
            .filter(|index| indices.contains(index))
    }

    /// All blocks, so that the first keys do not go back in the order.
    fn blocks(&self, order: Order) -> Vec<Block> {
        let mut blocks = Vec::new();
        for (at, segment) in (0_u32..).zip(&self.segments) {
            for block in 0..segment.len.div_ceil(BLOCK) {
                let least_index = segment.first_index + u64::from(block * BLOCK);
                let greatest_index = segment.first_index
                    + u64::from((block + 1).saturating_mul(BLOCK).min(segment.len))
                    - 1;
                let bounds = segment.timestamp.bounds().get(block as usize);
                let bounds = bounds.filter(|_| !order.by_index());
                let least = Key {
                    timestamp: bounds.map_or(0, |bounds| bounds.least),
                    index: least_index,
                };
                let greatest = Key {
                    timestamp: bounds.map_or(0, |bounds| bounds.greatest),
                    index: greatest_index,
                };
                let (first, last) = match order {
                    Order::OldestFirst | Order::IndexAscending => (least, greatest),
                    Order::NewestFirst | Order::IndexDescending => (greatest, least),
                };
                blocks.push(Block {
                    segment: at,
                    block,
                    first,
                    last,
                });
            }
        }
        blocks.sort_by_key(|block| order.rank(block.first));
        blocks
    }

    fn blocks_in(&self, order: Order) -> &[Block] {
        let kept = match order {
            Order::NewestFirst => 0,
            Order::OldestFirst => 1,
            Order::IndexAscending => 2,
            Order::IndexDescending => 3,
        };
        self.blocks[kept].get_or_init(|| self.blocks(order))
    }

    /// Offers what the query selects among the entries of the index, but for those of `apart`,
    /// to a new collector; each match is counted, or more than anybody asks for.
    pub(crate) fn select<'q>(
        &self,
        query: &'q Query,
        plan: &Plan,
        fields: &Fields,
        apart: &dyn Fn(u64) -> bool,
    ) -> Result<Collector<'q>, IndexError> {
        let search = Search::new(self, query, plan, fields, apart)?;
        let mut collector = Collector::new(query);
        let most = search.extents().map(|(_, extent)| extent.most).sum::<u64>();
        if most <= FEW {
            search.offer_all(&mut collector)?;
            return Ok(collector);
        }
        let enough = match query.count {
            CountMode::Exact => Some(u64::MAX),
            CountMode::Limited => Some(Count::LIMIT),
            CountMode::None => None,
        };
        if let Some(enough) = enough {
            let apart = self.apart_in(&search.indices, apart, query);
            let counted = search.count(enough, &apart)?;
            collector.count(counted.matches);
            if let Some(all) = counted.all {
                for (at, doc) in all {
                    collector.offer_selected(search.key(&self.segments[at], doc));
                }
                return Ok(collector);
            }
        }
        search.offer_nearest(&mut collector, most)?;
        if enough.is_none() && !collector.is_empty() {
            // Not their number, but that there are some.
            collector.count(1);
        }
        Ok(collector)
    }

    fn apart_in(
        &self,
        indices: &Range<u64>,
        apart: &dyn Fn(u64) -> bool,
        query: &Query,
    ) -> BTreeSet<u64> {
        let failed = query.failed.range(indices.clone()).map(|(index, _)| *index);
        let damaged = self.damaged(indices);
        failed
            .chain(damaged)
            .filter(|index| apart(*index))
            .collect()
    }
}

/// The indices that a query looks at, among the first `end`.
fn indices(query: &Query, end: u64) -> Range<u64> {
    let window = query.filter.index;
    let end = window
        .to
        .map_or(end, |to| end.min(to.saturating_add(1)))
        .min(query.size);
    let start = window.from.unwrap_or(0).min(end);
    start..end
}

pub(crate) struct Search<'s, 'q> {
    pub(crate) segments: &'s Segments,
    pub(crate) plans: Vec<Option<SegmentPlan<'s>>>,
    pub(crate) indices: Range<u64>,
    query: &'q Query,
    apart: &'s dyn Fn(u64) -> bool,
}

impl<'s, 'q> Search<'s, 'q> {
    pub(crate) fn new(
        segments: &'s Segments,
        query: &'q Query,
        plan: &Plan,
        fields: &Fields,
        apart: &'s dyn Fn(u64) -> bool,
    ) -> Result<Self, IndexError> {
        let plans = segments.segments.iter();
        let plans = plans.map(|segment| plan.for_segment(segment, fields));
        Ok(Self {
            segments,
            plans: plans.collect::<Result<_, _>>()?,
            indices: indices(query, segments.end()),
            query,
            apart,
        })
    }
}

impl Search<'_, '_> {
    fn key(&self, segment: &Segment, doc: u32) -> Key {
        let timestamp = match self.query.order.by_index() {
            true => 0,
            false => segment.timestamp.get(doc),
        };
        Key {
            timestamp,
            index: segment.first_index + u64::from(doc),
        }
    }

    /// The segments that can have matches, with how many.
    pub(crate) fn extents(&self) -> impl Iterator<Item = (usize, Extent)> {
        let segments = self.segments.segments.iter().zip(&self.plans);
        segments.enumerate().filter_map(|(at, (segment, plan))| {
            let extent = plan.as_ref()?.extent(&segment.docs(&self.indices));
            (extent.most > 0).then_some((at, extent))
        })
    }

    /// Offers and counts every match.
    fn offer_all(&self, collector: &mut Collector<'_>) -> Result<(), IndexError> {
        for (segment, plan) in self.segments.segments.iter().zip(&self.plans) {
            let Some(plan) = plan else { continue };
            let docs = segment.docs(&self.indices);
            let mut found = 0;
            plan.for_each(docs.clone(), &mut |doc| {
                found += 1;
                if !(self.apart)(segment.first_index + u64::from(doc)) {
                    collector.count(1);
                    collector.offer_selected(self.key(segment, doc));
                }
                true
            })?;
            let extent = plan.extent(&docs);
            debug_assert!(
                (extent.least..=extent.most).contains(&found),
                "{found} matches where {extent:?} were told"
            );
        }
        Ok(())
    }

    /// Offers matches from where the page starts until the page is settled, and finds out
    /// whether there are any before it.
    ///
    /// No more than `most` entries match.
    fn offer_nearest(&self, collector: &mut Collector<'_>, most: u64) -> Result<(), IndexError> {
        let (order, from) = match self.query.start {
            Start::Skip(_) => (self.query.order, None),
            Start::At(key, Direction::After) => (self.query.order, Some(key)),
            Start::At(key, Direction::Before) => (self.query.order.reversed(), Some(key)),
        };
        let skip = match self.query.start {
            Start::Skip(skip) => skip,
            Start::At(..) => 0,
        };
        let wanted = skip.saturating_add(self.query.limit).saturating_add(1);
        let width = self.blocks_of(wanted, most);
        self.visit(order, from, width, collector, |collector, next| {
            collector.is_settled(next)
        })?;
        if let Some(key) = from
            && !collector.has_passed()
        {
            self.look_back(order.reversed(), key, collector)?;
        }
        Ok(())
    }

    /// How many blocks hold so many matches if these are spread evenly.
    fn blocks_of(&self, wanted: usize, most: u64) -> usize {
        let documents = u128::from(self.segments.end());
        let needed = documents * wanted as u128 / u128::from(most.max(1));
        usize::try_from(needed / u128::from(BLOCK) + 1).map_or(MOST_BLOCKS, |n| n.min(MOST_BLOCKS))
    }

    /// Looks for one match that is not beyond the key at which the page starts.
    fn look_back(
        &self,
        order: Order,
        key: Key,
        collector: &mut Collector<'_>,
    ) -> Result<(), IndexError> {
        // The key itself nearly always is one.
        let own = key.index..key.index.saturating_add(1);
        for (segment, plan) in self.segments.segments.iter().zip(&self.plans) {
            let (docs, Some(plan)) = (segment.docs(&own), plan) else {
                continue;
            };
            if self.indices.contains(&key.index) && !(self.apart)(key.index) {
                plan.for_each(docs, &mut |doc| {
                    // A key need not be that of an entry.
                    if self.key(segment, doc) == key {
                        collector.set_passed();
                    }
                    false
                })?;
            }
        }
        let query = Query {
            start: Start::At(
                key,
                if order == self.query.order {
                    Direction::After
                } else {
                    Direction::Before
                },
            ),
            limit: 1,
            ..self.query.clone()
        };
        if !collector.has_passed() {
            let mut back = Collector::new(&query);
            self.visit(order, Some(key), 1, &mut back, |back, _| !back.is_empty())?;
            if !back.is_empty() {
                collector.set_passed();
            }
        }
        Ok(())
    }

    /// Offers the matches of blocks in an order, from those that reach beyond `from` on,
    /// until `enough` says so of the best key that may follow: first of `width` blocks, then
    /// of more and more.
    fn visit(
        &self,
        order: Order,
        from: Option<Key>,
        mut width: usize,
        collector: &mut Collector<'_>,
        enough: impl Fn(&Collector<'_>, Key) -> bool,
    ) -> Result<(), IndexError> {
        let blocks = self.segments.blocks_in(order);
        let behind =
            |block: &&Block| from.is_none_or(|from| order.rank(block.last) > order.rank(from));
        let mut rest = blocks.iter().filter(behind).peekable();
        let mut chunk: Vec<Block> = Vec::new();
        while let Some(next) = rest.peek() {
            if enough(collector, next.first) {
                return Ok(());
            }
            chunk.clear();
            chunk.extend(rest.by_ref().take(width));
            self.offer_blocks(&mut chunk, collector)?;
            width = (width * 2).min(MOST_BLOCKS);
        }
        Ok(())
    }

    /// Offers the matches of some blocks, neighbours together.
    fn offer_blocks(
        &self,
        blocks: &mut [Block],
        collector: &mut Collector<'_>,
    ) -> Result<(), IndexError> {
        blocks.sort_by_key(|block| (block.segment, block.block));
        for run in
            blocks.chunk_by(|one, next| one.segment == next.segment && one.block + 1 == next.block)
        {
            let at = run[0].segment as usize;
            let segment = &self.segments.segments[at];
            let Some(plan) = &self.plans[at] else {
                continue;
            };
            let wanted = segment.docs(&self.indices);
            let start = (run[0].block * BLOCK).max(wanted.start);
            let end = run[run.len() - 1]
                .block
                .saturating_add(1)
                .saturating_mul(BLOCK);
            plan.for_each(start..end.min(wanted.end), &mut |doc| {
                if !(self.apart)(segment.first_index + u64::from(doc)) {
                    collector.offer_selected(self.key(segment, doc));
                }
                true
            })?;
        }
        Ok(())
    }
}
