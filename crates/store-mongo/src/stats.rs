//! Statistics: counted by the server where it selects exactly, and else here, entry by entry.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::IpAddr;

use audittrail_store::{Facet, Stats, StatsQuery, StoreError, StoreErrorKind, Stored, Tally, Top};
use mongodb::bson::raw::RawBsonRef;
use mongodb::bson::{Document, doc};

use crate::MongoStore;
use crate::compile::{Plan, window};
use crate::document::{field, index_of};
use crate::head::number;
use crate::search::{Asked, Met};

/// More failed entries are not excluded by the server, but here.
const EXCLUDED: usize = 10_000;
/// So many bytes of different values are counted here.
const MOST_BYTES: usize = 64 << 20;

/// The values of one facet, and how many entries have none.
#[derive(Debug, Default)]
struct Values {
    counts: HashMap<String, u64>,
    missing: u64,
}

impl MongoStore {
    pub(crate) async fn count_by(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        self.in_time(self.statistics(query)).await
    }

    async fn statistics(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        let size = self.size_of_question(query.size).await?;
        let query = &StatsQuery {
            size,
            ..query.clone()
        };
        let selection = query.selection();
        let mut tally = Tally::new(query);
        let Some(indices) = window(&query.filter, size) else {
            return tally.finish();
        };
        self.offer_alone(&selection, &indices, &mut |stored| tally.offer(&stored))
            .await?;
        let many = self.has_many(&selection).await?;
        let Some(plan) = Plan::new(&query.filter, &query.access, many) else {
            return tally.finish();
        };
        let asked = Asked {
            query: &selection,
            plan,
            indices,
        };
        let tops = if asked.plan.is_exact() && selection.failed.len() <= EXCLUDED {
            if !self.count_times(&asked, &mut tally).await? {
                return tally.finish();
            }
            let mut tops = Vec::with_capacity(query.by.len());
            for facet in &query.by {
                tops.push(self.count_values(&asked, *facet, query.top).await?);
            }
            tops
        } else {
            self.count_here(&asked, query, &mut tally).await?
        };
        let mut tops = tops.into_iter();
        tally.finish_with(|_, _| {
            let what = "a facet was not counted";
            tops.next()
                .ok_or_else(|| StoreError::new(StoreErrorKind::Unavailable, what))
        })
    }

    /// Counts entries and, if asked for, their timestamps; whether there are few enough
    /// intervals.
    async fn count_times(
        &self,
        asked: &Asked<'_>,
        tally: &mut Tally<'_>,
    ) -> Result<bool, StoreError> {
        if tally.histogram().is_none() {
            tally.count(self.count_exact(asked, false).await?);
            return Ok(true);
        }
        let mut cursor = self
            .select(asked, Document::new(), None, None, doc! { "t": 1 })
            .await?;
        while self.ask(cursor.advance()).await? {
            let document = cursor.current();
            let index = index_of(document);
            if index.is_none_or(|index| asked.query.failed.contains_key(&index)) {
                continue;
            }
            tally.count(1);
            if let (Some(histogram), Ok(nanos)) = (tally.histogram(), document.get_i64("t")) {
                histogram.add(nanos, 1);
                if histogram.is_too_fine() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Counts the values of a facet by the server, which puts on its disk what is too much for
    /// its memory.
    async fn count_values(
        &self,
        asked: &Asked<'_>,
        facet: Facet,
        top: usize,
    ) -> Result<Top, StoreError> {
        let name = match facet {
            Facet::Member(member) => field(member),
            Facet::SourceIp => "ip",
        };
        let failed = asked.query.failed.range(asked.indices.clone());
        let failed: Vec<i64> = failed.map(|(index, _)| number(*index)).collect();
        let sound = match failed.is_empty() {
            true => Document::new(),
            false => doc! { "_id": { "$nin": failed } },
        };
        let stages = [
            doc! { "$match": asked.plan.question(&asked.indices, sound) },
            doc! { "$group": { "_id": format!("${name}"), "n": { "$sum": 1_i64 } } },
        ];
        let aggregate = self
            .network
            .entries
            .aggregate(stages)
            .allow_disk_use(true)
            .max_time(self.network.options.search);
        let mut cursor = self.ask(aggregate).await?;
        let (mut most, mut missing) = (Most::new(top), 0);
        while self.ask(cursor.advance()).await? {
            let group = cursor.current();
            let count = u64::try_from(group.get_i64("n").unwrap_or_default()).unwrap_or_default();
            match group.get("_id") {
                Ok(Some(RawBsonRef::String(text))) => most.offer(text, count),
                Ok(Some(RawBsonRef::Binary(address))) => {
                    most.offer(&address_text(address.bytes), count);
                }
                _ => missing += count,
            }
        }
        Ok(most.finish(facet, missing))
    }

    /// Counts what the server can only select too much of.
    async fn count_here(
        &self,
        asked: &Asked<'_>,
        query: &StatsQuery,
        tally: &mut Tally<'_>,
    ) -> Result<Vec<Top>, StoreError> {
        let mut values: Vec<Values> = query.by.iter().map(|_| Values::default()).collect();
        let mut bytes = 0;
        let needed = doc! { "leaf": 1, "sealed": 1 };
        let asked = &Asked {
            query: asked.query,
            plan: asked.plan.clone().looked_at_here(),
            indices: asked.indices.clone(),
        };
        let mut cursor = self
            .select(asked, Document::new(), None, None, needed)
            .await?;
        while self.ask(cursor.advance()).await? {
            let document = cursor.current();
            let Some(index) = index_of(document) else {
                continue;
            };
            if asked.query.failed.contains_key(&index) {
                continue;
            }
            let (timestamp, entry) = match asked.meet(index, document) {
                Met::Selected(timestamp, Some(entry)) => (timestamp, entry),
                Met::Selected(_, None) | Met::Other => continue,
                Met::Damaged(why) => {
                    let record = Err(audittrail_store::Damage(why));
                    tally.offer(&Stored { index, record });
                    continue;
                }
            };
            tally.count(1);
            if let Some(histogram) = tally.histogram() {
                histogram.add(timestamp.nanos(), 1);
            }
            for (facet, values) in query.by.iter().zip(&mut values) {
                let Some(value) = facet.of(&entry) else {
                    values.missing += 1;
                    continue;
                };
                match values.counts.get_mut(&*value) {
                    Some(count) => *count += 1,
                    None => {
                        bytes += value.len() + 64;
                        values.counts.insert(value.into_owned(), 1);
                    }
                }
            }
            if bytes > MOST_BYTES {
                let what = "there are too many different values to be counted under a filter \
                            that looks into texts; narrow it, for instance by time";
                return Err(StoreError::new(StoreErrorKind::Unavailable, what));
            }
        }
        let tops = query.by.iter().zip(values).map(|(facet, values)| {
            let mut most = Most::new(query.top);
            values
                .counts
                .iter()
                .for_each(|(value, count)| most.offer(value, *count));
            most.finish(*facet, values.missing)
        });
        Ok(tops.collect())
    }
}

fn address_text(octets: &[u8]) -> String {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return IpAddr::from(octets).to_string();
    }
    match <[u8; 16]>::try_from(octets) {
        Ok(octets) => IpAddr::from(octets).to_string(),
        Err(_) => String::new(),
    }
}

/// The most frequent of values that are offered in any order, each once.
struct Most {
    top: usize,
    /// The worst on top: the least count, and of those the value that comes last.
    kept: BinaryHeap<(Reverse<u64>, String)>,
    distinct: u64,
}

impl Most {
    fn new(top: usize) -> Self {
        Self {
            top,
            kept: BinaryHeap::new(),
            distinct: 0,
        }
    }

    fn offer(&mut self, value: &str, count: u64) {
        self.distinct += 1;
        let is_better = self
            .kept
            .peek()
            .is_none_or(|(least, last)| (Reverse(count), value) < (*least, last.as_str()));
        if self.kept.len() < self.top {
            self.kept.push((Reverse(count), value.to_owned()));
        } else if is_better && self.top > 0 {
            self.kept.pop();
            self.kept.push((Reverse(count), value.to_owned()));
        }
    }

    fn finish(self, facet: Facet, missing: u64) -> Top {
        let sorted = self.kept.into_sorted_vec().into_iter();
        Top {
            facet,
            values: sorted
                .map(|(Reverse(count), value)| (value, count))
                .collect(),
            distinct: self.distinct,
            missing,
        }
    }
}
