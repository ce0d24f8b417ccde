//! An index that is far behind its log.

use audittrail_search_index::{IndexError, SearchIndex};
use uuid::Uuid;

use crate::support::{Log, everything, options};

/// The position that both ways to ask name.
fn building(index: &SearchIndex, log: &Log) -> u64 {
    let read = |index| log.read(index);
    let found = index.find(&[Uuid::nil()]);
    let page = index.search(&everything(log.size()), &read);
    let (Err(found), Err(page)) = (found, page) else {
        panic!("an index that is not whole answers");
    };
    assert_eq!(found.to_string(), page.to_string());
    match page {
        IndexError::Building { position, size } => {
            assert_eq!(size, log.size());
            position
        }
        error => panic!("{error}"),
    }
}

#[test]
fn until_it_is_whole_it_says_how_far_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Log::of(30, 700);
    log.damage(50);
    let mut numbers = log.numbers.clone();
    let mut index = log.open(Some(directory.path()), options(10));
    assert!(!index.catch_up(log.size(), &log).unwrap());
    let mut last = building(&index, &log);
    assert_eq!(last, 0);
    while !index.is_near(log.size()) {
        let step = index.step(&log).unwrap();
        assert!(step.entries > 0 && step.entries <= 50);
        let position = building(&index, &log);
        assert_eq!(position, last + step.entries);
        assert_eq!(position, index.position());
        last = position;
        // The log goes on meanwhile, and so does a new process.
        if position == 300 {
            log.grow(40);
            log.push(&index, 40);
            assert_eq!(building(&index, &log), position);
        }
        if position == 500 {
            drop(index);
            index = log.open(Some(directory.path()), options(10));
            assert_eq!(building(&index, &log), position);
        }
    }
    assert_eq!(index.waiting(), (0, 0));
    assert!(index.catch_up(log.size(), &log).unwrap());
    assert!(index.is_whole());
    log.check(&index, &mut numbers, 40);
    // To the very end.
    while index.step(&log).unwrap().entries > 0 {}
    assert_eq!(index.position(), 740);
    log.check(&index, &mut numbers, 40);
}

/// While an index that was whole is made anew, nothing is answered from what is left of it.
#[test]
fn an_index_that_is_found_damaged_is_made_anew() {
    let mut log = Log::of(31, 300);
    let mut numbers = log.numbers.clone();
    let index = log.open_whole(None, options(10));
    log.check(&index, &mut numbers, 10);
    index.set_damaged("a test says so");
    let step = index.step(&log).unwrap();
    assert_eq!((step.entries, step.more), (50, true));
    assert_eq!(building(&index, &log), 50);
    log.grow(5);
    log.push(&index, 5);
    log.follow(&index);
    log.check(&index, &mut numbers, 30);
}

/// Many bytes in few entries do not fit into memory either.
#[test]
fn a_tail_is_bounded_in_bytes() {
    let log = Log::of(32, 100);
    let mut numbers = log.numbers.clone();
    let mut options = options(40);
    options.tail_bytes = 30_000;
    let index = log.open(None, options);
    assert!(index.is_near(log.size()) || index.position() == 0);
    log.follow(&index);
    let (_, bytes) = index.waiting();
    assert!(bytes < 100_000, "{bytes}");
    log.check(&index, &mut numbers, 20);
    index.make_room(&log).unwrap();
    assert!(!index.is_full());
    log.check(&index, &mut numbers, 20);
}
