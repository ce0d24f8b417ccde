//! Search: pages are the parts of what the definition of a filter selects.

use std::collections::BTreeMap;
use std::sync::Arc;

use audittrail_entry::Entry;

use super::queries::{ORDERS, check_page, entries_of, query, whole};
use super::searches::{Topic, both, question};
use super::{Generator, Log};
use crate::{Access, CountMode, Direction, Filter, Key, Order, Query, Start, Store};

/// Enough entries for many pages, and for ties on each timestamp that is drawn from few.
const BATCHES: [usize; 4] = [200, 1, 79, 40];

/// Goes through all pages from the first to the last and back; the keys in the order in which
/// the pages going forwards gave them.
async fn walk(store: &Arc<dyn Store>, log: &[Entry<'_>], first: &Query) -> Vec<Key> {
    let whole = whole(log, first);
    let mut query = first.clone();
    let mut forwards = Vec::new();
    loop {
        let page = store.search(&query).await.unwrap();
        check_page(&query, &page, &whole);
        assert_eq!(page.damaged, [], "nothing is damaged");
        forwards.extend(page.keys.iter().copied());
        let (true, Some(last)) = (page.after, page.keys.last()) else {
            break;
        };
        query.start = Start::At(*last, Direction::After);
    }
    assert_eq!(forwards, whole, "all pages of {first:?}");
    let mut backwards = Vec::new();
    if let Some(last) = whole.last() {
        backwards.push(*last);
        loop {
            query.start = Start::At(backwards[0], Direction::Before);
            let page = store.search(&query).await.unwrap();
            check_page(&query, &page, &whole);
            backwards.splice(0..0, page.keys.iter().copied());
            if !page.before {
                break;
            }
        }
    }
    assert_eq!(backwards, whole, "all pages backwards of {first:?}");
    whole
}

/// Generated questions: every page of each, forwards and backwards.
pub async fn pages_forwards_and_backwards(store: Arc<dyn Store>) {
    let log = Log::fill(&store, 20, &BATCHES).await;
    let log = entries_of(&log);
    let mut numbers = Generator::new(21).numbers;
    let (mut matched, mut empty, mut all_pages) = (0, 0, 0);
    for _ in 0..150 {
        let query = query(&mut numbers, &log);
        let found = walk(&store, &log, &query).await.len();
        matched += found;
        empty += u32::from(found == 0);
        all_pages += found / query.limit;
    }
    // The questions have to reach what they are there for.
    assert!(
        matched > 3_000 && all_pages > 150 && empty > 5,
        "{matched} {all_pages} {empty}"
    );
    // The whole log in each order, with pages that do and do not divide it.
    for order in ORDERS {
        for limit in [9, 10, 319, 320, 321] {
            let mut query = query(&mut numbers, &log);
            (query.filter, query.access) = (Filter::default(), Access::default());
            (query.order, query.limit, query.size) = (order, limit, log.len() as u64);
            assert_eq!(walk(&store, &log, &query).await.len(), 320);
        }
    }
}

/// What entries hold, asked for in every way that there is: alone and with other conditions,
/// in each order, every page of each, forwards and backwards.
pub async fn what_entries_hold(store: Arc<dyn Store>) {
    const EACH: u64 = 36;
    let log = Log::fill(&store, 27, &BATCHES).await;
    let log = entries_of(&log);
    let mut numbers = Generator::new(28).numbers;
    for topic in Topic::ALL {
        let (mut found, mut selective) = (0, 0);
        for round in 0..EACH {
            let at = numbers.below(log.len() as u64) as usize;
            let mut filter = question(&mut numbers, topic, &log[at]);
            let others = numbers.below(3);
            for _ in 0..others {
                let other = numbers.pick(&Topic::ALL);
                let about = match numbers.one_in(3) {
                    true => numbers.below(log.len() as u64) as usize,
                    false => at,
                };
                filter = both(filter, question(&mut numbers, other, &log[about]));
            }
            let mut query = query(&mut numbers, &log);
            if round % 4 > 0 {
                (query.access, query.size) = (Access::default(), log.len() as u64);
                query.failed = Arc::default();
            }
            query.filter = filter;
            query.order = ORDERS[(round / 2 % 4) as usize];
            let matched = walk(&store, &log, &query).await.len();
            found += u32::from(matched > 0);
            selective += u32::from(matched > 0 && matched < log.len() / 2);
        }
        // The questions have to reach what they are there for.
        assert!(
            found > 12 && selective > 5,
            "{topic:?}: {found}, {selective}"
        );
    }
}

/// Pages beside keys that need not be matches, and after any number of skipped ones.
pub async fn arbitrary_starts(store: Arc<dyn Store>) {
    let log = Log::fill(&store, 22, &BATCHES).await;
    let log = entries_of(&log);
    let mut numbers = Generator::new(23).numbers;
    for round in 0..450 {
        let mut query = query(&mut numbers, &log);
        let any = query.clone();
        let everything = Query {
            filter: Filter::default(),
            access: Access::default(),
            size: log.len() as u64,
            ..any
        };
        let keys = whole(&log, &everything);
        let mut key = numbers.pick(&keys);
        match numbers.below(6) {
            0 => key.index = numbers.below(1_000),
            1 if !query.order.by_index() => key.timestamp += 1,
            2 if !query.order.by_index() => {
                key.timestamp = numbers.pick(&[i64::MIN, i64::MAX, 0, -1]);
            }
            3 => key.index = u64::MAX,
            _ => {}
        }
        query.start = match round % 3 {
            0 => Start::Skip(numbers.below(500) as usize),
            1 => Start::At(key, Direction::After),
            _ => Start::At(key, Direction::Before),
        };
        let page = store.search(&query).await.unwrap();
        check_page(&query, &page, &whole(&log, &query));
    }
}

/// All pages of one question see the log as it was at the first page.
pub async fn pages_of_a_log_that_grows(store: Arc<dyn Store>) {
    let mut log = Log::fill(&store, 24, &[120]).await;
    let mut generator = Generator::new(25);
    for order in ORDERS {
        let snapshot = log.clone();
        let snapshot = entries_of(&snapshot);
        let mut query = query(&mut generator.numbers, &snapshot);
        (query.filter, query.access) = (Filter::default(), Access::default());
        (query.order, query.limit, query.size) = (order, 25, log.size());
        (query.count, query.failed) = (CountMode::Exact, Arc::default());
        let expected = whole(&snapshot, &query);
        let mut seen = Vec::new();
        loop {
            let page = store.search(&query).await.unwrap();
            check_page(&query, &page, &expected);
            seen.extend(page.keys.iter().copied());
            let entries = (0..10).map(|_| generator.entry()).collect();
            log.commit(&store, entries).await;
            let (true, Some(last)) = (page.after, page.keys.last()) else {
                break;
            };
            query.start = Start::At(*last, Direction::After);
        }
        assert_eq!(seen, expected);
        // Whoever asks anew sees all of it.
        (query.start, query.size) = (Start::Skip(0), log.size());
        walk(&store, &entries_of(&log), &query).await;
    }
}

/// What a reader may not see is not in the keys, not in the count, and not told by whether
/// there are more pages; a failed entry is no way around it.
pub async fn access_is_a_wall(store: Arc<dyn Store>) {
    let log = Log::fill(&store, 26, &BATCHES).await;
    let entries = entries_of(&log);
    let all_failed: BTreeMap<u64, String> = (0..log.size())
        .filter(|at| at % 7 == 0)
        .map(|at| (at, "a test says so".to_owned()))
        .collect();
    let restrictions = [
        (Some("alice"), None),
        (None, Some("acme")),
        (Some("bob"), Some("globex")),
        (Some("nobody"), None),
    ];
    for (user, tenant) in restrictions {
        for failed_only in [false, true] {
            let query = Query {
                filter: Filter {
                    failed: failed_only,
                    ..Filter::default()
                },
                access: Access {
                    user_id: user.map(str::to_owned),
                    tenant: tenant.map(str::to_owned),
                },
                order: Order::IndexAscending,
                size: log.size(),
                start: Start::Skip(0),
                limit: 1_000,
                count: CountMode::Exact,
                failed: Arc::new(all_failed.clone()),
            };
            let expected: Vec<u64> = (0..log.size())
                .filter(|at| {
                    let entry = &entries[*at as usize];
                    let part = entry.sealed.as_ref().unwrap();
                    user.is_none_or(|user| part.user_id.as_deref() == Some(user))
                        && tenant.is_none_or(|tenant| entry.open.tenant.as_deref() == Some(tenant))
                        && (!failed_only || all_failed.contains_key(at))
                })
                .collect();
            let page = store.search(&query).await.unwrap();
            let given: Vec<u64> = page.keys.iter().map(|key| key.index).collect();
            assert_eq!(given, expected, "{user:?} {tenant:?} {failed_only}");
            let count = page.count.unwrap();
            assert_eq!((count.value, count.exact), (expected.len() as u64, true));
            assert!(!page.before && !page.after);
        }
    }
}
