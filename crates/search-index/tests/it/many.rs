//! So many matches that they are not all looked at.

use audittrail_entry::Entry;
use audittrail_store::conformance::{ORDERS, check_page, whole_of};
use audittrail_store::{Count, CountMode, Direction, Filter, Key, Start};

use crate::support::{Log, everything, options};

/// More than are looked at one by one, where nobody asks for their number.
const MANY: usize = 26_000;

#[test]
fn pages_of_many_matches() {
    let mut log = Log::of(50, 300);
    log.grow_small(MANY / 2);
    log.grow(300);
    log.damage(2_000);
    log.grow_small(MANY / 2);
    let mut numbers = log.numbers.clone();
    let index = log.open(None, options(1_100));
    // All but the last lie in files: in segments of 5,500 at most.
    while !index.catch_up(log.size(), &log).unwrap() {
        index.step(&log).unwrap();
    }
    log.grow(200);
    log.push(&index, 200);
    assert!(index.position() > 20_000 && index.waiting().0 > 100);
    let entries = log.entries();
    let all: Vec<Option<&Entry<'_>>> = entries.iter().map(Option::as_ref).collect();
    let filters: [&[(&str, &str)]; 9] = [
        &[],
        &[("action", "tick")],
        &[("action__nin", "tick")],
        &[("action__contains", "IC")],
        &[("action__prefix", "t")],
        &[("q", "tick")],
        &[("details.n__exists", "false")],
        &[("index_from", "200"), ("index_to", "24300")],
        &[
            ("start_time", "2026-01-01T00:00:00.001Z"),
            ("end_time", "2026-01-01T00:00:00.7Z"),
        ],
    ];
    for filter in filters {
        let filter = Filter::from_parameters(filter.iter().copied()).unwrap();
        for order in ORDERS {
            for count in [CountMode::None, CountMode::Limited] {
                let mut query = everything(log.size());
                (query.filter, query.order, query.count) = (filter.clone(), order, count);
                query.failed = std::sync::Arc::new(
                    (0..5)
                        .map(|_| (numbers.below(log.size()), "so".to_owned()))
                        .collect(),
                );
                let whole = whole_of(&all, &query);
                assert!(!whole.is_empty() && whole.len() < Count::LIMIT as usize);
                let last = whole.len() - 1;
                let middle = numbers.below(last as u64) as usize;
                let mut starts = vec![Start::Skip(0), Start::Skip(777), Start::Skip(last)];
                for at in [0, 1, middle, last - 5, last] {
                    starts.push(Start::At(whole[at], Direction::After));
                    starts.push(Start::At(whole[at], Direction::Before));
                }
                // Keys that need not be matches, before and after everything.
                for index in [0, 5_000, log.size(), u64::MAX] {
                    let timestamp = match order.by_index() {
                        true => 0,
                        false => numbers.pick(&[i64::MIN, 0, whole[middle].timestamp, i64::MAX]),
                    };
                    starts.push(Start::At(Key { timestamp, index }, Direction::After));
                    starts.push(Start::At(Key { timestamp, index }, Direction::Before));
                }
                for start in starts {
                    (query.start, query.limit) = (start, 1 + numbers.below(40) as usize);
                    let page = index.search(&query, &|index| log.read(index)).unwrap();
                    check_page(&query, &page, &whole);
                }
            }
        }
    }
}
