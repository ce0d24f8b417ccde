//! Statistics: the numbers are those of the entries that a list of the same filter has.

use std::collections::BTreeMap;
use std::sync::Arc;

use audittrail_entry::{Entry, Timestamp};

use super::queries::{entries_of, query, whole_of};
use super::{Generator, Log, Numbers};
use crate::{
    Access, Bucket, Calendar, Facet, Filter, Interval, Span, Stats, StatsQuery, Store, StoreError,
    StoreErrorKind, Top,
};

const SECOND: i64 = 1_000_000_000;

/// Time zones in which clocks are strange: they change by half an hour, skip midnight, go back
/// over midnight, skip a day, or were off by half a minute.
pub const ZONES: [&str; 10] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Pacific/Apia",
    "Africa/Monrovia",
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
];

/// Moments at which something changes in one of [`ZONES`], or time itself ends.
const MOMENTS: [&str; 16] = [
    "1970-01-01T00:00:00Z",
    "1972-01-07T00:44:30Z",
    "1990-04-01T03:31:00Z",
    "1990-10-28T02:31:00Z",
    "2011-12-30T10:00:00Z",
    "2018-02-18T02:00:00Z",
    "2018-11-04T03:00:00Z",
    "2024-02-29T00:00:00Z",
    "2025-12-29T00:00:00Z",
    "2026-01-01T00:00:00Z",
    "2026-03-29T01:00:00Z",
    "2026-04-04T15:00:00Z",
    "2026-10-03T15:30:00Z",
    "2026-10-25T01:00:00Z",
    "2050-03-27T01:00:00Z",
    "2261-12-31T23:59:59.999999999Z",
];

/// A timestamp, in nanoseconds: near one of those moments, or anywhere.
pub fn strange_time(numbers: &mut Numbers) -> i64 {
    let parse = |text| Timestamp::parse(text).unwrap().nanos();
    let (first, last) = (parse(MOMENTS[0]), parse(MOMENTS[15]));
    if numbers.one_in(4) {
        return numbers.below(last as u64) as i64;
    }
    let near = [0, 1, SECOND, 60, 1_800, 3_600, 86_400].map(|step| match step {
        0 | 1 | SECOND => step,
        seconds => seconds * SECOND,
    });
    let distance = numbers.pick(&near) * (numbers.below(3) as i64 - 1);
    let moment = parse(numbers.pick(&MOMENTS));
    moment.saturating_add(distance).clamp(first, last)
}

/// What an answer has to be; none where there are too many intervals. It is written from the
/// documentation of [`Stats`] and from what a list of the same entries has.
pub fn stats_of(entries: &[Option<&Entry<'_>>], query: &StatsQuery) -> Option<Stats> {
    let selected = whole_of(entries, &query.selection());
    let sound: Vec<&Entry<'_>> = selected
        .iter()
        .filter(|key| !query.failed.contains_key(&key.index))
        .filter_map(|key| entries[key.index as usize])
        .collect();
    let mut buckets: BTreeMap<Span, u64> = BTreeMap::new();
    if let Some(calendar) = &query.calendar {
        for entry in &sound {
            let nanos = entry.open.timestamp.nanos();
            *buckets.entry(calendar.span(nanos / SECOND)).or_default() += 1;
        }
    }
    if buckets.len() > query.most_buckets {
        return None;
    }
    let tops = query.by.iter().map(|facet| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for value in sound.iter().filter_map(|entry| facet.of(entry)) {
            *counts.entry(value.into_owned()).or_default() += 1;
        }
        let distinct = counts.len() as u64;
        let missing = sound.len() as u64 - counts.values().sum::<u64>();
        let mut values: Vec<(String, u64)> = counts.into_iter().collect();
        values.sort_by(|(one, ones), (other, others)| others.cmp(ones).then(one.cmp(other)));
        values.truncate(query.top);
        Top {
            facet: *facet,
            values,
            distinct,
            missing,
        }
    });
    let buckets = buckets.into_iter();
    Some(Stats {
        count: selected.len() as u64,
        failed: (selected.len() - sound.len()) as u64,
        buckets: buckets
            .map(|(span, count)| Bucket { span, count })
            .collect(),
        tops: tops.collect(),
        damaged: Vec::new(),
    })
}

/// The answer has to be this one. Which damaged entries were met on the way is not compared.
pub fn check_stats(query: &StatsQuery, answer: Result<Stats, StoreError>, expected: Option<Stats>) {
    match (answer, expected) {
        (Ok(mut stats), Some(expected)) => {
            stats.damaged.clear();
            assert_eq!(stats, expected, "the answer to {query:?}");
        }
        (Err(error), None) => {
            assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}: {query:?}");
        }
        (answer, expected) => panic!("{answer:?}, wanted {expected:?}: {query:?}"),
    }
}

/// The next question about a log.
pub fn stats_query(numbers: &mut Numbers, entries: &[Entry<'_>]) -> StatsQuery {
    let query = query(numbers, entries);
    let filter = match numbers.below(3) {
        0 => Filter::default(),
        // Bounds of time alone.
        1 => Filter {
            timestamp: query.filter.timestamp,
            index: query.filter.index,
            ..Filter::default()
        },
        _ => query.filter,
    };
    let interval = numbers.pick(&Interval::ALL);
    let calendar = Calendar::new(interval, numbers.pick(&ZONES)).unwrap();
    let mut by = Vec::new();
    for facet in Facet::ALL {
        if numbers.one_in(2) {
            let at = numbers.below(by.len() as u64 + 1);
            by.insert(at as usize, facet);
        }
    }
    StatsQuery {
        filter,
        access: query.access,
        size: query.size,
        failed: query.failed,
        calendar: (!numbers.one_in(4)).then_some(calendar),
        most_buckets: match numbers.one_in(5) {
            true => numbers.below(40) as usize,
            false => 10_000,
        },
        by,
        top: match numbers.one_in(3) {
            true => 1_000,
            false => 1 + numbers.below(6) as usize,
        },
    }
}

/// Generated questions, and those of whom little may be seen.
pub async fn statistics(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let mut generator = Generator::new(70);
    for size in [90, 1, 140, 60] {
        let entries = (0..size).map(|_| match generator.numbers.one_in(4) {
            true => generator.entry(),
            false => generator.strange_entry(),
        });
        let entries = entries.collect();
        log.commit(&store, entries).await;
    }
    let entries = entries_of(&log);
    let all: Vec<Option<&Entry<'_>>> = entries.iter().map(Some).collect();
    let mut numbers = Generator::new(71).numbers;
    let (mut counted, mut refused, mut failed) = (0, 0, 0);
    for _ in 0..160 {
        let mut query = stats_query(&mut numbers, &entries);
        if numbers.one_in(2) {
            query.access = Access::default();
        }
        if numbers.one_in(4)
            && let Some(stats) = stats_of(&all, &query)
        {
            // Just enough, or one too few.
            let few = stats.buckets.len().saturating_sub(1);
            query.most_buckets = few + numbers.below(2) as usize;
        }
        let expected = stats_of(&all, &query);
        refused += u32::from(expected.is_none());
        if let Some(expected) = &expected {
            counted += u32::from(expected.count > 50 && expected.buckets.len() > 5);
            failed += u32::from(expected.failed > 0);
        }
        check_stats(&query, store.stats(&query).await, expected);
    }
    // The questions have to reach what they are there for.
    assert!(
        counted > 20 && refused > 10 && failed > 10,
        "{counted}, {refused}, {failed}"
    );
}
