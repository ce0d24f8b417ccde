//! Pages.
//!
//! What is known to have failed, and what cannot be read at sight, is offered by itself, whatever
//! the filter. The rest comes from the server in the order of the page, from where it starts.

use std::collections::BTreeSet;
use std::ops::Range;

use audittrail_entry::{Entry, Timestamp};
use audittrail_store::{
    Collector, Count, CountMode, Direction, Key, Order, Page, Query, Start, StoreError,
    StoreErrorKind, Stored,
};
use mongodb::bson::{Document, RawDocument, RawDocumentBuf, doc};
use mongodb::error::Result as Answer;
use mongodb::{Collection, Cursor};

use crate::compile::{Plan, hint, window};
use crate::document::{decode, index_of, parts};
use crate::failure::{is_out_of_time, silent, unavailable};
use crate::head::number;
use crate::terms::MANY;
use crate::{MongoStore, reads};

/// So many failed entries are asked for together.
const FAILED_AT_ONCE: usize = 1_000;
/// Documents in one answer of the server where each is looked at here.
const LOOKED_AT: u32 = 512;

/// A question that is being answered.
pub(crate) struct Asked<'q> {
    pub(crate) query: &'q Query,
    pub(crate) plan: Plan,
    pub(crate) indices: Range<u64>,
}

/// What one document is to a query.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, which is looked at and dropped"
)]
pub(crate) enum Met<'d> {
    /// An entry that it selects; where the server was believed, without what it says.
    Selected(Timestamp, Option<Entry<'d>>),
    Other,
    Damaged(String),
}

impl Asked<'_> {
    /// The fields that are needed of each document.
    pub(crate) fn projection(&self) -> Document {
        if self.plan.is_exact() {
            doc! { "t": 1 }
        } else {
            doc! { "leaf": 1, "sealed": 1 }
        }
    }

    /// What a document is; that it has failed is not looked at.
    pub(crate) fn meet<'d>(&self, index: u64, document: &'d RawDocument) -> Met<'d> {
        if self.plan.is_exact() {
            return match document.get_i64("t") {
                Ok(nanos) => Met::Selected(Timestamp::from_nanos(nanos), None),
                Err(_) => Met::Damaged("its time is not what the record says".to_owned()),
            };
        }
        let entry = parts(document).and_then(|(leaf, sealed)| {
            Entry::parse(leaf, sealed).map_err(|error| error.to_string())
        });
        match entry {
            Err(why) => Met::Damaged(why),
            Ok(entry) if self.query.selects(index, Some(&entry), false) => {
                Met::Selected(entry.open.timestamp, Some(entry))
            }
            Ok(_) => Met::Other,
        }
    }
}

/// The entries beyond a key in an order, as conditions whose answers follow each other.
fn beyond(order: Order, key: Key, with_key: bool) -> Vec<Document> {
    let ascending = matches!(order, Order::OldestFirst | Order::IndexAscending);
    let step = if ascending { "$gt" } else { "$lt" };
    let reach = match (ascending, with_key) {
        (true, true) => "$gte",
        (false, true) => "$lte",
        (_, false) => step,
    };
    let index = doc! { reach: number(key.index) };
    if order.by_index() {
        return vec![doc! { "_id": index }];
    }
    vec![
        doc! { "t": key.timestamp, "_id": index },
        doc! { "t": { step: key.timestamp } },
    ]
}

fn sort(order: Order) -> Document {
    match order {
        Order::OldestFirst => doc! { "t": 1, "_id": 1 },
        Order::NewestFirst => doc! { "t": -1, "_id": -1 },
        Order::IndexAscending => doc! { "_id": 1 },
        Order::IndexDescending => doc! { "_id": -1 },
    }
}

impl MongoStore {
    pub(crate) async fn find_page(&self, query: &Query) -> Result<Page, StoreError> {
        self.in_time(self.page(query)).await
    }

    /// An answer within the time that a search may take.
    pub(crate) async fn in_time<T>(
        &self,
        search: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let time = self.network.options.search;
        match tokio::time::timeout(time, search).await {
            Ok(answer) => answer,
            Err(_) => Err(too_long(time)),
        }
    }

    async fn page(&self, query: &Query) -> Result<Page, StoreError> {
        let size = self.size_of_question(query.size).await?;
        let query = &Query {
            size,
            ..query.clone()
        };
        let mut collector = Collector::new(query);
        let Some(indices) = window(&query.filter, size) else {
            return Ok(collector.finish());
        };
        let mut alone = 0;
        self.offer_alone(query, &indices, &mut |stored| {
            alone += 1;
            collector.offer(&stored);
        })
        .await?;
        let many = self.has_many(query).await?;
        let Some(plan) = Plan::new(&query.filter, &query.access, many) else {
            return Ok(collector.finish());
        };
        let asked = Asked {
            query,
            plan,
            indices,
        };
        let mut damaged = BTreeSet::new();
        self.collect(&asked, &mut collector, &mut damaged).await?;
        self.look_back(&asked, &mut collector).await?;
        if query.count != CountMode::None {
            let matches = if asked.plan.is_empty() {
                asked.indices.end - asked.indices.start - alone
            } else {
                self.count(&asked, &mut collector, &mut damaged).await?
            };
            collector.count(matches);
        }
        Ok(collector.finish())
    }

    /// Offers what has failed, and what has no time by which it could be found.
    pub(crate) async fn offer_alone(
        &self,
        query: &Query,
        indices: &Range<u64>,
        offer: &mut (dyn FnMut(Stored) + Send),
    ) -> Result<(), StoreError> {
        let failed: Vec<u64> = query
            .failed
            .range(indices.clone())
            .map(|(at, _)| *at)
            .collect();
        for part in failed.chunks(FAILED_AT_ONCE) {
            for stored in self.read_records(part).await? {
                offer(stored);
            }
        }
        // Nobody else may see what cannot be read.
        if !query.access.is_unrestricted() {
            return Ok(());
        }
        let mut unreadable = reads::in_range(indices);
        unreadable.insert("t", doc! { "$not": { "$gte": i64::MIN } });
        let find = self
            .network
            .entries
            .find(unreadable)
            .hint(doc! { "t": 1, "_id": 1 }.into_hint());
        let mut cursor = self.ask(find).await?;
        while self.ask(cursor.advance()).await? {
            let document = cursor.current();
            let Some(index) = index_of(document) else {
                continue;
            };
            if !query.failed.contains_key(&index) {
                let record = decode(index, document);
                offer(Stored { index, record });
            }
        }
        Ok(())
    }

    pub(crate) async fn has_many(&self, query: &Query) -> Result<bool, StoreError> {
        use std::sync::atomic::Ordering::Relaxed;
        if query.filter.details.is_empty() {
            return Ok(false);
        }
        if !self.has_many.load(Relaxed) {
            let find = self.network.entries.find_one(doc! { "d": MANY });
            let found = self.ask(find.projection(doc! { "_id": 1 })).await?;
            self.has_many.fetch_or(found.is_some(), Relaxed);
        }
        Ok(self.has_many.load(Relaxed))
    }

    /// An answer of the server, whose errors are those of a search.
    pub(crate) async fn ask<T>(
        &self,
        question: impl IntoFuture<Output = Answer<T>>,
    ) -> Result<T, StoreError> {
        question
            .await
            .map_err(|error| match is_out_of_time(&error) {
                true => too_long(self.network.options.search),
                false => unavailable("the log cannot be searched", &error),
            })
    }

    /// The cursor over what the server selects: in an order, or in whichever is cheapest.
    pub(crate) async fn select(
        &self,
        asked: &Asked<'_>,
        and: Document,
        order: Option<Order>,
        limit: Option<i64>,
        projection: Document,
    ) -> Result<Cursor<RawDocumentBuf>, StoreError> {
        let entries: &Collection<RawDocumentBuf> = &self.network.entries;
        let mut find = entries
            .find(asked.plan.question(&asked.indices, and))
            .projection(projection)
            .max_time(self.network.options.search);
        if let Some(order) = order {
            find = find.sort(sort(order));
            if let Some(index) = hint(&asked.query.filter, &asked.query.access, order) {
                find = find.hint(index.into_hint());
            }
        }
        find = match limit {
            Some(limit) => find.limit(limit),
            None => find.batch_size(LOOKED_AT),
        };
        self.ask(find).await
    }

    /// How the server goes about the first page of a query, as its `explain` says; nothing where
    /// it is not asked.
    ///
    /// # Errors
    /// As [`audittrail_store::Store::search`].
    pub async fn explain(&self, query: &Query) -> Result<Option<Document>, StoreError> {
        let many = self.has_many(query).await?;
        let plan = Plan::new(&query.filter, &query.access, many);
        let (Some(plan), Some(indices)) = (plan, window(&query.filter, query.size)) else {
            return Ok(None);
        };
        let mut find = doc! {
            "find": "entries",
            "filter": plan.question(&indices, Document::new()),
            "sort": sort(query.order),
            "limit": number(query.limit as u64),
        };
        if let Some(index) = hint(&query.filter, &query.access, query.order) {
            find.insert("hint", index);
        }
        let explain = doc! { "explain": find, "verbosity": "executionStats" };
        self.ask(self.network.database.run_command(explain))
            .await
            .map(Some)
    }

    /// Offers the keys of the page and one more.
    async fn collect(
        &self,
        asked: &Asked<'_>,
        collector: &mut Collector<'_>,
        damaged: &mut BTreeSet<u64>,
    ) -> Result<(), StoreError> {
        let query = asked.query;
        let (order, ranges, skip) = match query.start {
            Start::Skip(skip) => (query.order, vec![Document::new()], skip),
            Start::At(key, Direction::After) => (query.order, beyond(query.order, key, false), 0),
            Start::At(key, Direction::Before) => {
                let order = query.order.reversed();
                (order, beyond(order, key, false), 0)
            }
        };
        let mut needed = skip.saturating_add(query.limit).saturating_add(1);
        for range in ranges {
            let limit = (asked.plan.is_exact() && query.failed.is_empty())
                .then(|| i64::try_from(needed).unwrap_or(i64::MAX));
            let found = self.select(asked, range, Some(order), limit, asked.projection());
            let mut cursor = found.await?;
            while needed > 0 && self.ask(cursor.advance()).await? {
                let document = cursor.current();
                let Some(index) = index_of(document) else {
                    continue;
                };
                if query.failed.contains_key(&index) {
                    continue;
                }
                match asked.meet(index, document) {
                    Met::Other => {}
                    Met::Damaged(why) => {
                        if damaged.insert(index) {
                            collector.offer_damaged(index, &why);
                        }
                    }
                    Met::Selected(timestamp, _) => {
                        collector.offer_selected(query.order.key(timestamp, index));
                        if query.count == CountMode::None {
                            collector.count(1);
                        }
                        needed -= 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Looks whether there is a match on the near side of where the page starts.
    async fn look_back(
        &self,
        asked: &Asked<'_>,
        collector: &mut Collector<'_>,
    ) -> Result<(), StoreError> {
        let query = asked.query;
        let Start::At(key, direction) = query.start else {
            return Ok(());
        };
        let order = match direction {
            Direction::After => query.order.reversed(),
            Direction::Before => query.order,
        };
        for range in beyond(order, key, true) {
            if collector.has_passed() {
                return Ok(());
            }
            let limit = (asked.plan.is_exact() && query.failed.is_empty()).then_some(1);
            let found = self.select(asked, range, Some(order), limit, asked.projection());
            let mut cursor = found.await?;
            while !collector.has_passed() && self.ask(cursor.advance()).await? {
                let document = cursor.current();
                let Some(index) = index_of(document) else {
                    continue;
                };
                let selected = matches!(asked.meet(index, document), Met::Selected(..));
                if selected && !query.failed.contains_key(&index) {
                    collector.set_passed();
                }
            }
        }
        Ok(())
    }

    /// How many entries there are that have not failed and that the query selects; in the
    /// limited mode no more than one beyond the limit.
    async fn count(
        &self,
        asked: &Asked<'_>,
        collector: &mut Collector<'_>,
        damaged: &mut BTreeSet<u64>,
    ) -> Result<u64, StoreError> {
        let limited = asked.query.count == CountMode::Limited;
        if asked.plan.is_exact() {
            return self.count_exact(asked, limited).await;
        }
        let cursor = self.select(asked, Document::new(), None, None, asked.projection());
        let (mut cursor, mut count) = (cursor.await?, 0);
        while self.ask(cursor.advance()).await? {
            let document = cursor.current();
            let Some(index) = index_of(document) else {
                continue;
            };
            if asked.query.failed.contains_key(&index) {
                continue;
            }
            match asked.meet(index, document) {
                Met::Other => {}
                Met::Selected(..) => count += 1,
                Met::Damaged(why) => {
                    if damaged.insert(index) {
                        collector.offer_damaged(index, &why);
                    }
                }
            }
            if limited && count > Count::LIMIT {
                break;
            }
        }
        Ok(count)
    }

    /// The same by the server alone.
    pub(crate) async fn count_exact(
        &self,
        asked: &Asked<'_>,
        limited: bool,
    ) -> Result<u64, StoreError> {
        let failed: Vec<i64> = asked
            .query
            .failed
            .range(asked.indices.clone())
            .map(|(index, _)| number(*index))
            .collect();
        let most = limited.then_some(Count::LIMIT + 1 + failed.len() as u64);
        let all = self.count_selected(asked, Document::new(), most).await?;
        let mut unsound = 0;
        for part in failed.chunks(FAILED_AT_ONCE) {
            let among = doc! { "_id": { "$in": part } };
            unsound += self.count_selected(asked, among, None).await?;
        }
        Ok(all.saturating_sub(unsound))
    }

    async fn count_selected(
        &self,
        asked: &Asked<'_>,
        and: Document,
        most: Option<u64>,
    ) -> Result<u64, StoreError> {
        let mut stages = vec![doc! { "$match": asked.plan.question(&asked.indices, and) }];
        stages.extend(most.map(|most| doc! { "$limit": number(most) }));
        stages.push(doc! { "$group": { "_id": 1, "n": { "$sum": 1_i64 } } });
        let aggregate = self.network.entries.aggregate(stages);
        let aggregate = aggregate.max_time(self.network.options.search);
        let mut cursor = self.ask(aggregate).await?;
        if !self.ask(cursor.advance()).await? {
            return Ok(0);
        }
        let count = cursor.current().get_i64("n").unwrap_or_default();
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

/// A search that would take longer than it may.
fn too_long(time: std::time::Duration) -> StoreError {
    let what = silent("the search was ended", time);
    let what = format!("{what}; narrow it, for instance by time");
    StoreError::new(StoreErrorKind::Unavailable, what)
}

/// Names an index by its fields.
trait IntoHint {
    fn into_hint(self) -> mongodb::options::Hint;
}

impl IntoHint for Document {
    fn into_hint(self) -> mongodb::options::Hint {
        mongodb::options::Hint::Keys(self)
    }
}
