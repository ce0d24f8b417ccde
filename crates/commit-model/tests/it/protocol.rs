//! The protocol as it is holds; protocols that look much like it do not.

use audittrail_commit_model::{Bounds, Wrong};

use crate::checked::{broken, explore};

/// What each wrong protocol is looked for in.
const SMALL: Bounds = Bounds {
    workers: 2,
    requests: 2,
    epochs: 3,
    late: 1,
};

#[test]
fn two_workers_and_late_writes() {
    explore(Bounds { late: 2, ..SMALL }, None);
}

#[test]
fn two_workers_who_take_over_from_each_other() {
    explore(Bounds { epochs: 4, ..SMALL }, None);
}

#[test]
fn three_workers() {
    let bounds = Bounds {
        workers: 3,
        late: 0,
        ..SMALL
    };
    explore(bounds, None);
}

/// Minutes, and gigabytes: docs/commit-protocol.md has what came of it.
#[test]
#[ignore = "takes minutes: --ignored --nocapture --test-threads 1"]
fn more_of_everything() {
    for (workers, requests, epochs, late) in
        [(3, 2, 3, 1), (2, 3, 3, 1), (2, 2, 4, 2), (3, 2, 4, 1)]
    {
        let bounds = Bounds {
            workers,
            requests,
            epochs,
            late,
        };
        explore(bounds, None);
    }
}

const WHOLE: &str = "every entry below the head is there";
const TOLD: &str = "what was told is true for ever";
const ONCE: &str = "no entry is in the log twice";
const CHECKPOINTS: &str = "checkpoints fit the log and each other";
const FOUND: &str = "a look-up finds what is there";

#[test]
fn each_wrong_protocol_is_caught() {
    let table = [
        (Wrong::HeadWithoutEpoch, WHOLE),
        (Wrong::RemoveWithoutEpoch, WHOLE),
        (Wrong::TakeOverWithoutEpoch, WHOLE),
        (Wrong::RetryInPlace, WHOLE),
        (Wrong::ToldBeforeHead, TOLD),
        (Wrong::AskedBySize, TOLD),
        (Wrong::NoUniqueId, ONCE),
        (Wrong::CheckpointUnconditional, CHECKPOINTS),
        (Wrong::CheckpointWithoutSize, CHECKPOINTS),
        (Wrong::SignBeforeHead, CHECKPOINTS),
        (Wrong::FoundBeforeHead, FOUND),
    ];
    for (wrong, property) in table {
        let broken = broken(SMALL, wrong);
        assert!(broken.contains(&property), "{wrong:?}: {broken:?}");
    }
}

/// Each of these conditions is there twice, in a way: without it the protocol still holds.
#[test]
fn what_the_other_conditions_make_up_for() {
    for wrong in [Wrong::HeadWithoutSize, Wrong::CheckpointWithoutEpoch] {
        assert_eq!(broken(SMALL, wrong), [""; 0], "{wrong:?}");
    }
}
