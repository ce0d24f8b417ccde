//! Statistics of more entries than a block has, of more values than there are counters, for
//! nobody, and of columns that say something else than the log.

use std::cell::Cell;

use audittrail_entry::Entry;
use audittrail_search_index::{IndexError, compare};
use audittrail_store::conformance::{check_stats, stats_of};
use audittrail_store::{Access, Calendar, Facet, Filter, Interval, StatsQuery};

use crate::support::{Log, ORIGIN, options};

fn everything(size: u64) -> StatsQuery {
    StatsQuery {
        filter: Filter::default(),
        access: Access::default(),
        size,
        failed: std::sync::Arc::default(),
        calendar: Some(Calendar::new(Interval::Month, "Europe/Berlin").unwrap()),
        most_buckets: 10_000,
        by: Facet::ALL.to_vec(),
        top: 7,
    }
}

/// Entries of one time lie side by side, so that whole blocks lie in one interval, and others do
/// not; some are damaged, and the last are in memory.
#[test]
fn of_many_blocks_and_with_few_counters() {
    let mut log = Log::of(60, 200);
    log.grow_small(9_000);
    log.grow_strange(5_500);
    log.damage(700);
    for counters in [5, 300, 1 << 20] {
        let options = audittrail_search_index::IndexOptions {
            counters,
            ..options(2_000)
        };
        let index = log.open(None, options);
        while !index.catch_up(log.size(), &log).unwrap() {
            index.step(&log).unwrap();
        }
        log.grow_strange(150);
        log.push(&index, 150);
        assert!(index.position() > 9_500 && index.waiting().0 > 100);
        let mut numbers = log.numbers.clone();
        log.check_stats(&index, &mut numbers, 8);
        let entries = log.entries();
        let all: Vec<Option<&Entry<'_>>> = entries.iter().map(Option::as_ref).collect();
        for filter in [
            &[][..],
            &[("index_from", "4095"), ("index_to", "8192")],
            &[("index_from", "4096"), ("index_to", "8191")],
            &[("action", "tick")],
            &[("action__nin", "tick")],
        ] {
            let mut query = everything(log.size());
            query.filter = Filter::from_parameters(filter.iter().copied()).unwrap();
            let answer = index.stats(&query, &|index| log.read(index), &|| true);
            let answer = answer.map_err(|error| panic!("{error}"));
            check_stats(&query, answer, stats_of(&all, &query));
        }
    }
}

/// Wherever it is noticed that nobody waits, the work ends.
#[test]
fn for_nobody() {
    let mut log = Log::of(61, 100);
    log.grow_strange(700);
    log.damage(200);
    let index = log.open_whole(None, options(100));
    let query = everything(log.size());
    let asked = Cell::new(0);
    let count = |until: u32| {
        asked.set(0);
        let go_on = || {
            asked.set(asked.get() + 1);
            asked.get() <= until
        };
        index.stats(&query, &|index| log.read(index), &go_on)
    };
    let whole = count(u32::MAX).unwrap();
    let times = asked.get();
    assert!(times > 20, "{times}");
    for until in 0..times {
        let given_up = count(until);
        assert!(matches!(given_up, Err(IndexError::GivenUp)), "{given_up:?}");
        assert_eq!(asked.get(), until + 1, "it goes on for nobody");
    }
    assert_eq!(count(times).unwrap(), whole);
}

/// What a column says is compared with the log, for each facet.
#[test]
fn a_column_that_says_something_else_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Log::of(62, 5);
    log.grow_strange(60);
    let index = log.open_whole(Some(directory.path()), options(200));
    while index.step(&log).unwrap().entries > 0 {}
    drop(index);
    let differing = || {
        let mut next = 0..log.size();
        let found = compare(directory.path(), ORIGIN, &mut || {
            next.next().map(|index| log.read(index)).transpose()
        });
        found.unwrap().differing
    };
    assert_eq!(differing(), Vec::<u64>::new());
    let files = std::fs::read_dir(directory.path()).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let fast = files.find(|path| path.extension().is_some_and(|end| end == "fast"));
    let fast = fast.unwrap();
    let bytes = std::fs::read(&fast).unwrap();
    let entries = log.entries();
    for (facet, value) in [
        (Facet::ALL[0], "document.read"),
        (Facet::ALL[1], "failure"),
        (Facet::ALL[3], "198.51.100.7"),
        (Facet::ALL[4], "globex"),
        (Facet::ALL[5], "carol"),
    ] {
        // Values stand in order, each without what it has in common with the one before.
        let tail = &value.as_bytes()[value.len() - 3..];
        let places = (0..bytes.len() - 3).filter(|at| &bytes[*at..at + 3] == tail);
        let mut found = false;
        for at in places {
            let mut changed = bytes.clone();
            changed[at + 2] ^= 1;
            std::fs::write(&fast, changed).unwrap();
            let differing = differing();
            found |= !differing.is_empty()
                && differing.iter().all(|index| {
                    let entry = entries[*index as usize].as_ref().unwrap();
                    facet.of(entry).is_some_and(|own| own.contains(value))
                });
        }
        assert!(found, "{}", facet.as_str());
    }
}
