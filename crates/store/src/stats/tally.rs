//! Counting while going once over all entries: the definition of statistics.

use std::collections::BTreeMap;

use audittrail_entry::Entry;

use super::{Bucket, Calendar, Ranking, Span, Stats, StatsQuery, Top};
use crate::{Query, StoreError, StoreErrorKind, Stored};

const NANOS: i64 = 1_000_000_000;
/// The most damaged entries that one answer reports; the rest is found by the scrub.
const DAMAGED_REPORTED: usize = 1_000;

/// Entries by intervals of a calendar, of which there are no more than asked for.
#[derive(Debug)]
pub struct Histogram {
    calendar: Calendar,
    most: usize,
    buckets: BTreeMap<i64, (i64, u64)>,
    /// The bucket of the last entry: the next one often lies in it.
    last: Bucket,
}

impl Histogram {
    fn new(calendar: Calendar, most: usize) -> Self {
        Self {
            calendar,
            most,
            buckets: BTreeMap::new(),
            last: Bucket {
                span: Span { start: 0, end: 0 },
                count: 0,
            },
        }
    }

    /// Whether two timestamps, in nanoseconds since the Unix epoch, lie in the same interval as
    /// all between them.
    pub fn is_one(&mut self, least: i64, greatest: i64) -> bool {
        let least = least.div_euclid(NANOS);
        if !self.last.span.contains(least) {
            self.turn_to(least);
        }
        self.last.span.contains(greatest.div_euclid(NANOS))
    }

    /// Adds so many entries of this timestamp.
    pub fn add(&mut self, timestamp: i64, count: u64) {
        let second = timestamp.div_euclid(NANOS);
        if !self.last.span.contains(second) {
            self.turn_to(second);
        }
        self.last.count += count;
    }

    /// Whether the entries lie in more intervals than may have some.
    pub fn is_too_fine(&self) -> bool {
        let last = self.last.count > 0 && !self.buckets.contains_key(&self.last.span.start);
        self.buckets.len() + usize::from(last) > self.most
    }

    fn turn_to(&mut self, second: i64) {
        self.keep_last();
        let before = self.buckets.range(..=second).next_back();
        let known = before.map(|(start, (end, _))| Span {
            start: *start,
            end: *end,
        });
        let known = known.filter(|span| span.contains(second));
        self.last = Bucket {
            span: known.unwrap_or_else(|| self.calendar.span(second)),
            count: 0,
        };
    }

    fn keep_last(&mut self) {
        let Bucket { span, count } = self.last;
        // What goes beyond the bound is not kept, but noticed.
        if count > 0 && self.buckets.len() <= self.most {
            self.buckets.entry(span.start).or_insert((span.end, 0)).1 += count;
        }
    }

    fn finish(mut self) -> Result<Vec<Bucket>, StoreError> {
        self.keep_last();
        if self.buckets.len() > self.most {
            return Err(too_fine(self.most));
        }
        let buckets = self.buckets.into_iter();
        Ok(buckets
            .map(|(start, (end, count))| Bucket {
                span: Span { start, end },
                count,
            })
            .collect())
    }
}

fn too_fine(most: usize) -> StoreError {
    let what = format!("the entries lie in more than {most} intervals");
    StoreError::new(StoreErrorKind::Invalid, what)
}

/// The values of one facet.
#[derive(Debug, Default)]
struct Values {
    counts: BTreeMap<String, u64>,
    missing: u64,
}

/// Counts entries that are offered in any order, each once.
#[derive(Debug)]
pub struct Tally<'q> {
    query: &'q StatsQuery,
    selection: Query,
    count: u64,
    failed: u64,
    histogram: Option<Histogram>,
    values: Vec<Values>,
    damaged: Vec<(u64, String)>,
}

impl<'q> Tally<'q> {
    /// A tally for one query.
    pub fn new(query: &'q StatsQuery) -> Self {
        let calendar = query.calendar.clone();
        Self {
            query,
            selection: query.selection(),
            count: 0,
            failed: 0,
            histogram: calendar.map(|calendar| Histogram::new(calendar, query.most_buckets)),
            values: query.by.iter().map(|_| Values::default()).collect(),
            damaged: Vec::new(),
        }
    }

    /// Looks at one entry.
    pub fn offer(&mut self, stored: &Stored) {
        match &stored.record {
            Ok(record) => {
                let sealed = record.sealed.as_ref().map(|sealed| sealed.bytes.as_slice());
                match Entry::parse(&record.leaf, sealed) {
                    Ok(entry) => self.consider(stored.index, Some(&entry)),
                    Err(error) => self.offer_damaged(stored.index, &error.to_string()),
                }
            }
            Err(damage) => self.offer_damaged(stored.index, &damage.0),
        }
    }

    fn offer_damaged(&mut self, index: u64, reason: &str) {
        if index >= self.query.size {
            return;
        }
        if self.damaged.len() < DAMAGED_REPORTED {
            self.damaged.push((index, reason.to_owned()));
        }
        self.consider(index, None);
    }

    fn consider(&mut self, index: u64, entry: Option<&Entry<'_>>) {
        if !self.selection.selects(index, entry, false) {
            return;
        }
        self.count += 1;
        match entry {
            Some(entry) if !self.query.failed.contains_key(&index) => self.take(entry),
            _ => self.failed += 1,
        }
    }

    /// Counts what a sound entry says.
    fn take(&mut self, entry: &Entry<'_>) {
        if let Some(histogram) = &mut self.histogram {
            histogram.add(entry.open.timestamp.nanos(), 1);
        }
        for (facet, values) in self.query.by.iter().zip(&mut self.values) {
            match facet.of(entry) {
                None => values.missing += 1,
                Some(value) => match values.counts.get_mut(&*value) {
                    Some(count) => *count += 1,
                    None => {
                        values.counts.insert(value.into_owned(), 1);
                    }
                },
            }
        }
    }

    /// Takes note of sound entries that the query selects, whose timestamps and values somebody
    /// else counts.
    pub fn count(&mut self, entries: u64) {
        self.count += entries;
    }

    /// Where timestamps are counted, if they are.
    pub fn histogram(&mut self) -> Option<&mut Histogram> {
        self.histogram.as_mut()
    }

    /// The answer.
    ///
    /// # Errors
    /// `Invalid` if the entries lie in more intervals than the query allows.
    pub fn finish(self) -> Result<Stats, StoreError> {
        let (query, mut at) = (self.query, 0);
        self.finish_with(|counts, missing| {
            let mut ranking = Ranking::new(query.top);
            for (value, count) in counts {
                ranking.offer(value.as_bytes(), count);
            }
            at += 1;
            Ok(ranking.finish(query.by[at - 1], missing))
        })
    }

    /// The answer, where values were counted elsewhere too: `rank` is given, for each facet in
    /// the order of the query, the values that were counted here and how many entries have none.
    ///
    /// # Errors
    /// As [`Tally::finish`], and those of `rank`.
    pub fn finish_with<E: From<StoreError>>(
        self,
        mut rank: impl FnMut(BTreeMap<String, u64>, u64) -> Result<Top, E>,
    ) -> Result<Stats, E> {
        let buckets = self.histogram.map(Histogram::finish).transpose()?;
        let values = self.values.into_iter();
        let tops = values.map(|values| rank(values.counts, values.missing));
        Ok(Stats {
            count: self.count,
            failed: self.failed,
            buckets: buckets.unwrap_or_default(),
            tops: tops.collect::<Result<_, E>>()?,
            damaged: self.damaged,
        })
    }
}
