//! A log to index, and what an index of it has to answer.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use audittrail_entry::Entry;
use audittrail_merkle::{Hash, leaf_hash};
use audittrail_search_index::{IndexError, IndexOptions, SearchIndex, Source};
use audittrail_store::conformance::{Generator, Numbers, Topic, both, check_page, question};
use audittrail_store::conformance::{check_stats, query, stats_of, stats_query, whole_of};
use audittrail_store::{BatchEntry, Damage, Direction, Query, Start, Stored};
use uuid::Uuid;

pub(crate) const ORIGIN: [u8; 32] = [7; 32];

/// Steps of so many entries, and a tail of four times as many.
pub(crate) fn options(step_entries: usize) -> IndexOptions {
    IndexOptions {
        step_entries,
        tail_entries: step_entries * 4,
        tail_bytes: 64 << 20,
        writer_bytes: 15_000_000,
        counters: 40,
    }
}

/// `PROPTEST_CASES` asks for more.
pub(crate) fn cases(few: u32) -> proptest::test_runner::Config {
    let cases = std::env::var("PROPTEST_CASES").map_or(few, |cases| cases.parse().unwrap());
    proptest::test_runner::Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 64,
        ..Default::default()
    }
}

/// A log in memory.
pub(crate) struct Log {
    pub(crate) generator: Generator,
    pub(crate) numbers: Numbers,
    /// Whether reading it fails.
    pub(crate) broken: std::cell::Cell<bool>,
    entries: Vec<(Uuid, Stored)>,
}

impl Log {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            generator: Generator::new(seed),
            numbers: Numbers::new(seed ^ 0x5eed),
            broken: std::cell::Cell::new(false),
            entries: Vec::new(),
        }
    }

    pub(crate) fn id(&self, index: usize) -> Uuid {
        self.entries[index].0
    }

    /// Puts a copy of one entry in the place of another.
    pub(crate) fn repeat_id(&mut self, to: usize, from: usize) {
        let (id, mut stored) = self.entries[from].clone();
        stored.index = to as u64;
        self.entries[to] = (id, stored);
    }

    /// A log of so many entries.
    pub(crate) fn of(seed: u64, entries: usize) -> Self {
        let mut log = Self::new(seed);
        log.grow(entries);
        log
    }

    pub(crate) fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Adds entries; one in many has been erased.
    pub(crate) fn grow(&mut self, entries: usize) {
        for _ in 0..entries {
            let (id, mut record) = self.generator.entry();
            if self.numbers.one_in(20) {
                record.sealed = None;
            }
            let (index, record) = (self.size(), Ok(record));
            self.entries.push((id, Stored { index, record }));
        }
    }

    /// Adds entries for statistics.
    pub(crate) fn grow_strange(&mut self, entries: usize) {
        for _ in 0..entries {
            let (id, mut record) = self.generator.strange_entry();
            if self.numbers.one_in(20) {
                record.sealed = None;
            }
            let (index, record) = (self.size(), Ok(record));
            self.entries.push((id, Stored { index, record }));
        }
    }

    /// Adds entries that say little.
    pub(crate) fn grow_small(&mut self, entries: usize) {
        for _ in 0..entries {
            let (id, record) = self.generator.small_entry();
            let (index, record) = (self.size(), Ok(record));
            self.entries.push((id, Stored { index, record }));
        }
    }

    /// One entry in so many can no longer be read: one way or the other.
    pub(crate) fn damage(&mut self, one_in: u64) {
        for (id, stored) in &mut self.entries {
            if self.numbers.one_in(one_in) {
                *id = Uuid::nil();
                match (&mut stored.record, self.numbers.one_in(2)) {
                    (Ok(record), true) => record.leaf.truncate(20),
                    (record, _) => *record = Err(Damage("a test says so".to_owned())),
                }
            }
        }
    }

    /// Gives the last entries to the index, as a commit does.
    pub(crate) fn push(&self, index: &SearchIndex, entries: usize) {
        self.push_range(index, self.entries.len() - entries..self.entries.len());
    }

    pub(crate) fn push_range(&self, index: &SearchIndex, range: Range<usize>) {
        let first = range.start;
        let batch: Vec<BatchEntry<'_>> = self.entries[range]
            .iter()
            .map(|(id, stored)| {
                let record = stored.record.as_ref().unwrap();
                let leaf_hash = leaf_hash(&record.leaf);
                BatchEntry {
                    id: *id,
                    record,
                    leaf_hash,
                }
            })
            .collect();
        index.push(first as u64, &batch);
    }

    pub(crate) fn open(&self, path: Option<&Path>, options: IndexOptions) -> SearchIndex {
        SearchIndex::open(path, ORIGIN, self.size(), self, options).unwrap()
    }

    /// Opens the index and lets it follow to the end of the log.
    pub(crate) fn open_whole(&self, path: Option<&Path>, options: IndexOptions) -> SearchIndex {
        let index = self.open(path, options);
        self.follow(&index);
        index
    }

    /// Until everything is found.
    pub(crate) fn follow(&self, index: &SearchIndex) {
        while !index.catch_up(self.size(), self).unwrap() {
            let step = index.step(self).unwrap();
            assert!(step.entries > 0, "a step that does nothing");
        }
    }

    pub(crate) fn entries(&self) -> Vec<Option<Entry<'_>>> {
        self.entries
            .iter()
            .map(|(_, stored)| {
                let record = stored.record.as_ref().ok()?;
                let sealed = record.sealed.as_ref().map(|sealed| sealed.bytes.as_slice());
                Entry::parse(&record.leaf, sealed).ok()
            })
            .collect()
    }

    pub(crate) fn read(&self, index: u64) -> io::Result<Stored> {
        Ok(self.entries[index as usize].1.clone())
    }

    /// A question with its whole answer still to be computed.
    pub(crate) fn ask(&self, numbers: &mut Numbers, entries: &[Option<Entry<'_>>]) -> Query {
        let sound: Vec<Entry<'_>> = entries.iter().flatten().cloned().collect();
        if sound.is_empty() {
            let mut query = query(numbers, &[full_of_nothing()]);
            (query.size, query.failed) = (self.size(), Arc::default());
            return query;
        }
        let mut query = query(numbers, &sound);
        if numbers.one_in(2) {
            let topic = numbers.pick(&Topic::ALL);
            let about = &sound[numbers.below(sound.len() as u64) as usize];
            let filter = question(numbers, topic, about);
            query.filter = match numbers.one_in(4) {
                true => both(query.filter, filter),
                false => filter,
            };
        }
        query.size = match numbers.one_in(3) {
            true => numbers.below(self.size() + 1),
            false => self.size(),
        };
        if numbers.one_in(2) {
            query.access = audittrail_store::Access::default();
        }
        query
    }

    /// Asks this often; every answer has to be the one that the definition of a filter gives.
    pub(crate) fn check(&self, index: &SearchIndex, numbers: &mut Numbers, questions: u32) {
        let entries = self.entries();
        for _ in 0..questions {
            let mut query = self.ask(numbers, &entries);
            let all: Vec<Option<&Entry<'_>>> = entries.iter().map(Option::as_ref).collect();
            let whole = whole_of(&all, &query);
            let found = whole.get(numbers.below(whole.len().max(1) as u64) as usize);
            let key = found.copied();
            query.start = match (numbers.below(4), key) {
                (0, _) | (_, None) => Start::Skip(0),
                (1, _) => Start::Skip(numbers.below(whole.len() as u64 + 3) as usize),
                (2, Some(key)) => Start::At(key, Direction::After),
                (_, Some(key)) => Start::At(key, Direction::Before),
            };
            let page = index.search(&query, &|index| self.read(index)).unwrap();
            check_page(&query, &page, &whole);
            for (at, reason) in &page.damaged {
                assert!(entries[*at as usize].is_none(), "{at}: {reason}");
            }
        }
        self.check_stats(index, numbers, questions.div_ceil(3));
        self.check_ids(index, numbers);
    }

    /// Asks for statistics this often; they have to be those of the definition.
    pub(crate) fn check_stats(&self, index: &SearchIndex, numbers: &mut Numbers, questions: u32) {
        let entries = self.entries();
        let sound: Vec<Entry<'_>> = entries.iter().flatten().cloned().collect();
        if sound.is_empty() {
            return;
        }
        let all: Vec<Option<&Entry<'_>>> = entries.iter().map(Option::as_ref).collect();
        for _ in 0..questions {
            let mut query = stats_query(numbers, &sound);
            query.size = query.size.min(self.size());
            if numbers.one_in(2) {
                query.size = self.size();
                query.access = audittrail_store::Access::default();
            }
            let answer = index.stats(&query, &|index| self.read(index), &|| true);
            let answer = answer.map_err(|error| match error {
                IndexError::Refused(error) => error,
                error => panic!("{error:?}"),
            });
            check_stats(&query, answer, stats_of(&all, &query));
        }
    }

    /// Ids that there are, one that there is not, and that of no readable entry.
    pub(crate) fn check_ids(&self, index: &SearchIndex, numbers: &mut Numbers) {
        let mut ids = vec![Uuid::nil(), numbers.id()];
        let mut expected = vec![None, None];
        for _ in 0..20.min(self.size()) {
            let at = numbers.below(self.size());
            let (id, _) = &self.entries[at as usize];
            if !id.is_nil() {
                ids.push(*id);
                expected.push(Some(at));
            }
        }
        assert_eq!(index.find(&ids).unwrap(), expected);
    }

    /// What answers that may be errors say, none of them a panic.
    pub(crate) fn try_questions(&self, index: &SearchIndex, numbers: &mut Numbers, questions: u32) {
        let entries = self.entries();
        for _ in 0..questions {
            let query = self.ask(numbers, &entries);
            match index.search(&query, &|index| self.read(index.min(self.size() - 1))) {
                Ok(_) | Err(IndexError::Damaged(_) | IndexError::Building { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
            let sound: Vec<Entry<'_>> = entries.iter().flatten().cloned().collect();
            let query = stats_query(numbers, &sound);
            let read = |index: u64| self.read(index.min(self.size() - 1));
            match index.stats(&query, &read, &|| true) {
                Ok(_)
                | Err(
                    IndexError::Damaged(_) | IndexError::Building { .. } | IndexError::Refused(_),
                ) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let ids: Vec<Uuid> = self.entries.iter().map(|(id, _)| *id).take(50).collect();
        match index.find(&ids) {
            Ok(_) | Err(IndexError::Damaged(_) | IndexError::Building { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn full_of_nothing() -> Entry<'static> {
    Entry {
        open: audittrail_entry::OpenPart {
            action: "x".into(),
            id: Uuid::nil(),
            outcome: None,
            received_at: audittrail_entry::Timestamp::from_nanos(0),
            commitment: [0; 32],
            tenant: None,
            timestamp: audittrail_entry::Timestamp::from_nanos(0),
        },
        sealed: None,
    }
}

impl Source for Log {
    fn scan(&self, range: Range<u64>) -> io::Result<Vec<Stored>> {
        if self.broken.get() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let end = range.end.min(range.start + 37);
        let part = &self.entries[range.start as usize..end as usize];
        Ok(part.iter().map(|(_, stored)| stored.clone()).collect())
    }

    fn leaf_hash(&self, index: u64) -> io::Result<Hash> {
        if self.broken.get() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(match &self.entries[index as usize].1.record {
            Ok(record) => leaf_hash(&record.leaf),
            Err(_) => leaf_hash(&index.to_be_bytes()),
        })
    }
}

/// A query for everything, to be changed.
pub(crate) fn everything(size: u64) -> Query {
    Query {
        filter: audittrail_store::Filter::default(),
        access: audittrail_store::Access::default(),
        order: audittrail_store::Order::NewestFirst,
        size,
        start: Start::Skip(0),
        limit: 10,
        count: audittrail_store::CountMode::Limited,
        failed: Arc::default(),
    }
}
