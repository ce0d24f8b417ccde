//! Whatever lies in files and what in memory, the answers are those of `Filter::matches`.

use proptest::prelude::*;

use crate::support::{Log, cases, options};

#[derive(Debug, Clone)]
enum Act {
    Push(usize),
    Step,
    MakeRoom,
    Settle,
    /// The process ends here, and the next one opens what is there.
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1..40_usize).prop_map(Act::Push),
        3 => Just(Act::Step),
        1 => Just(Act::MakeRoom),
        1 => Just(Act::Settle),
        1 => Just(Act::Reopen),
    ]
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn answers_are_right_wherever_entries_lie(
        seed in any::<u64>(),
        before in 0..150_usize,
        damaged in prop_oneof![Just(None), (3..30_u64).prop_map(Some)],
        step in 5..40_usize,
        in_memory in any::<bool>(),
        strange in any::<bool>(),
        acts in prop::collection::vec(act(), 1..14),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = (!in_memory).then_some(directory.path());
        let mut log = Log::of(seed, before / 2);
        log.grow_strange(before - before / 2);
        if let Some(one_in) = damaged {
            log.damage(one_in);
        }
        let mut numbers = log.numbers.clone();
        let mut index = log.open_whole(path, options(step));
        log.check(&index, &mut numbers, 4);
        for act in acts {
            match act {
                Act::Push(entries) => {
                    match strange {
                        true => log.grow_strange(entries),
                        false => log.grow(entries),
                    }
                    log.push(&index, entries);
                }
                Act::Step => {
                    let (waiting, _) = index.waiting();
                    let position = index.position();
                    let done = index.step(&log).unwrap();
                    // Where more waits, a step takes up to three times as much.
                    prop_assert_eq!(done.entries, waiting.min(3 * step) as u64);
                    prop_assert_eq!(index.position(), position + done.entries);
                }
                Act::MakeRoom => {
                    index.make_room(&log).unwrap();
                    prop_assert!(!index.is_full());
                }
                Act::Settle => index.settle().unwrap(),
                Act::Reopen => {
                    let position = index.position();
                    drop(index);
                    index = log.open(path, options(step));
                    prop_assert_eq!(index.position(), if in_memory { 0 } else { position });
                    log.follow(&index);
                }
            }
            let (waiting, _) = index.waiting();
            prop_assert_eq!(index.position() + waiting as u64, log.size());
            log.check(&index, &mut numbers, 6);
        }
    }
}

/// Of two entries with one id the first is the one that counts, wherever they lie.
#[test]
fn the_first_of_two_entries_with_one_id_counts() {
    let mut log = Log::of(1, 30);
    log.repeat_id(25, 5);
    log.repeat_id(28, 5);
    let id = log.id(5);
    let index = log.open(None, options(10));
    assert!(index.catch_up(20, &log).unwrap());
    log.push_range(&index, 20..30);
    while index.position() < 30 {
        assert_eq!(index.find(&[id]).unwrap(), [Some(5)]);
        index.step(&log).unwrap();
    }
    assert_eq!(index.find(&[id]).unwrap(), [Some(5)]);
}

/// What fails to be read is no damage of the index, and is tried again.
#[test]
fn a_log_that_cannot_be_read_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Log::of(2, 100);
    let mut numbers = log.numbers.clone();
    let index = log.open(Some(directory.path()), options(10));
    log.broken.set(true);
    assert!(index.step(&log).is_err());
    log.broken.set(false);
    log.follow(&index);
    log.check(&index, &mut numbers, 10);
    log.grow(10);
    log.push(&index, 10);
    let position = index.position();
    log.broken.set(true);
    assert!(index.step(&log).is_err());
    assert_eq!(index.position(), position);
    log.check(&index, &mut numbers, 10);
    log.broken.set(false);
    while index.step(&log).unwrap().entries > 0 {}
    assert_eq!(index.position(), 110);
    log.check(&index, &mut numbers, 10);
}
